"""The report of 30 runs over 1,000,000 scenes, their pictures and 3,000,000 things: seconds and memory, by the command.

On the same tables as `query`, on a real S3 server.
"""

from __future__ import annotations

import re
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.bench.results import Options
from tests.bench.setting import in_own_process, large_lake

_PROGRAM = """
import json, sys
from pathlib import Path
from typer.testing import CliRunner
from s2i_core import cli
made = CliRunner().invoke(cli.app, ["report", sys.argv[1], "-d", sys.argv[2], "--out", sys.argv[3]])
assert made.exit_code == 0, made.output
result = {"page": made.output.strip()}
"""


def run(options: Options) -> dict[str, Any]:
    """Report the newest run beside the 29 before it."""
    with large_lake(options) as lake, tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "report.html"
        started = time.monotonic()
        made = in_own_process(_PROGRAM, "run-029", lake.uri, str(page))
        report_s = time.monotonic() - started
        text = page.read_text("utf-8")
        scenes = lake.scenes.count()
    runs = int(re.findall(r"<b>(\d+)</b>runs", text)[0])
    assert runs == 30, f"{runs} runs in the report"
    return {
        "report_s": round(report_s, 2),
        "peak_gb": round(made["peak_mb"] / 1024, 2),
        "page_kb": round(len(text) / 1000),
        "runs": runs,
        "scenes": scenes,
    }
