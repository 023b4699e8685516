"""A program that fills a destination as runs do, in a process of its own.

`python drawn_elsewhere.py CHECKPOINT URI N NAME EACH_S` draws N scenes of random vectors, each so long and with two
variants, in batches, as the jobs do; the recording is a piece of a sample, so that it has a page and a pack.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from rows_for_tests import recording, scene
from safetensors.numpy import save
from small_archive import SETTINGS, clip

from s2i_core import identity, steps
from s2i_core.config import RunConfig, changed
from s2i_core.editing.redraw import thing_vectors
from s2i_core.models import registry
from s2i_core.packs.destinations import Bucket
from s2i_core.packs.publish import publish
from s2i_core.pages import Pages
from s2i_core.presets import cpu
from s2i_core.publish.images import encode_image
from s2i_core.records import NAMED, SHOWN_THINGS, Scene, Status, row
from s2i_core.storage.artifacts import image_key
from s2i_core.storage.objects import ObjectStore, S3Settings
from s2i_core.storage.places import parse_uri
from s2i_core.storage.tables import Lake
from s2i_core.weights import digests

EACH_S = 2.0
_BATCH = 5


def settings(checkpoint: str | Path) -> RunConfig:
    told = {"model.checkpoint": str(checkpoint), "image.variants": 2, "packs.film": False}
    return changed(cpu(), SETTINGS | told)


def fill(checkpoint: str, uri: str, count: int, name: str, each_s: float) -> None:
    config = settings(checkpoint)
    names, model = digests(config), registry.load(config.model)
    store = ObjectStore(S3Settings.from_env())
    lake, (bucket, prefix) = Lake(store.settings, uri), parse_uri(uri)
    store.put(bucket, f"in/{name}", clip("farm-morning.mp3", 0, 4))
    (there,) = store.list(bucket, "in/")
    rng = np.random.default_rng(7)

    def some(*shape: int) -> bytes:
        return rng.standard_normal(shape).astype("<f2").tobytes()

    def planned(index: int) -> Scene:
        shown = {SHOWN_THINGS: thing_vectors(model, ["red disc"]), NAMED: np.array([(0.9, index)], np.float32)}
        made = scene("a", index, start_s=index * each_s, end_s=(index + 1) * each_s, focus_tokens=some(4, 8))
        facts = {"scene_id": identity.scene_id("id-a", index, index + 1, names.encoder, names.plan)}
        facts |= {"focus_pooled": some(8), "focus_extras": save(shown) if index % 2 else b"", "things": ["red disc"]}
        return Scene(**vars(made) | facts | {"model_digest": names.encoder, "plan_digest": names.plan})

    scenes = [planned(index) for index in range(count)]
    spoken = recording("a", source_uri=there.uri, etag=there.etag, size_bytes=there.size_bytes)
    facts = {"duration_s": count * each_s, "model_digest": names.encoder, "plan_digest": names.plan}
    lake.recordings.merge([row(type(spoken)(**vars(spoken) | facts))])
    silent = Scene(**vars(planned(count)) | {"status": Status.SKIPPED.value, "reason": "silence", "focus_tokens": b""})
    lake.scenes.merge([row(each) for each in (*scenes, silent)])
    for one in config.each_variant():
        for start in range(0, count, _BATCH):
            some_scenes = scenes[start : start + _BATCH]
            seeds = [identity.seed(each.scene_id, one.image.variant) for each in some_scenes]
            pictures = steps.draw_batch(some_scenes, seeds, one.image, model)
            images = []
            for each, picture in zip(some_scenes, pictures, strict=True):
                data = encode_image(picture.pixels, one.image, picture.contents)
                image_id = identity.image_id(each.scene_id, names.decoder, one.image_digest)
                key = image_key(prefix, "id-a", each.start_ms, image_id, one.image.format)
                facts = {"image": one.image, "model": model, "image_digest": one.image_digest, "run_id": "elsewhere"}
                images.append(row(steps.image_row(each, picture, data, key, **facts)))
                store.put(bucket, key, data)
            lake.images.merge(images)
    pages = Pages(store, lake, config, names, None)
    pages.publish(pages.pending(), [], lambda *_: None)
    assert publish(Bucket(store, lake), config.packs, config.audio, config.provenance, "run").made


if __name__ == "__main__":
    fill(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4], float(sys.argv[5]))
