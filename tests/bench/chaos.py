"""The chaos suite: how many faults were borne, and how long a cut link held up a job.

Runs tests/chaos whole, which needs root for network namespaces and small disks; what cannot be tried here is counted as
skipped.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

from tests.bench.results import ROOT, Options


def run(options: Options) -> dict[str, Any]:
    """Run the suite, and read its report."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        chosen = ["-m", "not slow"] if options.quick else []
        subprocess.run(
            [sys.executable, "-m", "pytest", "tests/chaos", "-q", "--force-reruns=0", f"--junitxml={report}", *chosen],
            cwd=ROOT,
            stdout=sys.stderr,
            check=False,
        )
        suite = ElementTree.parse(report).getroot().find("testsuite")
    assert suite is not None
    cases = {str(case.get("name")): case for case in suite.findall("testcase")}
    broken = {
        name: case for name, case in cases.items() if case.find("failure") is not None or case.find("error") is not None
    }
    skipped = [name for name, case in cases.items() if case.find("skipped") is not None]
    figures: dict[str, Any] = {
        "faults": len(cases) - len(skipped),
        "not_borne": len(broken),
        "skipped": len(skipped),
        "seconds": {name: float(case.get("time", 0)) for name, case in cases.items()},
    }
    for case in cases.values():
        for each in case.iter("property"):
            figures[str(each.get("name"))] = float(each.get("value", "nan"))
    if broken:
        figures["notes"] = {"not_borne": ", ".join(broken)}
    return figures
