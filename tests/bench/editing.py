"""One scene drawn again by an editor, with the page and the pack of its recording: seconds of the whole command.

A sample of a minute and a half is planned and drawn with the shipped model; then `s2i redo` runs on one of its scenes
as a program of its own, so that starting it and loading the model count. At last every picture is drawn again from its
row, alone, and compared with its file: those drawn in a batch here, and those that the program drew.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from typing import Any

from s2i_core import identity, steps
from s2i_core.audio.listen import listen
from s2i_core.config import RunConfig, changed
from s2i_core.editing.redraw import ModelArtist, redrawn
from s2i_core.models import registry
from s2i_core.packs.destinations import Bucket
from s2i_core.packs.publish import publish
from s2i_core.pages import Pages
from s2i_core.presets import cpu
from s2i_core.publish.images import encode_image
from s2i_core.records import Status, row
from s2i_core.steps import Planned
from s2i_core.storage.artifacts import image_key
from s2i_core.storage.objects import ObjectStore
from s2i_core.storage.tables import Lake
from s2i_core.weights import digests, least_heard
from tests.bench.results import ROOT, Options
from tests.bench.setting import own_store

_SAMPLE = "farm-morning.mp3"


def run(options: Options) -> dict[str, Any]:
    """Fill a destination, and edit it."""
    config = changed(cpu(), {"packs.film": False, "model.threads": 1})
    with own_store() as store, tempfile.TemporaryDirectory(prefix="s2i-bench-") as home:
        os.environ["S2I_HOME"] = home
        lake = _filled(store, config)
        seconds, cpu_seconds, last = [], [], {}
        (scene, *_) = lake.scenes.read(["scene_id", "status", "start_s"]).filter(_ok()).sort_by("start_s").to_pylist()
        for _ in range(1 if options.quick else 3):
            before, began = _children_s(), time.monotonic()
            command = ["redo", scene["scene_id"], "-d", lake.uri, "--json", "--set", "packs.film=false"]
            done = subprocess.run(
                [sys.executable, "-m", "s2i_core.cli", *command], check=True, capture_output=True, text=True, cwd=ROOT
            )
            seconds.append(time.monotonic() - began)
            cpu_seconds.append(_children_s() - before)
            last = json.loads(done.stdout)
        planned = {
            each["scene_id"]: Planned(**each) for each in lake.scenes.read(list(Planned.__annotations__)).to_pylist()
        }
        artist = ModelArtist(registry.load(config.model))
        rows = lake.images.read().to_pylist()
        again = [hashlib.sha256(redrawn(each, planned[each["scene_id"]], config, artist)).hexdigest() for each in rows]
        return {
            "redo_s": round(min(seconds), 2),
            "redo_cpu_s": round(min(cpu_seconds), 2),
            "followed": bool(last["page"] and last["pack"] and not last["stale"]),
            "pictures": len(rows),
            "drawn_otherwise": sum(each["sha256"] != found for each, found in zip(rows, again, strict=True)),
            "edits": lake.edits.count(),
        }


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _ok() -> Any:
    import pyarrow.compute as pc

    return pc.field("status") == Status.OK.value


def _filled(store: ObjectStore, config: RunConfig) -> Lake:
    """A destination with the sample, its pictures, its page and its pack."""
    store.create_bucket("bench")
    lake, sample = Lake(store.settings, "s3://bench/out"), ROOT / "samples" / _SAMPLE
    store.put("bench", f"in/{_SAMPLE}", sample.read_bytes())
    (there,) = store.list("bench", "in/")
    model, names = registry.load(config.model), digests(config)
    with sample.open("rb") as file:
        listening = listen(file, there.uri, config.audio, frontend=model.encoder.frontend)
        embedded = steps.embed(list(listening), model, least_heard(config))
    heard, run_id = listening.result, "bench"
    recording_id = identity.recording_id(heard.sha256)
    scenes = steps.plan(
        embedded, heard.gaps, config, recording_id=recording_id, encoder_digest=names.encoder, run_id=run_id
    )
    made = steps.recording_row(
        there.uri,
        there.etag,
        there.size_bytes,
        heard,
        scenes,
        encoder_digest=names.encoder,
        plan_digest=names.plan,
        run_id=run_id,
    )
    lake.recordings.merge([row(made)])
    lake.scenes.merge([row(each) for each in scenes])
    wanted = [each for each in scenes if each.status == Status.OK]
    pictures = steps.draw_batch(wanted, [identity.seed(each.scene_id) for each in wanted], config.image, model)
    images = []
    for each, picture in zip(wanted, pictures, strict=True):
        data = encode_image(picture.pixels, config.image, picture.contents)
        image_id = identity.image_id(each.scene_id, names.decoder, names.image)
        key = image_key("out", recording_id, each.start_ms, image_id, config.image.format)
        store.put("bench", key, data)
        images.append(
            row(
                steps.image_row(
                    each, picture, data, key, image=config.image, model=model, image_digest=names.image, run_id=run_id
                )
            )
        )
    lake.images.merge(images)
    pages = Pages(store, lake, config, names, None)
    pages.publish(pages.pending(), [], lambda *_: None)
    publish(Bucket(store, lake), config.packs, config.audio, config.provenance, run_id)
    return lake
