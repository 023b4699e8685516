"""The launcher files, as Ray itself reads them; nothing is launched."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config
from ray.autoscaler.v2.instance_manager.config import AutoscalingConfig

CONFIGS = Path(__file__).parents[2] / "cluster" / "configs"
NAMES = ("aws", "static", "local-nodes")


def load(name: str) -> dict[str, Any]:
    config = yaml.safe_load((CONFIGS / f"{name}.yaml").read_text())
    assert isinstance(config, dict)
    return config


def test_every_file_is_tested() -> None:
    assert {path.stem for path in CONFIGS.glob("*.yaml")} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_ray_takes_it(name: str) -> None:
    prepared = prepare_config(load(name))
    validate_config(prepared)
    # What the autoscaler on the head would make of it, version 2.
    read = AutoscalingConfig(prepared, skip_content_hash=True)
    assert read.get_head_node_type() == prepared["head_node_type"]


def test_the_validation_can_fail() -> None:
    config = load("aws")
    config["available_node_types"]["gpu-spot"]["max_worker"] = 3
    with pytest.raises(jsonschema.ValidationError):
        validate_config(prepare_config(config))


@pytest.mark.parametrize("name", NAMES)
def test_the_head_runs_no_work(name: str) -> None:
    config = prepare_config(load(name))
    if name == "static":
        assert "--num-cpus=0" in config["head_start_ray_commands"][1]
    else:
        assert config["available_node_types"][config["head_node_type"]]["resources"]["CPU"] == 0


@pytest.mark.parametrize("name", ["aws", "static"])
def test_every_machine_asks_for_the_token_and_keeps_the_dashboard_to_itself(name: str) -> None:
    config = load(name)
    assert "~/.ray/auth_token" in config["file_mounts"]
    for command in (config["head_start_ray_commands"][1], config["worker_start_ray_commands"][1]):
        assert "RAY_AUTH_MODE=token" in command
    assert "--dashboard-host=127.0.0.1" in config["head_start_ray_commands"][1]


@pytest.mark.parametrize("name", ["aws", "static"])
def test_the_head_notices_a_cut_link_within_a_minute(name: str) -> None:
    from ray._raylet import Config  # what Ray itself calls these settings

    told = dict(re.findall(r"RAY_(health_check_\w+)=(\d+)", load(name)["head_start_ray_commands"][1]))
    assert all(hasattr(Config, name) for name in told)
    period_ms, timeout_ms, times = (
        int(told[f"health_check_{name}"]) for name in ("period_ms", "timeout_ms", "failure_threshold")
    )
    assert (period_ms + timeout_ms) * times < 60_000


def test_aws_takes_spot_first_and_falls_back() -> None:
    config = prepare_config(load("aws"))
    read = AutoscalingConfig(config, skip_content_hash=True).get_node_type_configs()
    for kind in ("cpu", "gpu"):
        spot, fall_back = read[f"{kind}-spot"], read[f"{kind}-on-demand"]
        assert spot.priority > fall_back.priority
        assert spot.resources == fall_back.resources
        assert spot.min_worker_nodes == fall_back.min_worker_nodes == 0
        assert spot.idle_timeout_s and fall_back.idle_timeout_s
        nodes = config["available_node_types"]
        assert nodes[f"{kind}-spot"]["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}
        assert "InstanceMarketOptions" not in nodes[f"{kind}-on-demand"]["node_config"]
    assert "RAY_enable_autoscaler_v2=1" in config["head_start_ray_commands"][1]


def test_aws_machines_are_closed_and_encrypted() -> None:
    config = prepare_config(load("aws"))
    assert config["provider"]["use_internal_ips"] is True
    for node in config["available_node_types"].values():
        assert node["node_config"]["MetadataOptions"]["HttpTokens"] == "required"
        assert all(disk["Ebs"]["Encrypted"] for disk in node["node_config"]["BlockDeviceMappings"])


def test_the_preset_for_gpus_fits_the_machines() -> None:
    """No pool asks for a worker that no machine of the group could hold: the job would wait for ever."""
    from s2i_core import presets

    nodes = load("aws")["available_node_types"].values()
    resources = presets.gpu().resources
    for pool in (resources.decode, resources.encode, resources.generate):
        assert any(
            node["resources"].get("CPU", 0) >= pool.num_cpus and node["resources"].get("GPU", 0) >= pool.num_gpus
            for node in nodes
        )
