"""`/v1/recordings`: a recording is taken to the desk, and its scenes and pictures are told as they are made."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from typing import Annotated, TypeVar

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import ValidationError
from starlette.types import Receive, Scope, Send

from cluster.serve import problems
from cluster.serve.callers import Caller
from cluster.serve.clips.service import Service
from cluster.serve.http import documentation
from cluster.serve.http.dependencies import ERRORS, PICTURE, CallerOf, ServiceOf, with_fields
from cluster.serve.http.uploads import Form, audio, chunks
from cluster.serve.messages import Event
from cluster.serve.problems import Refusal
from cluster.serve.schemas import RecordingOptions, RecordingRequest, RecordingView
from s2i_core.config import ImageConfig

_KEEP_ALIVE_S = 15.0
_MAX_JSON_BYTES = 16 << 10
_UPLOAD_PIECE_BYTES = 1 << 20

Value = TypeVar("Value")

router = APIRouter(tags=["recordings"])


@router.post(
    "/v1/recordings",
    summary="Illustrate a recording",
    status_code=202,
    response_model=RecordingView,
    responses=ERRORS,
    openapi_extra=documentation.upload_body(RecordingOptions, RecordingRequest),
)
async def begin_recording(
    request: Request,
    response: Response,
    options: Annotated[RecordingOptions, Query()],
    service: ServiceOf,
    caller: CallerOf,
) -> RecordingView:
    """Send a long recording, or name one in object storage under a prefix that the service allows.

    `curl -sf http://127.0.0.1:8000/v1/recordings -H 'Content-Type: audio/webm' --data-binary @clip.webm`
    """
    async with service.doorkeeper.holding(caller):
        view = await _begin_recording(request, options, service, caller)
    response.headers["Location"] = view.url
    return view


@router.get("/v1/recordings/{id}", summary="How far a recording is", responses=ERRORS)
async def view_recording(id: str, service: ServiceOf, caller: CallerOf) -> RecordingView:
    """The recording, its scenes, and how many of their pictures are made."""
    found: RecordingView | None = await service.desk.view.remote(id, caller.name)
    if found is None:
        raise problems.missing("There is no such recording.")
    return found


@router.get(
    "/v1/recordings/{id}/events",
    summary="Its scenes and pictures, as they are made",
    response_class=StreamingResponse,
    responses={**ERRORS, 200: {**documentation.text("text/event-stream"), "description": "Server-sent events."}},
)
async def recording_events(id: str, request: Request, service: ServiceOf, caller: CallerOf) -> StreamingResponse:
    """`progress`, `scene`, `image` and at last `done` or `failed`; with `Last-Event-ID` only what came after it."""
    last = request.headers.get("last-event-id", "0")
    after = int(last) if last.isascii() and last.isdigit() and len(last) < 10 else 0
    if await service.desk.view.remote(id, caller.name) is None:
        raise problems.missing("There is no such recording.")
    # Before anything is answered: of two who come for the last place one is refused, and not cut off.
    place = contextlib.ExitStack()
    place.enter_context(service.events.take(caller.key_name))
    return _EventStream(_events(service, id, caller, after), place)


@router.get(
    "/v1/recordings/{id}/scenes/{index}/image",
    summary="The picture of a scene",
    response_class=Response,
    responses={**ERRORS, 200: PICTURE},
)
async def scene_image(id: str, index: int, service: ServiceOf, caller: CallerOf) -> Response:
    """The image file."""
    found: tuple[bytes, str] | None = await service.desk.picture.remote(id, caller.name, index)
    if found is None:
        raise problems.missing("There is no such picture, or not yet.")
    return Response(found[0], media_type=found[1])


@router.delete(
    "/v1/recordings/{id}", summary="Cancel and forget a recording", status_code=204,
    response_class=Response, responses=ERRORS,
)  # fmt: skip
async def delete_recording(id: str, service: ServiceOf, caller: CallerOf) -> Response:
    """What has not begun will not; what was made is forgotten."""
    if not await service.desk.delete.remote(id, caller.name):
        raise problems.missing("There is no such recording.")
    return Response(status_code=204)


async def _begin_recording(
    request: Request, options: RecordingOptions, service: Service, caller: Caller
) -> RecordingView:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json":
        with service.uploads.take(caller.key_name):
            body = b"".join([each async for each in chunks(request, _MAX_JSON_BYTES, service.limits)])
        try:
            wanted = RecordingRequest.model_validate_json(body)
        except ValidationError as error:
            raise problems.of_validation(error.errors()) from None
        image = await service.image_config(wanted)
        return await _begin(service, caller, image, wanted.uri, wanted.maybe)
    return await _upload_recording(request, options, service, caller)


async def _upload_recording(
    request: Request, options: RecordingOptions, service: Service, caller: Caller
) -> RecordingView:
    form = Form()
    image = await service.image_config(options)
    view: RecordingView | None = None
    try:
        with service.uploads.take(caller.key_name):
            piece = bytearray()
            async for chunk in audio(request, service.limits.max_recording_bytes, service.limits, form):
                if view is None:
                    view = await _begin(service, caller, image, None)
                piece += chunk
                if len(piece) >= _UPLOAD_PIECE_BYTES:
                    await _append(service, view.id, bytes(piece))
                    piece.clear()
            if view is None:
                raise Refusal(422, "undecodable", "The upload is empty.", "Send a recording.")
            await _append(service, view.id, bytes(piece))
        chosen = with_fields(RecordingOptions, options, form)
        image = await service.image_config(chosen)
        begun: RecordingView = _or_raise(await service.desk.finish.remote(view.id, image, chosen.maybe))
        return begun
    except BaseException:
        if view is not None:
            service.desk.delete.remote(view.id, caller.name)
        raise


async def _begin(
    service: Service, caller: Caller, image: ImageConfig, uri: str | None, maybe: int = 0
) -> RecordingView:
    begun: RecordingView = _or_raise(await service.desk.begin.remote(caller.name, caller.key, image, uri, maybe))
    return begun


async def _append(service: Service, id: str, data: bytes) -> None:
    if not await service.desk.append.remote(id, data):
        raise Refusal(409, "conflict", "The recording was cancelled.", "Send it again.")


async def _events(service: Service, id: str, caller: Caller, after: int) -> AsyncIterator[bytes]:
    """The events in the format of the HTML standard, section 9.2; one that is taken is the only one in memory."""
    events: list[Event] | None
    while True:
        try:
            async with service.doorkeeper.holding(caller):
                events = await service.desk.events.remote(id, caller.name, after, _KEEP_ALIVE_S)
        except Refusal as refusal:
            events = [Event(after, "failed", {"error": refusal.problem.model_dump()})]
        if events is None:
            return
        if not events:
            yield b": keep-alive\n\n"
        for event in events:
            after = event.number
            yield f"id: {event.number}\nevent: {event.name}\ndata: {json.dumps(event.data)}\n\n".encode()
            if event.name in {"done", "failed"}:
                return


class _EventStream(StreamingResponse):
    """Server-sent events, with the place that they hold until the last was sent, or the client left."""

    def __init__(self, events: AsyncIterator[bytes], place: contextlib.ExitStack) -> None:
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__(events, media_type="text/event-stream", headers=headers)
        self._place = place

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._place:
            await super().__call__(scope, receive, send)


def _or_raise(value: Value | Refusal) -> Value:
    if isinstance(value, Refusal):
        raise value
    return value
