"""Finding what is left of 1,000,000 scenes: seconds, and memory of the process that looks.

The tables lie on a real S3 server, 99 % of the scenes have their image, and the embeddings are as wide as those of the
shipped model. What is timed is what a job does before it starts to draw.
"""

from __future__ import annotations

import sys
from typing import Any

from deltalake import write_deltalake

from s2i_core.identity import Digests
from s2i_core.storage.tables import Lake, LakeTable
from tests.bench.results import Options
from tests.bench.setting import image_rows, in_own_process, own_store, scene_rows

_DIGESTS = Digests("m" * 16, "p" * 16, "m" * 16, "i" * 16)
_ROWS, _ROWS_A_FILE = 1_000_000, 20_000
_LEFT_EVERY = 100

_LOOK = """
import sys, time
from s2i_core.identity import Digests
from s2i_core.storage.objects import S3Settings
from s2i_core.storage.tables import Lake
lake = Lake(S3Settings.from_env(), sys.argv[1])
started = time.monotonic()
files = lake.unillustrated_files(Digests(sys.argv[2], sys.argv[3], sys.argv[2], sys.argv[4]))
took_s = time.monotonic() - started
every = int(sys.argv[5])
left = sorted(scene for _, scenes in files for scene in scenes["scene_id"].to_pylist())
exact = left == [f"{each:032x}" for each in range(0, int(sys.argv[6]), every)]
result = {"scan_s": took_s, "left": len(left), "found_exact": exact}
"""


def run(options: Options) -> dict[str, Any]:
    """Build the tables, then look for what is left, in a process of its own."""
    rows = 40_000 if options.quick else _ROWS
    with own_store() as store:
        store.create_bucket("bench")
        lake = Lake(store.settings, "s3://bench/out")
        for first in range(0, rows, _ROWS_A_FILE):
            scenes = scene_rows(first, min(_ROWS_A_FILE, rows - first), _DIGESTS, tokens=(8, 384), width=384)
            _append(lake.scenes, scenes)
            done = [number for number in range(scenes.num_rows) if (first + number) % _LEFT_EVERY]
            _append(lake.images, image_rows(scenes.take(done), _DIGESTS))
            print(f"  {first + scenes.num_rows:,} of {rows:,} rows written", file=sys.stderr, flush=True)
        arguments = (_DIGESTS.encoder, _DIGESTS.plan, _DIGESTS.image, str(_LEFT_EVERY), str(rows))
        seen = in_own_process(_LOOK, lake.uri, *arguments)
        return {
            "scan_s": round(seen["scan_s"], 2),
            "memory_gb": round(seen["peak_mb"] / 1024, 3),
            "rows": lake.scenes.count(),
            "left": seen["left"],
            "found_exact": seen["found_exact"],
            "files_a_table": -(-rows // _ROWS_A_FILE),
        }


def _append(table: LakeTable, rows: Any) -> None:
    """Without looking for equal keys, which `merge` would do."""
    write_deltalake(table._open() or table._create(), rows, mode="append")
