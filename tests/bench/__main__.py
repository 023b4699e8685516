"""Benchmarks: `python -m tests.bench NAME …` measures, `python -m tests.bench --check` holds results to the targets."""

from __future__ import annotations

import argparse
import importlib
import json
import subprocess
import sys
import time
from pathlib import Path

from tests.bench.results import RESULTS, ROOT, TARGETS, Options, benchmarks, broken, check, describe, overview, save


def main(arguments: list[str] | None = None) -> int:
    """0 where all is well, 1 where a result is missing or falls short."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description="Measures s2i. Each benchmark writes docs/results/NAME.json, with machine, versions and date, and "
        "docs/results/README.md, the last results of all.",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="benchmarks to run, one after the other; see --list")
    parser.add_argument("--list", action="store_true", help="say what there is, and stop")
    parser.add_argument("--check", action="store_true", help="hold the stored results to tests/bench/targets.json")
    parser.add_argument(
        "--quick", action="store_true", help="a small form that shows that it runs and loses nothing; stores nothing"
    )
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results (default: docs/results)")
    chosen = parser.parse_args(arguments)
    known = benchmarks()
    if unknown := sorted(set(chosen.names) - set(known)):
        parser.error(f"there is no benchmark {', '.join(unknown)}; there are {', '.join(known)}")
    if chosen.list or not (chosen.names or chosen.check):
        for name in known:
            print(f"{name:12} {describe(name)}")
        return 0
    for name in chosen.names:
        if len(chosen.names) > 1:
            # Each in a process of its own: Ray and torch keep settings of the one before.
            command = [sys.executable, "-m", "tests.bench", name, "--out", str(chosen.out.resolve())]
            subprocess.run([*command, *(["--quick"] if chosen.quick else [])], check=True, cwd=ROOT)
            continue
        print(f"{name}: {describe(name)}", file=sys.stderr, flush=True)
        started = time.monotonic()
        module = importlib.import_module(f"tests.bench.{name}")
        figures = module.run(Options(quick=chosen.quick))
        elapsed_s = time.monotonic() - started
        if chosen.quick:
            print(json.dumps(figures, indent=2))
            lost = broken(json.loads(TARGETS.read_text())[name], figures)
            if lost:
                print("\n".join(lost), file=sys.stderr)
                return 1
        else:
            print(save(name, figures, chosen.out, elapsed_s).read_text())
            (chosen.out / "README.md").write_text(overview(json.loads(TARGETS.read_text()), chosen.out))
    if not chosen.check:
        return 0
    findings = check(json.loads(TARGETS.read_text()), chosen.out, chosen.names or None)
    for finding in findings:
        print(finding.line)
    return 1 if any(finding.short for finding in findings) else 0


if __name__ == "__main__":
    sys.exit(main())
