"""Settings: what is refused before anything starts, and the config file for a cluster."""

from __future__ import annotations

import pytest
import yaml
from ray.serve.schema import ServeDeploySchema
from typer.testing import CliRunner

from cluster.serve.local import serving
from cluster.serve.settings import Replicas, ServeSettings, serve_config
from s2i_core.cli import app
from s2i_core.errors import ConfigError


def test_other_machines_need_keys() -> None:
    with pytest.raises(ConfigError, match="without a key"), serving(ServeSettings(), host="0.0.0.0"):
        pass
    assert CliRunner().invoke(app, ["serve", "--host", "0.0.0.0"]).exit_code == 2


def test_keys_need_a_file() -> None:
    with pytest.raises(ConfigError, match="no file of keys"):
        ServeSettings(access="keys")


def test_the_config_file_is_what_serve_reads_and_its_arguments_are_the_settings() -> None:
    document = yaml.safe_load(serve_config("gpu", "/etc/s2i/keys.json", ("s3://archive/talks",)))
    (application,) = ServeDeploySchema.model_validate(document).applications
    assert application.import_path == "cluster.serve.app:app"
    settings = ServeSettings.model_validate(application.args)
    assert settings.access == "keys" and settings.s3_prefixes == ("s3://archive/talks",)
    assert settings.config().name == "gpu" and settings.generator.num_gpus > 0


def test_a_preset_brings_its_replicas_unless_they_are_given() -> None:
    assert ServeSettings(preset="cpu").generator.num_gpus == 0
    assert ServeSettings(preset="gpu").encoder.num_gpus + ServeSettings(preset="gpu").generator.num_gpus == 1
    assert ServeSettings(preset="gpu", generator=Replicas(num_gpus=1)).generator.num_gpus == 1


@pytest.mark.parametrize("preset", ["cpu", "gpu"])
def test_what_is_said_of_some_replicas_leaves_the_rest_as_it_is(preset: str) -> None:
    usual = ServeSettings(preset=preset)
    changed = ServeSettings.model_validate({"preset": preset, "generator": {"maximum": 32}, "limits": {"max_clips": 9}})
    assert changed.generator == usual.generator.model_copy(update={"maximum": 32})
    assert changed.limits == usual.limits.model_copy(update={"max_clips": 9})
    assert (changed.encoder, changed.ingress) == (usual.encoder, usual.ingress)


@pytest.mark.parametrize(
    ("preset", "cpus", "gpus", "encoders", "generators"),
    [("cpu", 2, 0, 1, 2), ("cpu", 64, 4, 1, 8), ("gpu", 64, 4, 4, 4), ("gpu", 8, 0, 1, 1)],
)
def test_on_one_machine_no_copy_comes_or_goes(
    preset: str, cpus: int, gpus: int, encoders: int, generators: int
) -> None:
    before = ServeSettings(preset=preset)
    settings = before.on_one_machine(cpus, gpus)
    for fixed, copies in ((settings.ingress, 1), (settings.encoder, encoders), (settings.generator, generators)):
        assert (fixed.minimum, fixed.maximum) == (copies, copies)
    assert settings.generator.batch_cost == before.generator.batch_cost


def test_an_unknown_preset_is_refused() -> None:
    with pytest.raises(ConfigError, match="no such preset"):
        serve_config("nope", "/k")


def test_what_may_be_read_must_be_addresses() -> None:
    with pytest.raises(ConfigError, match="not the address of a bucket"):
        ServeSettings(s3_prefixes=("s3://archive/talks", "talks"))


def test_single_settings_change_the_presets() -> None:
    settings = ServeSettings(settings={"image.steps": "3", "image.style": "sketch"})
    assert (settings.config().image.steps, settings.config().image.style) == (3, "sketch")
    told = yaml.safe_load(serve_config("gpu", "/keys", (), {"image.steps": "3"}))
    assert ServeSettings(**told["applications"][0]["args"]).config().image.steps == 3
    with pytest.raises(ConfigError, match="no such setting"):
        serve_config("gpu", "/keys", (), {"image.stepz": "3"})
