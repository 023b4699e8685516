"""Scenes to image files with the core alone: what the job `illustrate` is held against.

As many processes as the job's pool has workers, each with the pipeline, take batches from one queue, draw them, encode
the pictures and put the files. No tables, no Ray, no retries, no similarity of a picture to what was said.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

from s2i_core.config import RunConfig
from s2i_core.identity import seed
from s2i_core.storage.objects import S3Settings


@dataclass(frozen=True)
class Batch:
    """A batch that is done.

    Attributes:
        ended: Unix time, in seconds, at which its last file was written.
        digests: scene id to the SHA-256 of its file.
    """

    ended: float
    digests: dict[str, str]


def draw_all(scenes: Sequence[dict[str, Any]], config: RunConfig, store: S3Settings, bucket: str) -> list[Batch]:
    """Load the model in each process, draw everything, and end the processes.

    Args:
        scenes: rows as `cluster.jobs.rows.PLANNED` has them.
        config: of the job: its model, pictures, batch size, and number of workers.
        store: with the login from the environment.
        bucket: where the files go, below `bare/`.
    """
    pool = config.resources.generate
    batches = [scenes[start : start + pool.batch_size] for start in range(0, len(scenes), pool.batch_size)]
    with ProcessPoolExecutor(
        pool.initial, multiprocessing.get_context("spawn"), initializer=_load, initargs=(config, store, bucket)
    ) as workers:
        return list(workers.map(_draw, batches))


def _load(config: RunConfig, store: S3Settings, bucket: str) -> None:
    global _state  # noqa: PLW0603 -- what a process keeps between its batches
    from s2i_core.models import registry
    from s2i_core.storage.objects import ObjectStore

    _state = registry.load(config.model), ObjectStore(store), config.image, bucket


def _draw(scenes: Sequence[dict[str, Any]]) -> Batch:
    from s2i_core import steps
    from s2i_core.publish.images import content_type, encode_image

    model, store, image, bucket = _state
    speech = steps.focus([steps.Planned(**each) for each in scenes], model)
    pixels = steps.draw(speech, [seed(each["scene_id"]) for each in scenes], image, model).images
    digests = {}
    for each, picture in zip(scenes, pixels, strict=True):
        data = encode_image(picture, image)
        digests[each["scene_id"]] = hashlib.sha256(data).hexdigest()
        store.put(bucket, f"bare/{each['scene_id']}.{image.format}", data, content_type(image.format))
    return Batch(time.time(), digests)


_state: Any = None
