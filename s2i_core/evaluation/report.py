"""A result file: what was measured, with what, where and when."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

from s2i_core.evaluation.statistics import Figure
from s2i_core.records import now

_PACKAGES = ("torch", "diffusers", "transformers", "ray", "prefect")


def write(path: Path, command: str, figures: dict[str, Any]) -> dict[str, Any]:
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


def cell(value: object) -> str:
    """A cell of a table as text; a figure with its interval."""
    if isinstance(value, Figure):
        value = {"value": value.value, "n": value.n, "low": value.low, "high": value.high}
    if isinstance(value, dict):
        if not value["n"]:
            return ""
        digits = 0 if abs(value["value"]) >= 100 else 1 if abs(value["value"]) >= 10 else 2
        middle = f"{value['value']:.{digits}f}"
        if value["low"] == value["high"]:
            return middle
        return f"{middle} ({value['low']:.{digits}f}–{value['high']:.{digits}f})"
    return "" if value is None else str(value)


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
