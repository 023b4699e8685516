"""Long recordings in constant memory: peak memory of a decode worker on ten hours over that on ten minutes.

Each recording lies in the embedded S3 server and goes through the decode stage of the job (`Decode`: ranged reads,
decoder, voice activity detection, features) in a process of its own, which hands its rows on and keeps none. The peak
is that of the process and its decoder together. The ten hours are the ten minutes again and again.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from cluster.jobs.request import JobRequest
from s2i_core import presets
from s2i_core.storage.embedded import EmbeddedStore
from s2i_core.storage.folders import s3_filesystem
from s2i_core.storage.objects import ObjectStore
from tests.bench.recordings import FORMATS, repeated, ten_minutes
from tests.bench.results import Options

_TIMES = 60
_BUCKET = "long"


def run(options: Options) -> dict[str, Any]:
    """Figures: peak memory in MB and seconds by format and length, the ratio, and the worst of them."""
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        store = EmbeddedStore(Path(folder) / "store")
        info = store.up()
        os.environ.update(info.environment())
        try:
            objects = ObjectStore(info.settings())
            objects.create_bucket(_BUCKET)
            for kind in ["m4a"] if options.quick else FORMATS:
                short = ten_minutes(kind, Path(folder) / f"short.{kind}")
                long = repeated(short, 3 if options.quick else _TIMES, Path(folder) / f"long.{kind}")
                heard = {}
                for name, path in {"ten_minutes": short, "ten_hours": long}.items():
                    s3_filesystem(info.settings()).put_file(str(path), f"{_BUCKET}/{name}.{kind}")
                    heard[name] = _heard(f"{name}.{kind}")
                    print(f"long_audio: {kind}, {name}: {heard[name]}", file=sys.stderr, flush=True)
                    path.unlink()
                    objects.delete(_BUCKET, f"{name}.{kind}")
                ratio = heard["ten_hours"]["peak_mb"] / heard["ten_minutes"]["peak_mb"]
                figures[kind] = {**heard, "memory_ratio": round(ratio, 3)}
        finally:
            store.down()
    return {
        **figures,
        "worst_memory_ratio": max(figure["memory_ratio"] for figure in figures.values()),
        "shortest_of_the_long_s": min(figure["ten_hours"]["audio_s"] for figure in figures.values()),
    }


def _heard(key: str) -> dict[str, Any]:
    done = subprocess.run([sys.executable, "-m", __spec__.name, key], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return dict(json.loads(done.stdout))


def _hear(key: str) -> dict[str, Any]:
    """In a process of its own."""
    from cluster.jobs import rows
    from cluster.jobs.stages import Decode

    request = JobRequest(source=f"s3://{_BUCKET}", destination=f"s3://{_BUCKET}/out", run_id="x", config=presets.cpu())
    (source,) = ObjectStore(request.store).list(_BUCKET, key)
    stage = Decode(request)
    utterances = 0
    end = None
    began = time.monotonic()
    for table in stage(rows.table([{"row": 0, **vars(source)}], rows.OBJECTS)):
        for each in table.to_pylist():
            utterances += each["end"] is None
            end = each["end"] or end
    wall_s = time.monotonic() - began
    mine_mb, decoder_mb = _peak_mb("self"), sum(map(_peak_mb, _children()))
    del stage  # and with it its decoder, whose CPU time is known once it has ended
    told = rows.from_json(rows.End, str(end))
    if told.heard is None:
        raise RuntimeError(str(told.failure))
    mine, childs = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return {
        "peak_mb": round(mine_mb + decoder_mb, 1),
        "decoder_mb": round(decoder_mb, 1),
        "audio_s": round(told.heard.duration_s),
        "utterances": utterances,
        "size_mb": round(source.size_bytes / 2**20, 1),
        "cpu_s": round(sum(used.ru_utime + used.ru_stime for used in (mine, childs)), 1),
        "wall_s": round(wall_s, 1),
    }


def _peak_mb(process: str) -> float:
    # Not getrusage: its peak includes that of the program which started this one.
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def _children() -> list[str]:
    tasks = Path("/proc/self/task").glob("*/children")
    return [pid for task in tasks for pid in task.read_text().split()]


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_hear(sys.argv[1])))
