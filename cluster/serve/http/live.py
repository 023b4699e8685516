"""`/v1/live`: a microphone's audio in; while somebody speaks and after it: where speech is, previews, the picture.

One connection carries one clip after another. Each pause ends an utterance, and each utterance is drawn; of more than
can be drawn at once, the latest are. A connection holds a bounded amount, whatever it sends.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import time
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from pydantic import TypeAdapter, ValidationError

from cluster.serve import faults, problems
from cluster.serve.callers import WS_PROTOCOL, Caller
from cluster.serve.clips.admission import TimeLeft
from cluster.serve.clips.doubt import thing_of, vector_of
from cluster.serve.clips.service import Service, sureness
from cluster.serve.clips.streamed import Opus, Pcm
from cluster.serve.http.guard import REFUSED
from cluster.serve.http.server import MAX_MESSAGE_BYTES
from cluster.serve.messages import DrawnFiles, PreviewFile
from cluster.serve.problems import Refusal, log
from cluster.serve.schemas import LiveCancel, LiveEnd, LiveStart, PictureContents
from s2i_core import identity
from s2i_core.audio.features import SAMPLING_RATE_HZ
from s2i_core.audio.listen import Utterance
from s2i_core.audio.vad import Segmenter, level_dbfs
from s2i_core.config import ImageConfig
from s2i_core.records import Gap, Scene, Segment, Skip, Status

_WAITING = 2
"""Utterances of a connection that wait while one is drawn."""
_SEND_S = 10.0
_CLOSE_POLICY, _CLOSE_LATER, _CLOSE_KEY = 1008, 1013, 4401

_Command: TypeAdapter[LiveStart | LiveEnd | LiveCancel] = TypeAdapter(LiveStart | LiveEnd | LiveCancel)


router = APIRouter()


@router.websocket("/v1/live")
async def live(socket: WebSocket) -> None:
    """Serve one connection until it ends."""
    service: Service = socket.app.state.service
    protocols = list(socket.scope.get("subprotocols") or ())
    await socket.accept(WS_PROTOCOL if WS_PROTOCOL in protocols else None)
    try:
        caller = service.doorkeeper.caller(socket.headers, socket.client, protocols)
        with service.live.take(caller.key_name):
            async with asyncio.timeout(service.limits.live_s), service.doorkeeper.holding(caller):
                await _Connection(socket, service, caller).run()
    except WebSocketDisconnect:
        return
    except TimeoutError:
        await _close(socket, Refusal(408, "too_long", "The connection was open too long.", "Connect again."))
    except Refusal as refusal:
        await _close(socket, refusal)
    except Exception as error:  # noqa: BLE001 -- told to the client and the log; the service goes on
        id = faults.request_id(socket.headers)
        log.error("request %s, a live connection, failed", id, exc_info=error)
        await _close(socket, problems.internal(id))


async def _close(socket: WebSocket, refusal: Refusal) -> None:
    socket.scope[REFUSED] = refusal.status
    code = {401: _CLOSE_KEY, 503: _CLOSE_LATER}.get(refusal.status, _CLOSE_POLICY)
    with contextlib.suppress(WebSocketDisconnect, RuntimeError, TimeoutError):
        async with asyncio.timeout(_SEND_S):
            await socket.send_json({"type": "error", "error": refusal.problem.model_dump(exclude_none=True)})
            await socket.close(code, refusal.problem.code)


class _Connection:
    """The clips of one connection, one after the other."""

    def __init__(self, socket: WebSocket, service: Service, caller: Caller) -> None:
        self._socket = socket
        self._service = service
        self._caller = caller
        self._sending = asyncio.Lock()
        self._clip: _Clip | None = None
        self._next: asyncio.Future[Any] | None = None
        """The message that is waited for; it outlives a wait that something else ended."""

    async def run(self) -> None:
        """Take messages until the client leaves."""
        try:
            while True:
                await self._take(await self._receive())
        finally:
            if self._next is not None:
                self._next.cancel()
            if self._clip is not None:
                await self._clip.cancel()

    async def send(self, event: dict[str, Any]) -> None:
        """One event; a client that does not read is given up."""
        async with self._sending, asyncio.timeout(_SEND_S):
            await self._socket.send_json(event)

    async def _receive(self) -> bytes | str:
        """The next message; a failure of the drawing in the meantime is raised here."""
        others = {self._clip.failed} if self._clip is not None else set()
        if not await self._wait(others, self._service.limits.live_idle_s):
            raise Refusal(408, "upload_timeout", "Nothing was sent for too long.", "Connect again to go on.")
        for other in others:
            if other.done():
                other.result()
        return self._message()

    async def _wait(self, others: set[asyncio.Future[None]], timeout_s: float | None) -> bool:
        """Wait for the next message or something else; False where neither came in time."""
        if self._next is None:
            self._next = asyncio.ensure_future(self._socket.receive())
        done, _ = await asyncio.wait({self._next, *others}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        return bool(done)

    def _message(self) -> bytes | str:
        assert self._next is not None
        receive, self._next = self._next, None
        message = receive.result()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code") or 1000)
        content: bytes | str | None = message.get("bytes")
        content = message.get("text") if content is None else content
        if content is None or len(content) > MAX_MESSAGE_BYTES:
            raise Refusal(413, "too_large", f"A message may have {MAX_MESSAGE_BYTES} bytes.", "Send shorter ones.")
        return content

    async def _take(self, message: bytes | str) -> None:
        if isinstance(message, bytes):
            if self._clip is None:
                raise _unexpected("Audio came before start.")
            await self._clip.audio(message)
            return
        try:
            command = _Command.validate_json(message)
        except ValidationError:
            raise _unexpected("This is no message that the service knows.") from None
        if isinstance(command, LiveStart):
            if self._clip is not None:
                raise _unexpected("A clip is open already.")
            image = await self._service.image_config(command)
            self._clip = _Clip(self, self._service, self._caller, command, image)
            await self.send({"type": "ready", "max_clip_s": self._service.limits.max_clip_s})
        elif self._clip is None:
            raise _unexpected("No clip is open.")
        else:
            if isinstance(command, LiveEnd):
                await self._end(self._clip)
            await self._clip.cancel()
            done, self._clip = self._clip.done(), None
            await self.send(done)

    async def _end(self, clip: _Clip) -> None:
        """Draw what is left, unless the client leaves or thinks better of it."""
        ending = asyncio.ensure_future(clip.end())
        try:
            await self._wait({ending}, None)
            if ending.done():
                await ending
            elif isinstance(message := self._message(), bytes) or not _is_cancel(message):
                raise _unexpected("The clip is not done yet.")
        finally:
            ending.cancel()


@dataclass(frozen=True)
class _Said:
    """An utterance that waits to be drawn."""

    number: int
    segment: Segment
    ended: float
    """When its end was found, on the monotonic clock."""


class _Clip:
    """One clip: from its audio to its pictures."""

    def __init__(
        self, connection: _Connection, service: Service, caller: Caller, start: LiveStart, image: ImageConfig
    ) -> None:
        self._connection = connection
        self._service = service
        self._caller = caller
        self._start = start
        self._image = image
        self._decode = Opus() if start.audio == "opus" else Pcm(start.rate_hz)
        self._segmenter = Segmenter(service.config.audio)
        self._samples = 0
        self._sounding = False
        self._said = 0
        self._announced = -1
        self._waiting: list[_Said] = []
        self._sureness: dict[int, tuple[bool, float]] = {}
        self._drawing: asyncio.Task[None] | None = None
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def audio(self, data: bytes) -> None:
        """More audio; what is complete is drawn."""
        if not data:
            return
        samples = await asyncio.to_thread(self._decode, data)
        self._samples += len(samples)
        if self._samples > self._service.limits.max_clip_s * SAMPLING_RATE_HZ:
            message = f"A clip may last {self._service.limits.max_clip_s:g} s."
            raise Refusal(413, "too_long", message, "End the clip, and start another.")
        parts = await asyncio.to_thread(lambda: list(self._segmenter.push(samples)))
        await self._found(parts)
        speaking = self._segmenter.speaking_from_s
        if speaking is not None and self._announced < self._said:
            await self._announce(speaking)

    async def end(self) -> None:
        """No more audio: draw what is left, and wait for it."""
        rest = await asyncio.to_thread(self._decode.finish)
        self._samples += len(rest)
        parts = await asyncio.to_thread(lambda: [*self._segmenter.push(rest), *self._segmenter.finish()])
        await self._found(parts)
        if not self._said:
            problem = problems.no_speech(self._sounding).problem
            await self._connection.send({"type": "error", "error": problem.model_dump()})
        while self._drawing is not None:
            await self._drawing
        if self.failed.done():
            self.failed.result()

    async def cancel(self) -> None:
        """Forget it."""
        self._waiting.clear()
        if self._drawing is not None:
            self._drawing.cancel()
            await asyncio.gather(self._drawing, return_exceptions=True)
        if not self.failed.done():
            self.failed.cancel()
        elif not self.failed.cancelled():
            self.failed.exception()

    def done(self) -> dict[str, Any]:
        """The last event of the clip."""
        best = max(self._sureness, key=lambda number: self._sureness[number], default=None)
        duration_s = round(self._samples / SAMPLING_RATE_HZ, 3)
        return {"type": "done", "utterances": self._said, "best": best, "duration_s": duration_s}

    async def _announce(self, start_s: float) -> None:
        self._announced = self._said
        await self._connection.send({"type": "speech_start", "utterance": self._said, "start_s": round(start_s, 3)})

    async def _found(self, parts: list[Segment | Gap]) -> None:
        for segment in parts:
            if isinstance(segment, Gap):
                self._sounding |= segment.kind == Skip.NO_SPEECH
                continue
            if self._announced < self._said:
                await self._announce(segment.start_s)
            times = {"start_s": round(segment.start_s, 3), "end_s": round(segment.end_s, 3)}
            await self._connection.send({"type": "speech_end", "utterance": self._said, **times})
            self._waiting.append(_Said(self._said, segment, time.monotonic()))
            self._said += 1
            while len(self._waiting) > _WAITING:
                left = self._waiting.pop(0)
                await self._connection.send({"type": "skipped", "utterance": left.number, "reason": "busy"})
        if self._waiting and self._drawing is None:
            self._drawing = asyncio.get_running_loop().create_task(self._draw_all())

    async def _draw_all(self) -> None:
        try:
            while self._waiting:
                time_left = self._service.time_left()
                async with self._service.within(time_left):
                    await self._draw(self._waiting.pop(0), time_left)
        except Exception as error:  # noqa: BLE001 -- raised by whoever waits for the clip
            if not self.failed.done():
                self.failed.set_exception(error)
        finally:
            self._drawing = None

    async def _draw(self, said: _Said, time_left: TimeLeft) -> None:
        service = self._service
        await service.spend(self._caller, 1)
        segment = said.segment
        features = await asyncio.to_thread(service.frontend, segment.waveform)
        utterance = Utterance(segment.start_s, segment.end_s, features, level_dbfs(segment.waveform))
        (embedded,) = await service.encode([utterance], time_left)
        # Its id, and so its seed, come from the sound alone.
        (scene,) = await service.scenes([embedded], [], hashlib.sha256(features.tobytes()).hexdigest())
        seed = identity.seed(scene.scene_id) if self._start.seed is None else self._start.seed
        started = time.monotonic()
        scenes = await service.in_doubt(scene, [utterance], self._start, time_left)
        if len(scenes) > 1:
            await service.spend(self._caller, len(scenes) - 1)
            drawn = await service.draw_each(scenes, seed, self._image, time_left)
            now = time.monotonic()
            service.meter.step("speech_to_image", now - said.ended)
            await self._choices(said, scenes, seed, drawn, (now - started) * 1000, (now - said.ended) * 1000)
            return
        scene = scenes[0] if scenes else scene
        async for item in service.draw_live(scene, seed, self._image, time_left):
            if isinstance(item, PreviewFile):
                if self._start.previews:
                    await self._preview(said, item)
            else:
                now = time.monotonic()
                service.meter.step("speech_to_image", now - said.ended)
                await self._picture(said, scene, seed, item, (now - started) * 1000, (now - said.ended) * 1000)

    async def _preview(self, said: _Said, preview: PreviewFile) -> None:
        await self._connection.send(
            {
                "type": "preview",
                "utterance": said.number,
                "step": preview.step + 1,
                "steps": preview.steps,
                "image": base64.b64encode(preview.file).decode(),
                "content_type": preview.content_type,
            }
        )

    async def _picture(
        self, said: _Said, scene: Scene, seed: int, drawn: DrawnFiles, draw_ms: float, total_ms: float
    ) -> None:
        self._sureness[said.number] = sureness(scene)
        await self._connection.send(
            {"type": "image", "utterance": said.number}
            | _drawn(drawn, seed)
            | {"things": scene.things, "sure": scene.status == Status.OK}
            | self._told(said, scene, draw_ms, total_ms)
        )

    async def _choices(
        self, said: _Said, scenes: list[Scene], seed: int, drawn: list[DrawnFiles], draw_ms: float, total_ms: float
    ) -> None:
        # One that is in doubt is best only where none is sure.
        self._sureness[said.number] = (False, scenes[0].confidence)
        pictures = [
            {"thing": thing_of(scene, scenes), "things": scene.things} | _drawn(files, seed)
            for scene, files in zip(scenes, drawn, strict=True)
        ]
        await self._connection.send(
            {"type": "choices", "utterance": said.number, "pictures": pictures, "sure": False}
            | self._told(said, scenes[0], draw_ms, total_ms)
        )

    def _told(self, said: _Said, scene: Scene, draw_ms: float, total_ms: float) -> dict[str, Any]:
        """What is known of the words and of the work."""
        return {
            "confidence": scene.confidence,
            "width_px": self._image.frame_px[1],
            "height_px": self._image.frame_px[0],
            "style": self._image.style,
            "start_s": round(said.segment.start_s, 3),
            "end_s": round(said.segment.end_s, 3),
            "draw_ms": round(draw_ms, 1),
            "total_ms": round(total_ms, 1),
        } | ({"vector": vector_of(scene)} if self._start.choices else {})


def _drawn(drawn: DrawnFiles, seed: int) -> dict[str, Any]:
    return {
        "image": base64.b64encode(drawn.files[0]).decode(),
        "content_type": drawn.content_type,
        "seed": str(seed),
        "similarity": drawn.similarity[0],
        **PictureContents.of(drawn.contents[0]).model_dump(),
    }


def _is_cancel(message: str) -> bool:
    try:
        return isinstance(_Command.validate_json(message), LiveCancel)
    except ValidationError:
        return False


def _unexpected(message: str) -> Refusal:
    return Refusal(400, "bad_request", message, 'Send {"type": "start"}, then audio, then {"type": "end"}.')
