"""Build both images, push them, and say by which digests to run them: `infra/docker/publish_images.py REPOSITORY`.

For whoever publishes, a CI or a person, with Docker (buildx) and a login to the registry. It ends before anything is
built where the base has no digest, where files are not committed, or where the audit finds a secret or a known fault.
Kept in the folder of `--out`: the list of each image's Python packages (SBOM, CycloneDX), and values for the chart.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FILE = "infra/docker/Dockerfile"
PLATFORM = "linux/amd64"
"""Of the machines that the chart and the modules choose, whatever the builder's own is."""
AUDIT = (sys.executable, str(ROOT / "infra" / "audit.py"))
UNASKED = 3
"""Exit status of the audit where nobody could be asked for advisories."""

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_BACKENDS = {"digest": "cpu", "gpuDigest": "cu130"}
"""torch's backend of each image, by the value of the chart that names it."""


class NotPublished(Exception):
    """Why nothing, or not all, was pushed."""


def default_base() -> str:
    """The base that the Dockerfile names."""
    found = re.search(r"^ARG BASE=(\S+)$", (ROOT / FILE).read_text("utf-8"), re.M)
    if found is None:
        raise NotPublished(f"{FILE} names no base")
    return found[1]


def version() -> str:
    """Of the package: the images' tag."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        return str(tomllib.load(file)["project"]["version"])


def check(base: str, audit: Sequence[str] = AUDIT, *, unasked: bool = False) -> str:
    """The commit that is to be published, once nothing speaks against it.

    Args:
        base: image that both are built on, with its digest.
        audit: the audit's command.
        unasked: whether to go on where nobody could be asked for advisories.

    Raises:
        NotPublished: something does.
    """
    if _DIGEST.fullmatch(base.rpartition("@")[2]) is None:
        raise NotPublished(
            f"the base {base} has no digest: give --base NAME@sha256:…, as `docker buildx imagetools inspect` tells it"
        )
    changed = _changed()
    if changed:
        raise NotPublished(f"there are changes that are not committed:\n{changed}")
    status = subprocess.run(list(audit), cwd=ROOT, check=False).returncode
    if status == UNASKED and not unasked:
        raise NotPublished("advisories could not be asked for: see above; --unasked publishes all the same")
    if status not in {0, UNASKED}:
        raise NotPublished("the audit found something: see above")
    return _commit()


def publish(repository: str, base: str, commit: str, tag: str, out: Path) -> Path:
    """Build, list and push both images; returns the file of values.

    Raises:
        NotPublished: Docker failed, or told no digest.
    """
    out.mkdir(parents=True, exist_ok=True)
    image: dict[str, object] = {"repository": repository, "requireDigest": True}
    for name, backend in _BACKENDS.items():
        full = tag if backend == "cpu" else f"{tag}-cuda"
        told = out / f"{backend}.json"
        settings = ("--build-arg", f"BASE={base}", "--build-arg", f"TORCH_BACKEND={backend}")
        build = ("docker", "buildx", "build", "--platform", PLATFORM, "--file", FILE, *settings)
        _run(*build, "--target", "sbom", "--output", f"type=local,dest={out / backend}", ".")
        label = f"org.opencontainers.image.revision={commit}"
        target = ("--target", "runtime", "--tag", f"{repository}:{full}", "--label", label)
        # With provenance what is pushed is an index, which names its platforms.
        _run(*build, *target, "--provenance", "mode=min", "--push", "--metadata-file", str(told), ".")
        try:
            digest = str(json.loads(told.read_text("utf-8"))["containerimage.digest"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise NotPublished(f"{told}: Docker told no digest of what it pushed ({error})") from error
        if _DIGEST.fullmatch(digest) is None:
            raise NotPublished(f"{told}: {digest!r} is no digest")
        _check_platform(f"{repository}@{digest}")
        image |= {"tag" if name == "digest" else "gpuTag": full, name: digest}
    values = out / "values.yaml"
    # JSON is YAML.
    values.write_text(json.dumps({"image": image}, indent=2) + "\n", "utf-8")
    return values


def _changed() -> str:
    return _said("git", "status", "--porcelain")


def _commit() -> str:
    return _said("git", "rev-parse", "HEAD")


def _check_platform(image: str) -> None:
    """Raise where the registry has the image for another platform than ours."""
    manifest = _said("docker", "buildx", "imagetools", "inspect", "--raw", image)
    try:
        platforms = {
            f"{each['platform']['os']}/{each['platform']['architecture']}" for each in json.loads(manifest)["manifests"]
        }
    except (ValueError, KeyError, TypeError) as error:
        raise NotPublished(f"{image}: its manifest names no platform ({error})") from error
    if PLATFORM not in platforms:
        raise NotPublished(f"{image} is for {', '.join(sorted(platforms))}, not for {PLATFORM}")


def _said(*command: str) -> str:
    try:
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.rstrip()
    except (OSError, subprocess.CalledProcessError) as error:
        raise NotPublished(f"{' '.join(command)}: {error}") from error


def _run(*command: str) -> None:
    try:
        subprocess.run(command, cwd=ROOT, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise NotPublished(f"{' '.join(command[:3])}: {error}") from error


def main(arguments: Sequence[str] | None = None, audit: Sequence[str] = AUDIT) -> int:
    """Publish as the arguments say."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("repository", help="where to push, as registry.example/team/s2i")
    parser.add_argument("--base", default=default_base(), help="image to build on, with its digest (%(default)s)")
    parser.add_argument(
        "--tag", default=version(), help="of the CPU image; the CUDA one has -cuda behind it (%(default)s)"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="folder for lists and values (%(default)s)")
    parser.add_argument("--unasked", action="store_true", help="publish where nobody could be asked for advisories")
    asked = parser.parse_args(arguments)
    try:
        commit = check(asked.base, audit, unasked=asked.unasked)
        values = publish(asked.repository, asked.base, commit, asked.tag, asked.out.resolve())
    except NotPublished as error:
        sys.stderr.write(f"not published: {error}\n")
        return 2
    sys.stdout.write(f"{values.read_text('utf-8')}the same in {values}: helm upgrade … -f {values.name}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
