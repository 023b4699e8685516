"""What a benchmark gives, where it is stored, and what it is held to.

A benchmark is a module `tests/bench/<name>.py` with a docstring, whose first line says what it measures, and a
function `run(options) -> dict` of figures by name. Under `notes` it may give texts by the name of a figure: why it
falls short, what was tried. The targets are data, in `targets.json`: `min`, `max` or `exactly` for each figure.
"""

from __future__ import annotations

import ast
import json
import math
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
RESULTS = ROOT / "docs" / "results"
TARGETS = HERE / "targets.json"
_PACKAGES = ("s2i", "torch", "ray", "prefect", "pyarrow", "deltalake", "boto3", "av", "numpy")
_NO_BENCHMARKS = {"__main__", "results", "setting"}


@dataclass(frozen=True)
class Options:
    """How a benchmark is to run. `quick`: as small as possible, to see that it runs at all."""

    quick: bool = False


@dataclass(frozen=True)
class Finding:
    """One target, and how the stored result stands to it.

    Attributes:
        margin: how far on the good side, relative to the target; negative where it falls short.
    """

    line: str
    margin: float

    @property
    def short(self) -> bool:
        """Whether the target is missed, or the result is missing."""
        return self.margin < 0


def benchmarks() -> list[str]:
    """Names of the benchmarks: the modules of this folder that define `run`."""
    return sorted(
        path.stem
        for path in HERE.glob("*.py")
        if path.stem not in _NO_BENCHMARKS
        and any(isinstance(node, ast.FunctionDef) and node.name == "run" for node in ast.parse(path.read_text()).body)
    )


def describe(name: str) -> str:
    """First line of a benchmark's docstring."""
    return (ast.get_docstring(ast.parse((HERE / f"{name}.py").read_text())) or "").partition("\n")[0]


def save(name: str, figures: Mapping[str, Any], folder: Path, elapsed_s: float) -> Path:
    """Write a result as JSON: the figures, what they are held to, and what they were measured on."""
    figures = dict(figures)
    notes = figures.pop("notes", {})
    targets = json.loads(TARGETS.read_text()).get(name, {})
    standing = {figure: judge(target, figures.get(figure)) >= 0 for figure, target in targets.items()}
    result = {
        "benchmark": name,
        "description": describe(name),
        "figures": figures,
        "targets": targets,
        "met": standing,
        "notes": notes,
        "command": f"python -m tests.bench {name}",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "elapsed_s": round(elapsed_s, 1),
        "machine": machine(),
        "versions": versions(),
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n")
    return path


def check(
    targets: Mapping[str, Mapping[str, Mapping[str, Any]]], folder: Path, only: Sequence[str] | None = None
) -> list[Finding]:
    """Every target beside its stored result, the worst last."""
    findings = []
    for name, figures in targets.items():
        if only is not None and name not in only:
            continue
        path = folder / f"{name}.json"
        stored = json.loads(path.read_text())["figures"] if path.exists() else {}
        for figure, target in figures.items():
            value = stored.get(figure)
            margin = judge(target, value)
            word = "missing" if value is None else "short" if margin < 0 else "ok"
            findings.append(Finding(f"{word:8} {name}.{figure}: {_shown(value)} (target {_wanted(target)})", margin))
    return sorted(findings, key=lambda finding: -finding.margin)


def overview(targets: Mapping[str, Mapping[str, Mapping[str, Any]]], folder: Path) -> str:
    """The last results of all benchmarks beside their targets, in Markdown."""
    lines = [
        "# The last results",
        "",
        "Written by `python -m tests.bench` from the JSON files here, which have machine, versions and all figures.",
        "What was measured on different days is not to be compared. What the model hears and draws:",
        "[model](model/index.html).",
    ]
    for name, figures in targets.items():
        path = folder / f"{name}.json"
        stored = json.loads(path.read_text()) if path.exists() else {"figures": {}, "notes": {}}
        lines += ["", f"## {name}", "", describe(name), ""]
        if path.exists():
            machine = stored["machine"]
            where = f"{machine['cores']} cores, {machine['gpu'] or 'no GPU'}"
            commit = stored["versions"].get("commit", "unknown")
            lines += [f"`{stored['command']}`: {stored['date'][:10]}, {where}, commit {commit}", ""]
        else:
            lines += [f"`python -m tests.bench {name}`: not measured", ""]
        lines += ["| figure | last | target | |", "|---|---|---|---|"]
        for figure, target in figures.items():
            value = stored["figures"].get(figure)
            word = "missing" if value is None else "short" if judge(target, value) < 0 else "met"
            lines.append(
                f"| {target['what']} | {'' if value is None else _shown(value)} | {_wanted(target)} | {word} |"
            )
        lines += [f"\n{figure}: {note}" for figure, note in stored["notes"].items()]
    return "\n".join(lines) + "\n"


def broken(targets: Mapping[str, Mapping[str, Any]], figures: Mapping[str, Any]) -> list[str]:
    """What holds however small and slow a run is, such as that nothing is lost, and did not."""
    return [
        f"{name}: {_shown(figures.get(name))} (target {_wanted(target)})"
        for name, target in targets.items()
        if "exactly" in target and judge(target, figures.get(name)) < 0
    ]


def judge(target: Mapping[str, Any], value: Any) -> float:
    """How far a figure is on the good side of its target, relative to it; negative where it falls short.

    Raises:
        ValueError: the target has none of `min`, `max`, `exactly`.
    """
    if not {"min", "max", "exactly"} & target.keys():
        raise ValueError(f"a target needs min, max or exactly, not {dict(target)}")
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return -math.inf
    margins = []
    if "exactly" in target:
        margins.append(0.0 if value == target["exactly"] else -math.inf)
    if "min" in target:
        margins.append((value - target["min"]) / (abs(target["min"]) or 1))
    if "max" in target:
        margins.append((target["max"] - value) / (abs(target["max"]) or 1))
    return min(margins)


def machine() -> dict[str, Any]:
    """What this was measured on."""
    model = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")), ""
    )
    memory_kb = next((int(line.split()[1]) for line in _lines("/proc/meminfo") if line.startswith("MemTotal")), 0)
    return {
        "system": platform.platform(),
        "cpu": model or platform.processor(),
        "cores": os.cpu_count(),
        "memory_gb": round(memory_kb / 2**20, 1),
        "load_1min": round(os.getloadavg()[0], 2),
        "gpu": _gpu(),
    }


def versions() -> dict[str, str]:
    """Of Python, of s2i's commit and of what it stands on."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    commit = subprocess.run(
        ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    return found | ({"commit": commit.stdout.strip()} if commit.returncode == 0 else {})


def _gpu() -> str | None:
    torch = sys.modules.get("torch")  # only where the benchmark used it
    return torch.cuda.get_device_name() if torch is not None and torch.cuda.is_available() else None


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _wanted(target: Mapping[str, Any]) -> str:
    signs = {"min": "≥", "max": "≤", "exactly": "="}
    return ", ".join(f"{signs[name]} {target[name]}" for name in signs if name in target)
