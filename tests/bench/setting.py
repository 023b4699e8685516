"""What several benchmarks need: a store of their own, rows by the million, and the memory that a step took."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from deltalake import write_deltalake

from s2i_core.identity import Digests
from s2i_core.records import IMAGES, RECORDINGS, SCENES, THINGS, Status, now
from s2i_core.state import state_home
from s2i_core.storage.embedded import EmbeddedStore
from s2i_core.storage.objects import ObjectStore
from s2i_core.storage.tables import Lake, LakeTable
from tests.bench.results import ROOT, Options

DIGESTS = Digests("m" * 16, "p" * 16, "m" * 16, "i" * 16)
_KINDS = 64
_ROWS_A_FILE = 20_000
_NAMES = [f"thing {number}" for number in range(900)]
_OTHER_AWS = ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_DEFAULT_REGION")


@contextmanager
def own_store(kept: Path | None = None) -> Iterator[ObjectStore]:
    """An embedded S3 server in a temporary folder, or in one that is kept; the environment leads to it in the block."""
    before = dict(os.environ)
    with contextlib.ExitStack() as ends:
        folder = kept or Path(ends.enter_context(tempfile.TemporaryDirectory(prefix="s2i-bench-")))
        folder.mkdir(parents=True, exist_ok=True)
        embedded = EmbeddedStore(folder)
        info = embedded.up()
        try:
            for name in _OTHER_AWS:
                os.environ.pop(name, None)
            os.environ.update(info.environment())
            yield ObjectStore(info.settings())
        finally:
            embedded.down()
            os.environ.clear()
            os.environ.update(before)


@contextmanager
def large_lake(options: Options) -> Iterator[Lake]:
    """1,000,000 scenes of 30 runs, their pictures and 3,000,000 things; made once, and kept in `.s2i/bench`."""
    scenes = 20_000 if options.quick else 1_000_000
    kept = None if options.quick else state_home() / "bench" / "large"
    done = kept / "done" if kept else None
    if kept and done and not done.exists():
        shutil.rmtree(kept, ignore_errors=True)
    with own_store(kept) as store:
        lake = Lake(store.settings, "s3://bench/out")
        if not (done and done.exists()):
            store.create_bucket("bench")
            fill_lake(lake, scenes, things_a_scene=3, vectors=384, runs=30)
            if done:
                done.touch()
        yield lake


def in_own_process(program: str, *arguments: str) -> dict[str, Any]:
    """Run a piece of Python alone; it prints one JSON object last. `peak_mb` is added: its largest resident memory."""
    code = f"{program}\nimport json, resource, sys\n_JSON"
    code = code.replace(
        "_JSON",
        "print(json.dumps(result | {'peak_mb': resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))",
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def scene_rows(
    first: int, count: int, digests: Digests, *, tokens: tuple[int, int] = (8, 8), width: int = 8
) -> pa.Table:
    """Planned scenes, 100 a recording, of some dozen embeddings; `tokens` `(K, C)` and `width` E as the model's."""
    random = np.random.default_rng(first)
    number = np.arange(first, first + count)
    pooled = random.normal(size=(_KINDS, width)).astype(np.float32)
    pooled /= np.linalg.norm(pooled, axis=1, keepdims=True)
    heard = random.normal(size=(_KINDS, tokens[0] * tokens[1])).astype("<f2")
    kind = pa.array(number % _KINDS)
    columns: dict[str, Any] = {
        "scene_id": [f"{each:032x}" for each in number],
        "recording_id": [f"{each:032x}" for each in number // 100],
        "index": number % 100,
        "start_s": (number % 100) * 5.0,
        "end_s": (number % 100) * 5.0 + 5,
        "focus_start_s": (number % 100) * 5.0,
        "focus_end_s": (number % 100) * 5.0 + 4,
        "status": [Status.OK.value] * count,
        "reason": [None] * count,
        "confidence": np.full(count, 0.5, np.float32),
        "speech_share": np.full(count, 0.8, np.float32),
        "pooled": pa.array(list(pooled), pa.list_(pa.float32())).take(kind),
        "focus_pooled": pa.array([each.tobytes() for each in pooled.astype("<f2")]).take(kind),
        "focus_tokens": pa.array([each.tobytes() for each in heard]).take(kind),
        "focus_extras": [b""] * count,
        "things": [None] * count,
        "model_digest": [digests.encoder] * count,
        "plan_digest": [digests.plan] * count,
        "run_id": ["bench"] * count,
        "created_at": [now()] * count,
    }
    return pa.table(columns, schema=SCENES)


def image_rows(scenes: pa.Table, digests: Digests) -> pa.Table:
    """The rows of `images` that these scenes come to."""
    count = scenes.num_rows
    fixed: dict[str, Any] = {
        "sha256": "0" * 64,
        "size_bytes": 1,
        "format": "webp",
        "width_px": 256,
        "height_px": 256,
        "seed": 1,
        "style": "3d",
        "steps": 8,
        "guidance": 1.0,
        "similarity": 0.5,
        "compute_ms": 1.0,
        "device": "cpu",
        "model_digest": digests.decoder,
        "image_digest": digests.image,
        "run_id": "bench",
        "created_at": now(),
    }
    columns: dict[str, Any] = {name: [value] * count for name, value in fixed.items()}
    kept = {name: scenes[name] for name in ("scene_id", "recording_id", "start_s", "end_s")}
    keys = [f"images/{each}.webp" for each in scenes["scene_id"].to_pylist()]
    table = columns | kept | {"image_id": scenes["scene_id"], "key": keys}
    # What else a row has may be null: it is not measured here.
    return pa.table({name: table.get(name, [None] * count) for name in IMAGES.names}, schema=IMAGES)


def recording_name(number: int) -> str:
    """Id of a recording, which no scene has."""
    return f"a{number:031x}"


def fill_lake(
    lake: Lake, scenes: int, *, things_a_scene: int, vectors: int, scenes_a_recording: int = 100, runs: int = 1
) -> None:
    """Recordings, scenes with vectors that are all different, pictures and things, without looking for equal keys.

    They are of the last thirty days, and of as many runs, in order of time.
    """
    day = timedelta(days=1)
    for first in range(0, scenes, _ROWS_A_FILE):
        count = min(_ROWS_A_FILE, scenes - first)
        random = np.random.default_rng(first)
        rows = scene_rows(first, count, DIGESTS, tokens=(1, 1), width=vectors)
        vector = np.stack(rows["pooled"].to_pylist()).astype(np.float32) * 2
        vector += random.normal(size=vector.shape).astype(np.float32) / vectors**0.5
        vector /= np.linalg.norm(vector, axis=1, keepdims=True)
        flat = pa.FixedSizeListArray.from_arrays(pa.array(vector.ravel()), vectors).cast(pa.list_(pa.float32()))
        number = np.arange(first, first + count)
        names = pa.array([recording_name(int(each)) for each in number // scenes_a_recording])
        when = pa.array(
            [now() - day * int(each) for each in number // max(1, scenes // 30)], SCENES.field("created_at").type
        )
        run = pa.array([_run(int(each) * runs // scenes, runs) for each in number])
        rows = _with(rows, pooled=flat, recording_id=names, created_at=when, run_id=run)
        pictures = _with(
            image_rows(rows, DIGESTS),
            similarity=pa.array(random.uniform(0, 1, count).astype(np.float32)),
            created_at=when,
            run_id=run,
        )
        _append(lake.scenes, rows)
        _append(lake.images, pictures)
        _append(lake.things, _thing_rows(rows, things_a_scene, random))
        print(f"  {first + count:,} of {scenes:,} scenes written", file=sys.stderr, flush=True)
    _append(lake.recordings, _recording_rows(-(-scenes // scenes_a_recording), scenes_a_recording))


def _run(number: int, runs: int) -> str:
    """Names of runs, the newest first."""
    return f"run-{runs - 1 - number:03}" if runs > 1 else "bench"


def _with(table: pa.Table, **columns: Any) -> pa.Table:
    for name, values in columns.items():
        table = table.set_column(table.schema.get_field_index(name), table.schema.field(name), values)
    return table


def _thing_rows(scenes: pa.Table, each: int, random: np.random.Generator) -> pa.Table:
    take = pa.array(np.repeat(np.arange(scenes.num_rows), each))
    chosen = random.integers(0, len(_NAMES), len(take))
    kept = {name: scenes[name].take(take) for name in THINGS.names if name in scenes.schema.names}
    made = {
        "thing_id": [f"c{number % each}{scene[2:]}" for number, scene in enumerate(kept["scene_id"].to_pylist())],
        "thing": pa.array(_NAMES).take(pa.array(chosen)),
        "shown": [True] * len(take),
    }
    return pa.table({name: (kept | made)[name] for name in THINGS.names}, schema=THINGS)


def _recording_rows(count: int, scenes: int) -> pa.Table:
    columns = {
        "source_uri": [f"s3://in/{number}.mp3" for number in range(count)],
        "recording_id": [recording_name(number) for number in range(count)],
        "status": ["ok"] * count,
        "duration_s": [scenes * 5.0] * count,
        "speech_s": [scenes * 4.0] * count,
        "scenes": [scenes] * count,
        "etag": ["e"] * count,
        "size_bytes": [1] * count,
        "retryable": [False] * count,
        "model_digest": [DIGESTS.encoder] * count,
        "plan_digest": [DIGESTS.plan] * count,
        "run_id": ["bench"] * count,
        "created_at": [now()] * count,
    }
    rows = [columns.get(name, [None] * count) for name in RECORDINGS.names]
    return pa.table(
        [pa.array(values, field.type) for values, field in zip(rows, RECORDINGS, strict=True)], schema=RECORDINGS
    )


def _append(table: LakeTable, rows: pa.Table) -> None:
    write_deltalake(table.delta() or table.create(), rows, mode="append")
