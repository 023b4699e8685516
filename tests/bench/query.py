"""SQL over 1,000,000 scenes, their pictures and 3,000,000 things: seconds of six questions, as `s2i query` asks them.

The tables lie on a real S3 server; vectors are as wide as those of the shipped model and all different. Each question
is asked over a database that was opened before, as at the prompt; the median of five.
"""

from __future__ import annotations

import statistics
import sys
import time
from typing import Any

from s2i_core.analysis.database import Database, QueryLimits
from s2i_core.storage.tables import Lake
from tests.bench.results import Options
from tests.bench.setting import large_lake, recording_name

_TIMES = 5

QUESTIONS = {
    "status_s": "SELECT status, reason, count(*) AS n, sum(duration_s) FROM recordings GROUP BY ALL",
    "joined_s": """
        SELECT r.source_uri, s.start_s, s.confidence, i.key, i.similarity
        FROM recordings AS r JOIN scenes AS s USING (recording_id) JOIN images AS i USING (scene_id)
        WHERE r.recording_id = '{recording}' AND s.recording_id = '{recording}' AND i.recording_id = '{recording}'
        ORDER BY s.start_s
    """,
    "least_similar_s": "SELECT recording_id, start_s, key, similarity FROM images ORDER BY similarity LIMIT 20",
    "coverage_s": "SELECT coalesce(reason, 'ok') AS what, sum(end_s - start_s) FROM scenes GROUP BY what",
    "cost_s": "SELECT device, style, run_id, count(*), avg(compute_ms), sum(size_bytes) FROM images GROUP BY ALL",
    "percentiles_s": """
        SELECT date_trunc('day', created_at) AS day, quantile_cont(similarity, [0.1, 0.5, 0.9]) FROM images GROUP BY day
    """,
}


def run(options: Options) -> dict[str, Any]:
    """Build the tables, open them, and ask."""
    with large_lake(options) as lake:
        started = time.monotonic()
        with Database(Lake(lake.settings, lake.uri), QueryLimits(memory="2GB")) as database:
            figures: dict[str, Any] = {"open_s": round(time.monotonic() - started, 3)}
            for name, sql in QUESTIONS.items():
                took = []
                for _ in range(_TIMES):
                    begun = time.monotonic()
                    with database.ask(sql.format(recording=recording_name(7))) as answer:
                        rows = answer.table().num_rows
                    took.append(time.monotonic() - begun)
                figures[name] = round(statistics.median(took), 3)
                print(f"  {name}: {figures[name]} s, {rows} rows", file=sys.stderr, flush=True)
                assert rows, f"{name} found nothing"
            with database.ask("SELECT count(*) AS n FROM scenes") as answer:
                figures["scenes"] = answer.table().to_pylist()[0]["n"]
            with database.ask("SELECT count(*) AS n FROM things") as answer:
                figures["things"] = answer.table().to_pylist()[0]["n"]
    return figures
