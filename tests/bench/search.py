"""Similar scenes among 1,000,000: seconds to make the index, milliseconds, recall of the ten nearest, and memory.

On the same tables as `query`, on a real S3 server. Memory is what a process takes more at its peak with twenty searches
than without any.
"""

from __future__ import annotations

import statistics
import time
from typing import Any

import numpy as np
import pyarrow.compute as pc

from s2i_core.analysis.vectors import open_index
from tests.bench.results import Options
from tests.bench.setting import DIGESTS, in_own_process, large_lake

_QUESTIONS = 20
_PROGRAM = """
import sys
import numpy as np
from s2i_core.analysis.vectors import open_index
from s2i_core.storage.objects import S3Settings
from s2i_core.storage.tables import Lake
index = open_index(Lake(S3Settings.from_env(), sys.argv[1]), sys.argv[2])
wanted = np.random.default_rng(0).normal(size=(int(sys.argv[3]), index.half.shape[1]))
for one in wanted:
    index.nearest(one, 10)
result = {"scenes": len(index)}
"""


def run(options: Options) -> dict[str, Any]:
    """Make the index, ask for scenes that are nearly like some that are there, and compare with an exact search."""
    with large_lake(options) as lake:
        vectors = _vectors(lake, options)
        started = time.monotonic()
        index = open_index(lake, DIGESTS.encoder)
        index_s = time.monotonic() - started
        took, right = [], []
        for question in vectors:
            begun = time.monotonic()
            found = index.nearest(question, 10)
            took.append(time.monotonic() - begun)
            exact = np.concatenate(
                [
                    index.half[first : first + 50_000].astype(np.float32) @ question
                    for first in range(0, len(index), 50_000)
                ]
            )
            best = {index.ids[row].tobytes().hex() for row in np.argsort(-exact)[:10]}
            right.append(len(best & set(found.scene_ids)) / 10)
        with_searches = in_own_process(_PROGRAM, lake.uri, DIGESTS.encoder, str(_QUESTIONS))
        without = in_own_process(_PROGRAM, lake.uri, DIGESTS.encoder, "0")
        return {
            "index_s": round(index_s, 2),
            "search_ms": round(1000 * statistics.median(took), 1),
            "recall": round(float(np.mean(right)), 4),
            "peak_mb": round(with_searches["peak_mb"] - without["peak_mb"]),
            "scenes": len(index),
        }


def _vectors(lake: Any, options: Options) -> list[np.ndarray]:
    random = np.random.default_rng(1)
    names = [f"{number:032x}" for number in range(0, 20_000, 20_000 // _QUESTIONS)]
    rows = lake.scenes.read(["scene_id", "pooled"], pc.field("scene_id").isin(names)).to_pylist()
    some = [np.asarray(row["pooled"], np.float32) for row in rows[:_QUESTIONS]]
    made = [each + 0.02 * random.normal(size=len(each)).astype(np.float32) for each in some]
    return [each / np.linalg.norm(each) for each in made]
