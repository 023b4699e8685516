"""Finding the 1 % that changed among 200,000 objects: seconds to list the archive and compare it with the table.

The objects lie on a real S3 server (small ones: the listing does not read them), and each has a row of `recordings`,
with the etag of before for 1 %. What is timed is what the job `plan` does before it reads its first recording.
"""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa
from deltalake import write_deltalake

from s2i_core.config import SourceConfig
from s2i_core.identity import Digests
from s2i_core.listing import Listing
from s2i_core.records import RECORDINGS, Status, now
from s2i_core.storage.places import Place
from s2i_core.storage.tables import Lake
from tests.bench.results import Options
from tests.bench.setting import own_store

_OBJECTS, _CHANGED_EVERY = 200_000, 100
_WRITERS = 16


def run(options: Options) -> dict[str, Any]:
    """Fill a bucket and the table, change 1 % of the objects, and look."""
    count = 2_000 if options.quick else _OBJECTS
    with own_store() as store:
        store.create_bucket("archive")
        store.create_bucket("out")
        keys = [f"talks/{number % 997:03d}/{number:06d}.mp3" for number in range(count)]
        with ThreadPoolExecutor(_WRITERS) as writers:
            for number, _ in enumerate(writers.map(lambda key: store.put("archive", key, key.encode()), keys)):
                if (number + 1) % 20_000 == 0:
                    print(f"  {number + 1:,} of {count:,} objects written", file=sys.stderr, flush=True)
        lake = Lake(store.settings, "s3://out/pictures")
        listed = list(store.list("archive", "talks/"))
        changed = {item.key for item in listed[::_CHANGED_EVERY]}
        rows = [
            {
                "source_uri": item.uri,
                "etag": "another" if item.key in changed else item.etag,
                "size_bytes": item.size_bytes,
                "recording_id": f"{number:032x}",
                "status": Status.OK.value,
                "scenes": 1,
                "retryable": False,
                "model_digest": "m",
                "plan_digest": "p",
                "run_id": "bench",
                "created_at": now(),
            }
            for number, item in enumerate(listed)
        ]
        write_deltalake(lake.recordings._create(), pa.Table.from_pylist(rows, schema=RECORDINGS), mode="append")
        started = time.monotonic()
        found = Listing(store, Place.of("s3://archive/talks"), SourceConfig()).complete()
        listed_s = time.monotonic() - started
        left = lake.unplanned(found, Digests("m", "p", "", ""))
        seconds = time.monotonic() - started
        return {
            "seconds": round(seconds, 2),
            "listing_s": round(listed_s, 2),
            "objects": len(found),
            "changed": len(changed),
            "found_exact": {item.key for item in left} == changed and len(left) == len(changed),
        }
