"""Images a second of the whole job `illustrate` over those of a bare loop with the same model, batches and processes.

The shipped model and the preset `cpu`: two workers of one thread each. Half an hour of audio is the sample archive
again and again, each copy turned by another offset so that none equals another. The job `plan` is run beforehand and is
in neither figure. Then the bare loop, the job, and the bare loop again draw the same scenes; the two bare ones are
averaged, so that a machine that gets slower or faster meanwhile spoils less.

`steady_ratio` compares the rates between the first and the last tenth of the images. `with_start_ratio` compares the
time for all of them: of the bare loop from the start of its processes to their end, the model's loading among it; of
the job from the call on a running Ray, whose first workers are up, to its summary, with the scan of the tables, the
start of the pool and all commits. `with_ray_start_ratio` counts the start of Ray on this machine as well.
"""

from __future__ import annotations

import io
import sys
import time
import wave
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import pyarrow.compute as pc
import ray

from cluster.jobs import rows
from cluster.jobs.illustrate import illustrate
from cluster.jobs.plan import plan
from cluster.jobs.request import JobRequest
from cluster.local import local_ray
from s2i_core import presets
from s2i_core.config import ImageConfig, RunConfig, SceneConfig
from s2i_core.records import Status
from s2i_core.storage.tables import Lake
from tests.bench.bare_loop import draw_all
from tests.bench.overhead import Meter
from tests.bench.recordings import SAMPLES, sound
from tests.bench.results import Options
from tests.bench.setting import own_store

_RATE_HZ = 16_000
_AUDIO_S, _QUICK_S = 1800, 30
_TURN_S = 7.3
_SUFFIXES = {".mp3", ".m4a", ".flac", ".ogg", ".opus", ".wav"}
_BROKEN = {"not-audio.mp3", "truncated-lecture.m4a"}
_EDGE = 0.1

Result = TypeVar("Result")


@dataclass(frozen=True)
class Drawn:
    """One way of drawing all scenes.

    Attributes:
        elapsed_s: from start to end.
        cpu_s: CPU time of this process and all below it, but for the store's.
        batches: end (Unix time, seconds) and number of images of each batch, by time.
        digests: scene id to the SHA-256 of its image.
    """

    elapsed_s: float
    cpu_s: float
    batches: list[tuple[float, int]]
    digests: dict[str, str]

    @property
    def steady(self) -> float:
        """Images a second without the edges: the slope of a line through their number over time."""
        ends = np.array([end for end, _ in self.batches])
        done = np.cumsum([size for _, size in self.batches])
        inner = (done >= _EDGE * done[-1]) & (done <= (1 - _EDGE) * done[-1])
        return float(np.polyfit(ends[inner] - ends[0], done[inner], 1)[0])

    @property
    def start_s(self) -> float:
        """What the whole took beyond its images at the steady rate: start and end."""
        return self.elapsed_s - len(self.digests) / self.steady


def run(options: Options) -> dict[str, Any]:
    """Plan; then bare loop, job, bare loop."""
    config = presets.cpu()
    if options.quick:  # small scenes in batches of one, for a rate of a few images needs as many batches
        pools = config.resources
        single = pools.generate.model_copy(update={"batch_size": 1})
        config = config.model_copy(
            update={
                "scenes": SceneConfig(min_s=2, max_s=4, min_confidence=-1),
                "image": ImageConfig(steps=1),
                "resources": pools.model_copy(update={"generate": single}),
            }
        )
    with own_store() as store:
        store.create_bucket("bench")
        for name, data in _archive(_QUICK_S if options.quick else _AUDIO_S):
            store.put("bench", f"in/{name}", data)
        request = JobRequest(
            source="s3://bench/in", destination="s3://bench/out", run_id="bench", config=config, store=store.settings
        )
        lake = Lake(store.settings, request.destination)
        with local_ray(2):
            planned = plan(request)
        scenes = lake.scenes.read(rows.PLANNED.names, pc.field("status") == Status.OK.value).to_pylist()
        print(f"  {len(scenes)} scenes planned in {planned.elapsed_s:.0f} s", file=sys.stderr, flush=True)
        bare = [_bare(scenes, config, request)]
        started = time.monotonic()
        with local_ray(2):
            # Ray starts a worker for each CPU beforehand; it runs when those do.
            ray.get([ray.remote(lambda: time.sleep(0.5)).remote() for _ in range(2)])
            ray_s = time.monotonic() - started
            job = _job(request, lake)
        if not options.quick:
            bare.append(_bare(scenes, config, request))
        images = Counter(lake.images.read(["scene_id"])["scene_id"].to_pylist())
    bare_steady = sum(each.steady for each in bare) / len(bare)
    bare_s = sum(each.elapsed_s for each in bare) / len(bare)
    return {
        "steady_ratio": round(job.steady / bare_steady, 3),
        "with_start_ratio": round(bare_s / job.elapsed_s, 3),
        "with_ray_start_ratio": round(bare_s / (job.elapsed_s + ray_s), 3),
        "cpu_ratio": round(sum(each.cpu_s for each in bare) / len(bare) / job.cpu_s, 3),
        "rows_lost": len({each["scene_id"] for each in scenes} - images.keys()),
        "rows_doubled": sum(count > 1 for count in images.values()),
        "pictures_equal": all(each.digests == job.digests for each in bare),
        "scenes": len(scenes),
        "audio_s": round(planned.audio_s, 1),
        "job": _facts(job) | {"ray_start_s": round(ray_s, 1)},
        "bare": [_facts(each) for each in bare],
        "notes": {
            "with_start_ratio": f"Start and end took the job {job.start_s:.1f} s and the bare loop "
            f"{sum(each.start_s for each in bare) / len(bare):.1f} s; these scenes are drawn in "
            f"{len(scenes) / bare_steady:.0f} s. Besides its workers the job has a driver, actors of Ray (statistics, "
            "autoscaling, locations of actors) and a reader: each a process that imports Ray Data on the same cores."
        },
    }


def _archive(seconds: int) -> Iterator[tuple[str, bytes]]:
    """Names and WAV files, `seconds` in all; no file twice."""
    files = [path for path in sorted(SAMPLES.iterdir()) if path.suffix in _SUFFIXES and path.name not in _BROKEN]
    spoken = {path.name: sound(path, _RATE_HZ, "mono")[0] for path in files}
    left, turn = seconds * _RATE_HZ, 0
    while left:
        for name, heard in spoken.items():
            part = np.roll(heard, -int(turn * _TURN_S * _RATE_HZ))[:left]
            left -= len(part)
            if len(part):
                yield f"{turn:02}-{name}.wav", _wav(part)
        turn += 1


def _wav(samples: np.ndarray) -> bytes:
    """int16 `(T,)`, mono."""
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setparams((1, 2, _RATE_HZ, 0, "NONE", ""))
        written.writeframes(samples.astype("<i2").tobytes())
    return file.getvalue()


def _bare(scenes: list[dict[str, Any]], config: RunConfig, request: JobRequest) -> Drawn:
    done, elapsed_s, cpu_s = _metered(lambda: draw_all(scenes, config, request.store, "bench"))
    digests = {scene: digest for batch in done for scene, digest in batch.digests.items()}
    return _told("bare", Drawn(elapsed_s, cpu_s, sorted((each.ended, len(each.digests)) for each in done), digests))


def _job(request: JobRequest, lake: Lake) -> Drawn:
    _, elapsed_s, cpu_s = _metered(lambda: illustrate(request))
    images = lake.images.read(["scene_id", "sha256", "created_at", "compute_ms"]).to_pylist()
    # Images of one batch share their time of drawing, to the last digit.
    ends: dict[float, list[float]] = {}
    for image in images:
        ends.setdefault(image["compute_ms"], []).append(image["created_at"].timestamp())
    digests = {image["scene_id"]: image["sha256"] for image in images}
    batches = sorted((max(each), len(each)) for each in ends.values())
    return _told("job", Drawn(elapsed_s, cpu_s, batches, digests))


def _metered(call: Callable[[], Result]) -> tuple[Result, float, float]:
    """What the call returns, its seconds, and the CPU seconds that it took here and in processes below."""
    meter = Meter()
    try:
        before, started = meter.cpu_s, time.monotonic()
        result = call()
        return result, time.monotonic() - started, meter.cpu_s - before
    finally:
        meter.stop()


def _told(name: str, drawn: Drawn) -> Drawn:
    print(f"  {name}: {_facts(drawn)}", file=sys.stderr, flush=True)
    return drawn


def _facts(drawn: Drawn) -> dict[str, float]:
    return {
        "images_a_s": round(drawn.steady, 3),
        "elapsed_s": round(drawn.elapsed_s, 1),
        "start_and_end_s": round(drawn.start_s, 1),
        "cpu_s": round(drawn.cpu_s, 1),
        "batches": len(drawn.batches),
    }
