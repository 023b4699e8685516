"""The walk through docs/operate.md on kind, as far as it goes without Docker: its steps, and what it applies."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import kubernetes_validate
import pytest
import sizes
import yaml
from kuberay_kinds import KUBERNETES, check

from cluster.kubernetes.references import needs

KIND = Path(__file__).parents[2] / "infra" / "kind"
IMAGE = "registry.example/s2i:0.1.0"


def walk(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["bash", str(KIND / "walk.sh"), *words], capture_output=True, text=True, check=False)


def test_a_dry_run_prints_every_step_and_does_none() -> None:
    answer = walk(IMAGE, "--dry-run")
    assert answer.returncode == 0, answer.stderr
    steps = re.findall(r"^  \$ (.*)$", answer.stderr, re.MULTILINE)
    assert steps[0].startswith("kind create cluster") and len(steps) > 20
    version = yaml.safe_load((KIND.parent / "versions.yaml").read_text())["kuberay"]["version"]
    assert any(f"--version {version} " in step for step in steps)
    upgrades = [step for step in steps if "infra/kuberay" in step]
    assert len(upgrades) == 4 and all(
        "image.repository=registry.example/s2i,image.tag=0.1.0" in one for one in upgrades
    )
    assert any("delete pod" in step and "s2i/role=head" in step for step in steps)


@pytest.mark.parametrize("words", [(), ("no-tag",), (IMAGE, "--fast")], ids=["no image", "no tag", "unknown option"])
def test_a_wrong_call_says_what_is_wrong(words: tuple[str, ...]) -> None:
    answer = walk(*words)
    assert answer.returncode == 1 and answer.stderr.startswith("walk: ")


def test_what_it_applies_is_taken_and_what_that_refers_to_is_made() -> None:
    others = list(yaml.safe_load_all((KIND / "redis.yaml").read_text()))
    for resource in others:
        kubernetes_validate.validate(resource, KUBERNETES, strict=True)
    resources = sizes.render("small", files=[KIND / "values.yaml"])
    for resource in resources:
        if resource["apiVersion"] == "ray.io/v1":
            check(resource)
        else:
            kubernetes_validate.validate(resource, KUBERNETES, strict=True)
    nodes = yaml.safe_load((KIND / "nodes.yaml").read_text())["nodes"]
    script = (KIND / "walk.sh").read_text()
    for reference in needs([*resources, *others]):
        if reference.kind == "Machine" and "=" in reference.name:
            assert dict([reference.name.split("=")]) in [node.get("labels") for node in nodes]
        if reference.kind == "Secret":
            assert re.search(rf"secret {reference.name} [\"']{reference.key}=", script), reference
