"""The stages of the jobs: each is a step of the core, as a callable for `map_batches`.

A stage turns every error of a row into a row that says so; it raises only if the worker itself is unusable. Errors that
may pass (the store does not answer) are retried in the stage, a bounded number of times.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import ray
from safetensors.numpy import save

from cluster import metrics
from cluster.jobs import model, rows
from cluster.jobs.patience import Patience
from cluster.jobs.pools import DECODE, ENCODE, GENERATE
from cluster.jobs.request import JobRequest
from s2i_core import identity, logs, steps, tracing
from s2i_core.audio.isolated import DecoderProcess
from s2i_core.audio.listen import Utterance, listen
from s2i_core.errors import DecodeError, ObjectGone, StorageError, StorageUnavailable
from s2i_core.logs import Log
from s2i_core.models import registry
from s2i_core.publish import xmp
from s2i_core.publish.images import content_type, encode_image
from s2i_core.records import AudioObject, Failure, ImageSample, Stage, row
from s2i_core.scenes import Embedded
from s2i_core.steps import Planned
from s2i_core.storage.artifacts import image_key, images_folder
from s2i_core.storage.objects import ObjectStore
from s2i_core.storage.places import parse_uri
from s2i_core.weights import least_confidence, least_heard

Given = TypeVar("Given")
Result = TypeVar("Result")
_FACTS = "s2i-image"
_RECORDINGS_LISTED = 64  # recordings whose images a worker remembers


class Decode:
    """Objects (`rows.OBJECTS`) to their utterances and an end for each object (`rows.HEARD`), as a stream.

    Reads, decodes, finds speech and computes features in one task, so that no waveform leaves it. Needs no torch. The
    decoder is a process of its own: a file that crashes it, or makes it hang, costs that process and nothing else.
    """

    pool = DECODE

    def __init__(self, request: JobRequest) -> None:
        self._store = ObjectStore(request.store)
        self._audio = request.config.audio
        self._frontend = registry.frontend(request.config.model.encoder)
        self._resources = request.config.resources
        self._decoder = DecoderProcess(request.config.resources.decoder)
        self._run_id = request.run_id
        self._traceparent = request.traceparent
        self._log = _log("decode", request)

    def __call__(self, objects: pa.Table) -> Iterator[pa.Table]:
        """`OBJECTS` to `HEARD`, one row at a time."""
        for each in objects.to_pylist():
            number = each.pop("row")
            source = AudioObject(**each)
            facts: tracing.Attributes = {"s2i.run_id": self._run_id, "s2i.source_uri": source.uri, "s2i.batch": 1}
            with metrics.timed("decode"), tracing.span("stage decode", facts, parent=self._traceparent):
                for heard in self._decoded(source):
                    yield rows.table([{"row": number, **heard}], rows.HEARD)

    def _decoded(self, source: AudioObject) -> Iterator[dict[str, Any]]:
        given, attempt = 0, 1
        patience = Patience(self._resources)
        while True:
            try:
                with self._store.open(source) as file:
                    listening = listen(file, source.uri, self._audio, self._decoder.decode, self._frontend)
                    for index, heard in enumerate(listening):
                        if index < given:  # the same bytes give the same utterances: those were given before
                            continue
                        yield {
                            "index": index,
                            "start_s": heard.start_s,
                            "end_s": heard.end_s,
                            "features": heard.features.astype("<f2").tobytes(),
                        }
                        given = index + 1
                yield {"index": given, "end": rows.to_json(rows.End(heard=listening.result))}
                return
            except Exception as error:  # noqa: BLE001 -- whatever it is, it is this recording's outcome, not the run's
                if isinstance(error, StorageUnavailable):
                    again = patience.again()
                else:
                    again = (
                        isinstance(error, DecodeError) and error.transient and attempt < self._resources.max_attempts
                    )
                if not again:
                    yield self._failed(error, source, attempt, given)
                    return
                attempt += 1
                self._log.warning("recording is tried again", source_uri=source.uri, attempt=attempt, error=str(error))

    def _failed(self, error: Exception, source: AudioObject, attempts: int, given: int) -> dict[str, Any]:
        stage = Stage.READ if isinstance(error, StorageError | ObjectGone) else Stage.DECODE
        failure = Failure.of(error, subject=source.uri, stage=stage, run_id=self._run_id, attempts=attempts)
        return {"index": given, "end": rows.to_json(rows.End(failure=failure))}


class Encode:
    """Utterances (`rows.HEARD`) to embeddings (`rows.ENCODED`); ends pass through.

    The tokens of what is below the limits of confidence, and so can be no focus, are dropped: the driver holds the rows
    of a recording until its scenes are planned, and tokens are most of their size.
    """

    pool = ENCODE

    def __init__(self, request: JobRequest, digest: str) -> None:
        self._log = _log("encode", request)
        self._model = model.load(request.config.model, request.config.resources.encode, encoder=digest)
        limit = request.config.scenes.min_confidence
        self._min_confidence = self._model.space.min_confidence if limit is None else limit
        self._least, self._least_heard = least_confidence(request.config), least_heard(request.config)
        self._run_id = request.run_id
        self._traceparent = request.traceparent
        self._node = _node()

    def __call__(self, heard: pa.Table) -> pa.Table:
        """`HEARD` to `ENCODED`, row for row."""
        given = heard.to_pylist()
        utterances = [each for each in given if each["end"] is None]
        facts: tracing.Attributes = {"s2i.run_id": self._run_id, "s2i.batch": len(utterances)}
        with tracing.span("stage encode", facts, parent=self._traceparent):
            embedded = iter(_each_or_alone(self._encode, self._failed, utterances))
        kept = ("row", "index", "start_s", "end_s", "end")
        encoded = [
            {name: each[name] for name in kept} | {"node": self._node} | (next(embedded) if each["end"] is None else {})
            for each in given
        ]
        return rows.table(encoded, rows.ENCODED)

    @metrics.timed("encode")
    def _encode(self, utterances: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        shape = self._model.encoder.frontend.shape
        heard = [
            Utterance(each["start_s"], each["end_s"], rows.array(each["features"], np.float16, shape), 0.0)
            for each in utterances
        ]
        return [
            {
                "tokens": each.tokens.tobytes() if self._drawable(each) else b"",
                "token_width": each.tokens.shape[1],
                "extras": save(dict(each.extras)) if self._drawable(each) and each.extras else b"",
                "pooled": each.pooled.astype("<f4").tobytes(),
                "confidence": each.confidence,
                "speech_share": each.speech_share,
                "things": rows.things_cell(each.things),
            }
            for each in steps.embed(heard, self._model, self._least_heard)
        ]

    def _drawable(self, utterance: Embedded) -> bool:
        if self._least is not None:
            return any(thing.confidence >= self._least for thing in utterance.things)
        return utterance.confidence >= self._min_confidence

    def _failed(self, error: Exception, utterance: Mapping[str, Any]) -> dict[str, Any]:
        # The stage only knows the recording's number; the assembler puts the name in.
        failure = Failure.of(error, subject=str(utterance["row"]), stage=Stage.ENCODE, run_id=self._run_id)
        return {"failure": rows.to_json(failure)}


class Draw:
    """Scenes (`rows.PLANNED`) to images in the bucket and their rows (`rows.DRAWN`).

    An image that a killed run wrote is adopted, with the facts in its metadata. Two calls may run at a time: one draws
    while the other looks up and writes.
    """

    pool = GENERATE

    def __init__(self, request: JobRequest, digest: str) -> None:
        self._log = _log("draw", request)
        self._model = model.load(request.config.model, request.config.resources.generate, decoder=digest)
        self._store = ObjectStore(request.store)
        self._bucket, self._prefix = parse_uri(request.destination)
        self._config = request.config
        self._image_digest = request.config.image_digest  # the property computes it every time
        self._run_id = request.run_id
        self._traceparent = request.traceparent
        self._node = _node()
        self._drawing = threading.Lock()
        self._writers = ThreadPoolExecutor(request.config.resources.write_concurrency)
        self._listed: OrderedDict[str, frozenset[str]] = OrderedDict()
        self._listing = threading.Lock()

    def __call__(self, scenes: pa.Table) -> pa.Table:
        """`PLANNED` to `DRAWN`, row for row."""
        facts: tracing.Attributes = {"s2i.run_id": self._run_id, "s2i.batch": scenes.num_rows}
        with tracing.span("stage draw", facts, parent=self._traceparent):
            return self._drawn(scenes)

    def _drawn(self, scenes: pa.Table) -> pa.Table:
        wanted = [Planned(**each) for each in scenes.to_pylist()]
        done: dict[str, dict[str, Any]] = {}
        found = self._writers.map(self._attempt(self._adopt, Stage.READ), wanted)
        done |= {each.scene_id: result for each, result in zip(wanted, found, strict=True) if result is not None}
        missing = [each for each in wanted if each.scene_id not in done]
        with self._drawing, tracing.span("draw", {"s2i.batch": len(missing)}):
            drawn = _each_or_alone(self._draw, self._failure(Stage.GENERATE), missing)
        written = self._writers.map(self._attempt(self._write, Stage.WRITE), missing, drawn)
        done |= {each.scene_id: result for each, result in zip(missing, written, strict=True)}
        return rows.table([done[each.scene_id] | {"node": self._node} for each in wanted], rows.DRAWN)

    def _image_id(self, scene: Planned) -> str:
        return identity.image_id(scene.scene_id, self._model.decoder_digest, self._image_digest)

    def _key(self, scene: Planned) -> str:
        start_ms = round(scene.start_s * 1000)
        format = self._config.image.format
        return image_key(self._prefix, scene.recording_id, start_ms, self._image_id(scene), format)

    def _before(self, recording_id: str) -> frozenset[str]:
        """Keys of the recording's images that existed when this worker first saw the recording.

        One listing per recording is less work than a request per scene. What another run writes later is written
        again, with the same bytes.
        """
        with self._listing:
            if recording_id not in self._listed:
                folder = images_folder(self._prefix, recording_id)
                self._listed[recording_id] = frozenset(one.key for one in self._store.list(self._bucket, folder))
                if len(self._listed) > _RECORDINGS_LISTED:
                    self._listed.popitem(last=False)
            return self._listed[recording_id]

    def _adopt(self, scene: Planned) -> dict[str, Any] | None:
        if self._key(scene) not in self._before(scene.recording_id):
            return None
        there = self._store.head(self._bucket, self._key(scene))
        if there is None:
            return None
        try:
            image = rows.from_json(ImageSample, there.metadata.get(_FACTS, ""))
        except ValueError:
            return None  # not ours, or from before: written anew
        if image.image_id != self._image_id(scene) or image.size_bytes != there.size_bytes:
            return None
        shown = steps.shown(xmp.contents_of(self._store.get(self._bucket, image.key)))
        settings = steps.settings_cell(self._config.image)
        return row(replace(image, **shown, run_id=self._run_id, settings=settings)) | {"adopted": True}

    @metrics.timed("draw")
    def _draw(self, scenes: Sequence[Planned]) -> list[steps.Picture]:
        seeds = [identity.seed(each.scene_id, self._config.image.variant) for each in scenes]
        return steps.draw_batch(scenes, seeds, self._config.image, self._model)

    def _write(self, scene: Planned, drawn: steps.Picture | dict[str, Any]) -> dict[str, Any]:
        if isinstance(drawn, dict):
            return drawn  # a failure
        data = encode_image(drawn.pixels, self._config.image, drawn.contents)
        image = steps.image_row(
            scene,
            drawn,
            data,
            self._key(scene),
            image=self._config.image,
            model=self._model,
            image_digest=self._image_digest,
            run_id=self._run_id,
        )
        # Metadata have room for 2 KB: what it shows is in the file, and the settings are those of who adopts it.
        facts = {_FACTS: rows.to_json(replace(image, **steps.shown(None), settings=None))}
        self._store.put(self._bucket, image.key, data, content_type(self._config.image.format), metadata=facts)
        return row(image) | {"adopted": False}

    def _attempt(self, step: Callable[..., Result], stage: Stage) -> Callable[..., Result | dict[str, Any]]:
        """The step with retries; an error becomes a failure of the scene, which is its first argument."""

        def attempt(scene: Planned, *arguments: Any) -> Result | dict[str, Any]:
            patience = Patience(self._config.resources)
            while True:
                try:
                    return step(scene, *arguments)
                except StorageUnavailable as error:
                    if not patience.again():
                        return self._failure(stage, patience.tries)(error, scene)
                    self._log.warning(
                        "scene is tried again",
                        recording_id=scene.recording_id,
                        scene_id=scene.scene_id,
                        attempt=patience.tries,
                        error=str(error),
                    )
                except Exception as error:  # noqa: BLE001 -- this scene's outcome, not the run's
                    return self._failure(stage, patience.tries)(error, scene)

        return tracing.carried(attempt)

    def _failure(self, stage: Stage, attempts: int = 1) -> Callable[[Exception, Planned], dict[str, Any]]:
        def failed(error: Exception, scene: Planned) -> dict[str, Any]:
            failure = Failure.of(
                error,
                subject=self._image_id(scene),
                stage=stage,
                run_id=self._run_id,
                attempts=attempts,
                recording_id=scene.recording_id,
                scene_id=scene.scene_id,
            )
            return {"scene_id": scene.scene_id, "failure": rows.to_json(failure)}

        return failed


def _log(stage: str, request: JobRequest) -> Log:
    """The log of a worker, which Ray keeps in the files of its process."""
    logs.to_stderr()
    log = Log("stages", stage=stage, run_id=request.run_id, node=_node() or None)
    log.info("worker began")
    return log


def _node() -> str:
    """Id of the Ray node that this worker runs on; empty outside Ray."""
    return str(ray.get_runtime_context().get_node_id()) if ray.is_initialized() else ""


def _each_or_alone(
    step: Callable[[Sequence[Given]], list[Result]],
    failed: Callable[[Exception, Given], dict[str, Any]],
    batch: Sequence[Given],
) -> list[Result | dict[str, Any]]:
    """The step on the whole batch; if that fails, on each row alone, so that only the bad rows fail."""
    if not batch:
        return []
    try:
        return list(step(batch))
    except Exception as error:  # noqa: BLE001 -- becomes the outcome of the row that caused it
        if len(batch) == 1:
            return [failed(error, batch[0])]
    return [result for each in batch for result in _each_or_alone(step, failed, [each])]
