"""A result file: what was measured, with what, where and when."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

from s2i_core.records import now

_PACKAGES = ("torch", "diffusers", "transformers", "ray", "prefect")


def write_result(path: Path, command: str, figures: dict[str, Any]) -> dict[str, Any]:
    """Write the figures as JSON, with machine, versions, date and the command that makes them; return it all."""
    result = {
        "command": command,
        "date": now().date().isoformat(),
        "machine": {"processor": _processor(), "cores": os.cpu_count(), "system": platform.system()},
        "versions": {"python": sys.version.split()[0]} | {name: importlib.metadata.version(name) for name in _PACKAGES},
        "figures": figures,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return result


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
