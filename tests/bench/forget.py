"""Forgetting one of 10,000 recordings, with all that runs leave: seconds, and whether a search finds anything.

200,000 scenes with vectors, their pictures' rows and 600,000 things on a real S3 server, in many commits; a page for
each recording and a hundred summaries of runs that name it.
"""

from __future__ import annotations

import json
import time
from typing import Any

from s2i_core.forget import Forgetting, trace
from s2i_core.storage.tables import Lake
from tests.bench.results import Options
from tests.bench.setting import fill_lake, own_store, recording_name

_RECORDINGS = 10_000
_SCENES_EACH = 20


def run(options: Options) -> dict[str, Any]:
    """Build the archive, forget one recording, and search for it."""
    recordings = 200 if options.quick else _RECORDINGS
    with own_store() as store:
        store.create_bucket("bench")
        lake = Lake(store.settings, "s3://bench/out")
        fill_lake(lake, recordings * _SCENES_EACH, things_a_scene=3, vectors=384, scenes_a_recording=_SCENES_EACH)
        one = recording_name(recordings // 2)
        for number in range(_SCENES_EACH):
            store.put("bench", f"out/images/{one}/{number:09}.webp", b"picture")
        for number in range(recordings):
            store.put("bench", f"out/pages/{recording_name(number)}.html", b"page")
        told = json.dumps({"failed": [{"subject": f"s3://in/{number}.mp3"} for number in range(0, recordings, 50)]})
        for number in range(100):
            store.put("bench", f"out/runs/{number}/summary.json", told.encode())
        before = {name: table.count() for name, table in lake.tables.items()}
        found = trace(lake, one)
        work = Forgetting(lake, found)
        started = time.monotonic()
        made = work.forget(versions=False)
        forget_s = time.monotonic() - started
        started = time.monotonic()
        left = Forgetting(Lake(store.settings, lake.uri), found).leftovers()
        verify_s = time.monotonic() - started
        after = {name: table.count() for name, table in Lake(store.settings, lake.uri).tables.items()}
    return {
        "forget_s": round(forget_s, 2),
        "verify_s": round(verify_s, 2),
        "left": len(left),
        "others_lost": sum(before[name] - made.rows[name] - after[name] for name in before),
        "rows": sum(made.rows.values()),
        "recordings": recordings,
    }
