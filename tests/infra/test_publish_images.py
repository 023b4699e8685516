"""Publishing the images: what must hold before, and what is said after. A program stands in for Docker."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "infra" / "docker"))

import publish_images as publish  # noqa: E402

DIGESTS = [f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"]
SOUND = [sys.executable, "-c", ""]
REPOSITORY = "registry.example/team/s2i"


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[list[str]]]:
    """Put a docker on the path that tells these digests; returns what it was asked so far."""
    asked = tmp_path / "asked"
    monkeypatch.setattr(publish, "_changed", lambda: "")
    monkeypatch.setattr(publish, "_commit", lambda: "c0ffee")

    def put(digests: list[str] | None = None, architecture: str = "amd64") -> list[list[str]]:
        if digests is not None:
            asked.touch()
            program = tmp_path / "bin" / "docker"
            program.parent.mkdir()
            program.write_text(
                f"#!{sys.executable}\nimport json, pathlib, sys\n"
                f"asked = pathlib.Path({str(asked)!r})\n"
                "if 'imagetools' in sys.argv:\n"
                f"    platform = {{'os': 'linux', 'architecture': {architecture!r}}}\n"
                "    print(json.dumps({'manifests': [{'platform': platform}]}))\n"
                "    sys.exit()\n"
                "asked.open('a').write(json.dumps(sys.argv[1:]) + '\\n')\n"
                "pushes = sum('--push' in line for line in asked.read_text().splitlines())\n"
                "if '--push' in sys.argv:\n"
                "    told = pathlib.Path(sys.argv[sys.argv.index('--metadata-file') + 1])\n"
                f"    told.write_text(json.dumps({{'containerimage.digest': {digests!r}[pushes - 1]}}))\n"
            )
            program.chmod(0o755)
            monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
        return [json.loads(line) for line in asked.read_text().splitlines()]

    return put


def test_both_images_are_pushed_and_named_by_their_digests(
    docker: Callable[..., list[list[str]]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    tool: Callable[[str], str],
) -> None:
    docker(DIGESTS)
    out = tmp_path / "out"
    assert publish.main([REPOSITORY, "--out", str(out)], SOUND) == 0
    builds = docker()
    assert [("--push" in build, build[build.index("--target") + 1]) for build in builds] == [
        (False, "sbom"),
        (True, "runtime"),
    ] * 2
    for build in builds:
        given = dict(each.split("=", 1) for each in build if each.startswith(("BASE=", "TORCH_BACKEND=")))
        assert given["BASE"] == publish.default_base() and "@sha256:" in given["BASE"]
        assert given["TORCH_BACKEND"] == ("cpu" if builds.index(build) < 2 else "cu130")
        assert build[build.index("--platform") + 1] == "linux/amd64"
        assert build[build.index("--file") + 1] == "infra/docker/Dockerfile" and build[-1] == "."
    assert [build[build.index("--tag") + 1] for build in builds if "--push" in build] == [
        f"{REPOSITORY}:{publish.version()}",
        f"{REPOSITORY}:{publish.version()}-cuda",
    ]
    assert DIGESTS[0] in capsys.readouterr().out
    # The chart takes the values as they are, where it takes nothing else.
    values = ["-f", str(ROOT / "infra" / "kuberay" / "values-medium.yaml"), "-f", str(out / "values.yaml")]
    values += ["--set", "redis.enabled=false"]
    command = [tool("helm"), "template", "n", str(ROOT / "infra" / "kuberay"), *values]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    assert all(f"{REPOSITORY}@{digest}" in answer.stdout for digest in DIGESTS)


@pytest.mark.parametrize(
    ("arguments", "audit", "reason"),
    [
        (["--base", "python:3.11.14-slim-bookworm"], 0, "has no digest"),
        (["--base", "python@sha256:1234"], 0, "has no digest"),
        ([], 1, "the audit found something"),
        ([], 2, "the audit found something"),
        ([], publish.UNASKED, "could not be asked"),
        (["--unasked"], 1, "the audit found something"),
    ],
)
def test_what_must_hold_before_anything_is_built(
    docker: Callable[..., list[list[str]]],
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    audit: int,
    reason: str,
    tmp_path: Path,
) -> None:
    docker(DIGESTS)
    command = [sys.executable, "-c", f"raise SystemExit({audit})"]
    assert publish.main([REPOSITORY, "--out", str(tmp_path / "out"), *arguments], command) == 2
    assert reason in capsys.readouterr().err
    assert docker() == []


def test_advisories_that_nobody_could_be_asked_for_are_a_choice(
    docker: Callable[..., list[list[str]]], tmp_path: Path
) -> None:
    docker(DIGESTS)
    command = [sys.executable, "-c", f"raise SystemExit({publish.UNASKED})"]
    assert publish.main([REPOSITORY, "--out", str(tmp_path / "out"), "--unasked"], command) == 0


def test_what_is_not_committed_is_not_published(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publish, "_changed", lambda: " M cluster/elastic.py")
    with pytest.raises(publish.NotPublished, match=r"not committed:\n M cluster/elastic\.py"):
        publish.check(publish.default_base(), SOUND)


def test_programs_that_fail_or_are_not_there_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(publish.NotPublished, match="git rev-parse nowhere"):
        publish._said("git", "rev-parse", "nowhere")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(publish.NotPublished, match="docker buildx build"):
        publish.publish(REPOSITORY, publish.default_base(), "c0ffee", "1", tmp_path / "out")


def test_a_push_without_a_digest_is_a_failure(
    docker: Callable[..., list[list[str]]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    docker(["latest", "latest"])
    assert publish.main([REPOSITORY, "--out", str(tmp_path / "out")], SOUND) == 2
    assert "is no digest" in capsys.readouterr().err
    assert not (tmp_path / "out" / "values.yaml").exists()


def test_an_image_of_another_platform_is_not_named_for_the_chart(
    docker: Callable[..., list[list[str]]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    docker(DIGESTS, "arm64")
    assert publish.main([REPOSITORY, "--out", str(tmp_path / "out")], SOUND) == 2
    assert "is for linux/arm64, not for linux/amd64" in capsys.readouterr().err
    assert not (tmp_path / "out" / "values.yaml").exists()


def test_the_commands_of_the_page_are_those_of_the_program() -> None:
    page = (ROOT / "docs" / "operate.md").read_text("utf-8")
    program = "infra/docker/publish_images.py"
    (line,) = (line for line in page.splitlines() if program in line and line.startswith(".venv"))
    command = shlex.split(line.partition("#")[0])
    assert command[1] == program
    answer = subprocess.run(
        [sys.executable, *command[1:2], "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert all(option in answer.stdout for option in command if option.startswith("--"))
