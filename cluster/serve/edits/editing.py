"""Edits of the destination that the service was given: the editor of the core, drawing with the service's model.

An edit is answered once its row is there. The page and the pack of its recording follow in the background; what several
edits ask for meanwhile is written once.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, TypeVar

import numpy as np
from PIL import Image

from cluster.serve import problems
from cluster.serve.callers import Caller
from cluster.serve.clips.service import Service
from cluster.serve.messages import DrawnFiles, ModelInfo
from cluster.serve.problems import Refusal, log
from cluster.serve.schemas import EditRequest
from s2i_core.config import ImageConfig
from s2i_core.editing.editor import Edited, Editor, SceneState
from s2i_core.editing.follow import Followed, follow
from s2i_core.editing.redraw import Wish
from s2i_core.errors import ObjectGone, S2IError
from s2i_core.models.contracts import F16
from s2i_core.packs.destinations import Bucket
from s2i_core.packs.publish import publish
from s2i_core.steps import Picture, Planned
from s2i_core.storage.objects import ObjectStore, S3Settings
from s2i_core.storage.places import parse_uri
from s2i_core.storage.tables import Lake

Result = TypeVar("Result")
_THREADS = 4
_RUN = "edit"


class ServiceArtist:
    """An `Artist` over the deployments; it is used in a thread, and waits there for the loop of the service."""

    def __init__(self, service: Service, facts: ModelInfo, loop: asyncio.AbstractEventLoop) -> None:
        self._service = service
        self._loop = loop
        self._info = facts.decoder
        self.encoder_digest = facts.encoder_digest
        self.decoder_digest = facts.decoder_digest
        self.device = facts.device

    def check(self, image: ImageConfig) -> None:
        """Raise `ConfigError` where it can't draw so, `Refusal` where that is too much for a request."""
        self._info.check(image)
        limits = self._service.limits
        if image.steps > limits.max_steps or self._info.cost(image) > limits.max_cost:
            raise Refusal(422, "invalid", "This is more work than one request may ask for.", "Choose fewer steps.")

    def vectors(self, titles: Sequence[str]) -> F16:
        """Vectors `(n, E)` of things."""
        return asyncio.run_coroutine_threadsafe(self._service.things(list(titles)), self._loop).result()

    def draw(self, scene: Planned, seed: int, image: ImageConfig) -> Picture:
        """The picture of a scene."""
        # Without loss on the way, so that it is what the batch job's file has.
        asked = image.model_copy(update={"format": "png"})
        drawing = self._service.draw(scene, (seed,), asked, self._service.time_left())
        drawn: DrawnFiles = asyncio.run_coroutine_threadsafe(drawing, self._loop).result()
        with Image.open(io.BytesIO(drawn.files[0])) as opened:
            pixels = np.asarray(opened.convert("RGB"))
        return Picture(pixels, seed, drawn.similarity[0], drawn.compute_ms, drawn.contents[0])


@dataclass
class _Publishing:
    """Of a recording: whether its page and pack are written, and again after that; and what could not be."""

    running: bool = False
    again: bool = False
    make: bool = False
    stale: tuple[str, ...] = ()


class Editing:
    """The editors' side of the service.

    Args:
        service: draws, and knows the settings.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="edit")
        self._publishing: dict[str, _Publishing] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @cached_property
    def lake(self) -> Lake:
        """The tables of the destination."""
        settings = self._service.settings
        return Lake(settings.store or S3Settings.from_env(), settings.destination)

    @cached_property
    def _store(self) -> ObjectStore:
        return ObjectStore(self.lake.settings)

    def admit(self, caller: Caller) -> None:
        """Let an editor in.

        Raises:
            Refusal: there is nothing to edit, or the key has no right to.
        """
        if not self._service.settings.destination:
            raise problems.missing("This service has no destination that could be edited.")
        if not caller.may_edit:
            remedy = "Ask for a key that was made with --edits."
            raise Refusal(403, "forbidden", "This key may not edit.", remedy)

    async def episodes(self) -> list[dict[str, Any]]:
        """The illustrated recordings, in the order of their titles."""

        def look() -> list[dict[str, Any]]:
            place = Bucket(self._store, self.lake)
            return [
                {
                    "recording_id": str(each.recording["recording_id"]),
                    "title": place.title(each),
                    "duration_s": each.recording["duration_s"],
                    "pictures": len(each.images),
                }
                for each in place.recordings()
            ]

        return await self._run(look)

    async def states(self, recording_id: str) -> list[SceneState]:
        """The scenes of a recording."""
        return await self._run(lambda: self._reader().states(recording_id))

    async def picture(self, recording_id: str, image_id: str) -> tuple[bytes, str]:
        """The file of a picture, and its format.

        Raises:
            Refusal: there is none.
        """

        def read() -> tuple[bytes, str] | None:
            rows = self.lake.images.read(
                ["image_id", "recording_id", "key", "format"],
                _is("recording_id", recording_id) & _is("image_id", image_id),
            ).to_pylist()
            try:
                return (
                    (self._store.get(parse_uri(self.lake.uri)[0], rows[0]["key"]), rows[0]["format"]) if rows else None
                )
            except ObjectGone:
                return None

        if (found := await self._run(read)) is None:
            raise problems.missing("There is no such picture.")
        return found

    async def edit(self, caller: Caller, recording_id: str, scene_id: str, request: EditRequest) -> Edited:
        """Make an edit; the page and the pack follow.

        Raises:
            Refusal: it can't be made.
        """
        facts = await self._service.facts()
        loop = asyncio.get_running_loop()
        artist = ServiceArtist(self._service, facts, loop)
        if request.kind == "redo":
            await self._service.spend(caller, 1)

        def work() -> Edited:
            editor = Editor(self.lake, self._service.config, caller.name, "api", lambda: artist)
            if str(editor.state(scene_id).scene["recording_id"]) != recording_id:
                raise problems.missing("There is no such scene in this recording.")
            match request.kind:
                case "redo":
                    things = None if request.things is None else tuple(request.things)
                    wish = Wish(request.seed, request.style, request.steps, things)
                    return editor.redo(scene_id, wish, request.note)
                case "reject":
                    return editor.reject(scene_id, request.note)
                case "pin":
                    return editor.pin(scene_id, request.note)
                case "swap":
                    return editor.swap(scene_id, request.image_id, request.note)
                case "undo":
                    return editor.undo(scene_id, request.edit_id, request.note)

        def made() -> Edited:
            done = work()
            # Also where whoever asked has gone meanwhile: the edit stands, and what is published follows it.
            loop.call_soon_threadsafe(self.publish, recording_id)
            return done

        return await self._run(made)

    def publish(self, recording_id: str, *, make: bool = False) -> None:
        """Write the page and the pack of a recording in the background.

        Args:
            make: the pack, though there was none.
        """
        state = self._publishing.setdefault(recording_id, _Publishing())
        state.again, state.make = True, state.make or make
        if not state.running:
            state.running = True
            task = asyncio.get_running_loop().create_task(self._follow(recording_id, state))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def publishing(self, recording_id: str) -> tuple[bool, tuple[str, ...]]:
        """Whether the page and the pack are being written, and what could not be written last time."""
        state = self._publishing.get(recording_id, _Publishing())
        return state.running, state.stale

    async def _follow(self, recording_id: str, state: _Publishing) -> None:
        try:
            while state.again:
                make, state.again, state.make = state.make, False, False
                try:
                    state.stale = (await self._run(partial(self._write, recording_id, make))).stale
                except Refusal as refusal:
                    state.stale = (f"{refusal.problem.message} {refusal.problem.remedy}",)
                except Exception:  # noqa: BLE001 -- told to the editor and to the log; nobody else waits for it
                    log.exception("the page and the pack of %s could not be written", recording_id)
                    state.stale = ("Its page and its pack could not be written: a fault of the service. See its log.",)
        finally:
            state.running = False

    def _write(self, recording_id: str, make: bool) -> Followed:
        config = self._service.config
        if make:
            place = Bucket(self._store, self.lake, recording_id=recording_id)
            if place.recordings():
                done = publish(place, config.packs, config.audio, config.provenance, _RUN, [recording_id])
                if done.failures:
                    return Followed(stale=tuple(f"its pack: {each.message}. {each.remedy}" for each in done.failures))
        return follow(self.lake, recording_id, config)

    def _reader(self) -> Editor:
        def none() -> Any:
            raise AssertionError("a reader draws nothing")

        return Editor(self.lake, self._service.config, "reader", "api", none)

    async def _run(self, work: Callable[[], Result]) -> Result:
        """Work that waits for the store, in a thread.

        Raises:
            Refusal: for what it raised.
        """
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except S2IError as error:
            raise problems.of_edit(error) from None


def _is(column: str, value: str) -> Any:
    import pyarrow.compute as pc

    return pc.field(column) == value
