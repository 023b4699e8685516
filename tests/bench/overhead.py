"""The job's own work a scene, with a model that does nothing: milliseconds of one core.

The job `illustrate` as it is, on a real store, with pictures that are drawn at no cost. Counted is the CPU time of the
driver, of Ray and of the workers, from the first scenes to the last; the S3 server's is not the job's.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cluster.jobs import illustrate as job
from cluster.jobs.request import JobRequest, Progress
from cluster.jobs.stages import Draw
from cluster.local import local_ray
from s2i_core import presets
from s2i_core.config import ModelConfig, PoolConfig, ResourceConfig
from s2i_core.identity import seed
from s2i_core.publish.images import encode_image
from s2i_core.steps import Picture, Planned
from s2i_core.storage.tables import Lake
from s2i_core.weights import digests
from tests.bench.results import Options
from tests.bench.setting import own_store, scene_rows
from tests.tiny import tiny_pipeline

_SCENES = 3_000
_WARM = 0.1
_WARM_CALLS, _CALLS = 20, 200


class Nothing(Draw):
    """Draws black pictures at once; looks up, encodes and writes as the real stage."""

    def _draw(self, scenes: Sequence[Planned]) -> list[Picture]:
        pixels = np.zeros((*self._config.image.frame_px, 3), np.uint8)
        return [Picture(pixels, seed(each.scene_id), similarity=0.0, compute_ms=0.0, contents=None) for each in scenes]


class Meter:
    """CPU time of this process and of those below it, but for the store's, whoever of them ends meanwhile."""

    def __init__(self) -> None:
        self._last: dict[int, float] = {}
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def cpu_s(self) -> float:
        """Seconds so far."""
        self._look()
        return sum(self._last.values())

    def stop(self) -> None:
        """End the thread that looks."""
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._done.wait(0.5):
            self._look()

    def _look(self) -> None:
        import psutil  # comes with ray, and is found once ray is imported

        for process in [psutil.Process(), *psutil.Process().children(recursive=True)]:
            try:
                if process.name() != "weed":
                    times = process.cpu_times()
                    self._last[process.pid] = times.user + times.system
            except psutil.Error:
                continue


def run(options: Options) -> dict[str, Any]:
    """Plan scenes, and have the job draw them."""
    scenes = 200 if options.quick else _SCENES
    with tempfile.TemporaryDirectory() as folder, own_store() as store:
        tiny_pipeline().save_pretrained(Path(folder))
        config = presets.cpu().model_copy(
            update={
                "model": ModelConfig(checkpoint=folder, device="cpu", threads=1),
                "resources": ResourceConfig(
                    generate=PoolConfig(initial=2, minimum=2, maximum=2, num_cpus=1, batch_size=16), commit_rows=512
                ),
            }
        )
        store.create_bucket("bench")
        request = JobRequest(
            source="s3://bench/in", destination="s3://bench/out", run_id="bench", config=config, store=store.settings
        )
        lake = Lake(store.settings, request.destination)
        lake.scenes.merge(scene_rows(0, scenes, digests(config), tokens=(4, 8), width=8))
        setattr(job, "Draw", Nothing)  # noqa: B010 -- it is another class to mypy
        meter = Meter()
        marks: list[tuple[int, float, float]] = []

        def mark(progress: Progress) -> None:
            if progress.done >= _WARM * scenes:
                marks.append((progress.done, time.monotonic(), meter.cpu_s))

        try:
            with local_ray(2):
                summary = job.illustrate(request, mark)
        finally:
            setattr(job, "Draw", Draw)  # noqa: B010
            meter.stop()
        (first, started, before), (last, ended, after) = marks[0], marks[-1]
        black = np.zeros((config.image.size_px, config.image.size_px, 3), np.uint8)
        encoded = encode_image(black, config.image)
        encode_ms = _alone_ms(lambda _: encode_image(black, config.image))
        put_ms = _alone_ms(lambda n: store.put("bench", f"alone/{n}.webp", encoded))
        return {
            "ms_a_scene_a_core": round(1000 * (after - before) / (last - first), 2),
            "encode_ms": round(encode_ms, 2),
            "put_ms": round(put_ms, 2),
            "scenes_a_s": round((last - first) / (ended - started), 1),
            "scenes": summary.rows_in,
            "rows_lost": scenes - lake.images.count(),
            "notes": {
                "ms_a_scene_a_core": f"Of these, encoding a black picture of {config.image.size_px} px as WebP takes "
                f"{encode_ms:.1f} ms, and boto3 takes {put_ms:.1f} ms of this process for writing it, each measured "
                "alone in the same run. What is left is the tables, the account of outcomes, and Ray Data."
            },
        }


def _alone_ms(step: Callable[[int], object]) -> float:
    """CPU milliseconds of this process for one call."""
    for n in range(_WARM_CALLS):
        step(n)
    started = time.process_time()
    for n in range(_CALLS):
        step(n)
    return 1000 * (time.process_time() - started) / _CALLS
