"""The application: the HTTP ingress, and how its deployments are put together.

`serve run cluster.serve.app:app preset=cpu` or a Serve config file start it; `s2i serve` does so on one machine.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import time
from collections.abc import AsyncIterator
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response, Security, WebSocket
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel, ValidationError
from ray import serve
from ray.serve import Application
from ray.serve.handle import DeploymentHandle
from starlette.types import Receive, Scope, Send

from cluster.serve import desk as desks
from cluster.serve import documentation, faults, metrics, page, problems
from cluster.serve.deployments import Encoder, Generator
from cluster.serve.desk import Desk
from cluster.serve.guard import Caller, Doorkeeper, Guard
from cluster.serve.live import live
from cluster.serve.messages import DESK, DrawnFiles
from cluster.serve.ports import keep_to_loopback
from cluster.serve.problems import Refusal
from cluster.serve.schemas import (
    ErrorBody,
    Health,
    ImageOptions,
    ImagesAnswer,
    Options,
    Picture,
    RecordingRequest,
    RecordingView,
    Style,
    StylesAnswer,
    Timings,
)
from cluster.serve.service import Service, example, seeds
from cluster.serve.settings import DESK_CPUS, Replicas, ServeSettings
from cluster.serve.uploads import Form, audio, chunks
from s2i_core.config import ImageConfig

_KEEP_ALIVE_S = 15.0
_MAX_JSON_BYTES = 16 << 10
_UPLOAD_PIECE_BYTES = 1 << 20
_WARM_S = 20.0

Value = TypeVar("Value")
Model = TypeVar("Model", bound=BaseModel)

api = APIRouter()


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


def _caller(request: Request, _: Annotated[Any, Security(documentation.KEY)]) -> Caller:
    return _doorkeeper(request).caller(request.headers, request.client)


def _doorkeeper(request: Request) -> Doorkeeper:
    doorkeeper: Doorkeeper = request.app.state.doorkeeper
    return doorkeeper


ServiceOf = Annotated[Service, Depends(_service)]
CallerOf = Annotated[Caller, Depends(_caller)]

_ERRORS: dict[int | str, dict[str, Any]] = {
    code: {"model": ErrorBody} for code in (400, 401, 403, 404, 405, 408, 409, 413, 415, 422, 429, 500, 503)
}
_PICTURE = documentation.binary("image/webp", "image/png", "image/jpeg")
_JSON_PATH = "/v1/images.json"


@api.post(
    "/v1/images",
    tags=["pictures"],
    summary="Draw what a clip says",
    response_class=Response,
    responses={**_ERRORS, 200: {**_PICTURE, "description": "The picture."}},
    openapi_extra=documentation.upload_body(ImageOptions),
)
@api.post(
    _JSON_PATH,
    name="draw_clip_as_json",
    tags=["pictures"],
    summary="Draw what a clip says, with seed, similarity and timings",
    response_model=ImagesAnswer,
    responses=_ERRORS,
    openapi_extra=documentation.upload_body(ImageOptions),
)
async def draw_clip(
    request: Request, options: Annotated[ImageOptions, Query()], service: ServiceOf, caller: CallerOf
) -> Response:
    """Send a clip of speech, and get its picture: the file, or at `/v1/images.json` JSON with it.

    It is JSON at `/v1/images` as well with `Accept: application/json`, or with `n` above 1.

    What is drawn is the clip's surest utterance. The same audio, settings and seed give the same pixels, here and in a
    batch job.

    `curl -sf http://127.0.0.1:8000/v1/images -H 'Content-Type: audio/webm' --data-binary @clip.webm -o picture.webp`
    """
    async with _doorkeeper(request).holding(caller):
        return await _draw_clip(request, options, service, caller)


async def _draw_clip(request: Request, options: ImageOptions, service: Service, caller: Caller) -> Response:
    service.clips.check(caller.key_name)
    form = Form()
    with service.uploads.take(caller.key_name):
        clip = b"".join([each async for each in audio(request, service.limits.max_clip_bytes, service.limits, form)])
    chosen = _with_fields(ImageOptions, options, form)
    started = time.monotonic()
    time_left = service.time_left(chosen.timeout_s)
    if chosen.n > service.limits.max_images:
        raise Refusal(422, "invalid", f"n must be 1 to {service.limits.max_images}.", "Ask for fewer pictures.")
    image = await service.image_config(chosen)
    with service.clips.take(await service.cost(image, chosen.n), caller.key_name):
        async with service.within(time_left):
            await _spend(service, caller, chosen.n)
            heard = await service.hear(clip, time_left)
            drawing = time.monotonic()
            drawn = await service.draw(heard.scene, seeds(heard.scene, chosen), image, time_left)
    now = time.monotonic()
    service.meter.step("total", now - started)
    scene = heard.scene
    as_json = request.url.path == _JSON_PATH or "application/json" in request.headers.get("accept", "")
    if not as_json and chosen.n == 1:
        headers = {
            "S2I-Seed": str(seeds(scene, chosen)[0]),
            "S2I-Similarity": f"{drawn.similarity[0]:.4f}",
            "S2I-Confidence": f"{scene.confidence:.4f}",
            "S2I-Scene-Id": scene.scene_id,
        }
        return Response(drawn.files[0], media_type=drawn.content_type, headers=headers)
    answer = ImagesAnswer(
        images=_pictures(drawn, seeds(scene, chosen), image),
        style=image.style,
        steps=image.steps,
        start_s=scene.focus_start_s,
        end_s=scene.focus_end_s,
        confidence=scene.confidence,
        sure=heard.sure,
        duration_s=heard.heard.duration_s,
        damage=heard.heard.damage,
        tracks=heard.heard.tracks,
        recording_id=scene.recording_id,
        scene_id=scene.scene_id,
        timings=Timings(
            listen_ms=round(heard.listen_ms, 2),
            encode_ms=round(heard.encode_ms, 2),
            draw_ms=round((now - drawing) * 1000, 2),
            total_ms=round((now - started) * 1000, 2),
        ),
    )
    return JSONResponse(answer.model_dump())


@api.post(
    "/v1/recordings",
    tags=["recordings"],
    summary="Illustrate a recording",
    status_code=202,
    response_model=RecordingView,
    responses=_ERRORS,
    openapi_extra=documentation.upload_body(Options, RecordingRequest),
)
async def begin_recording(
    request: Request, response: Response, options: Annotated[Options, Query()], service: ServiceOf, caller: CallerOf
) -> RecordingView:
    """Send a long recording, or name one in object storage under a prefix that the service allows.

    `curl -sf http://127.0.0.1:8000/v1/recordings -H 'Content-Type: audio/webm' --data-binary @clip.webm`
    """
    async with _doorkeeper(request).holding(caller):
        view = await _begin_recording(request, options, service, caller)
    response.headers["Location"] = view.url
    return view


@api.get("/v1/recordings/{id}", tags=["recordings"], summary="How far a recording is", responses=_ERRORS)
async def view_recording(id: str, service: ServiceOf, caller: CallerOf) -> RecordingView:
    """The recording, its scenes, and how many of their pictures are made."""
    found: RecordingView | None = await service.desk.view.remote(id, caller.name)
    if found is None:
        raise problems.missing("There is no such recording.")
    return found


@api.get(
    "/v1/recordings/{id}/events",
    tags=["recordings"],
    summary="Its scenes and pictures, as they are made",
    response_class=StreamingResponse,
    responses={**_ERRORS, 200: {**documentation.text("text/event-stream"), "description": "Server-sent events."}},
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
    return _EventStream(_events(service, _doorkeeper(request), id, caller, after), place)


@api.get(
    "/v1/recordings/{id}/scenes/{index}/image",
    tags=["recordings"],
    summary="The picture of a scene",
    response_class=Response,
    responses={**_ERRORS, 200: {**_PICTURE, "description": "The picture."}},
)
async def scene_image(id: str, index: int, service: ServiceOf, caller: CallerOf) -> Response:
    """The image file."""
    found: tuple[bytes, str] | None = await service.desk.picture.remote(id, caller.name, index)
    if found is None:
        raise problems.missing("There is no such picture, or not yet.")
    return Response(found[0], media_type=found[1])


@api.delete(
    "/v1/recordings/{id}", tags=["recordings"], summary="Cancel and forget a recording", status_code=204,
    response_class=Response, responses=_ERRORS,
)  # fmt: skip
async def delete_recording(id: str, service: ServiceOf, caller: CallerOf) -> Response:
    """What has not begun will not; what was made is forgotten."""
    if not await service.desk.delete.remote(id, caller.name):
        raise problems.missing("There is no such recording.")
    return Response(status_code=204)


@api.get("/v1/styles", tags=["pictures"], summary="The styles that the model knows", responses=_ERRORS)
async def styles(service: ServiceOf) -> StylesAnswer:
    """With a picture of each, for those who choose by looking."""
    names = (await service.facts()).decoder.styles
    default = service.config.image.style
    ordered = sorted(names, key=lambda name: (name != default, names.index(name)))
    return StylesAnswer(
        styles=[Style(name=n, label=_label(n), image_url=_style_url(n)) for n in ordered], default=default
    )


@api.get(
    "/v1/styles/{name}/image",
    tags=["pictures"],
    summary="The example clip in a style",
    response_class=Response,
    responses={**_ERRORS, 200: {**_PICTURE, "description": "The picture."}},
)
async def style_image(name: str, request: Request, service: ServiceOf) -> Response:
    """The example clip, drawn in that style."""
    made: dict[str, tuple[bytes, str]] = request.app.state.style_images
    if name not in (await service.facts()).decoder.styles:
        raise problems.missing("There is no such style.")
    if name not in made:
        # One at a time: all who wait get the same picture.
        async with request.app.state.style_lock:
            if name not in made:
                time_left = service.time_left(_WARM_S)
                image = await service.image_config(Options(style=name))
                async with service.within(time_left):
                    clip = await service.hear(example(), time_left)
                    drawn = await service.draw(clip.scene, seeds(clip.scene, ImageOptions()), image, time_left)
                made[name] = (drawn.files[0], drawn.content_type)
    return Response(made[name][0], media_type=made[name][1], headers={"Cache-Control": "public, max-age=3600"})


@api.get(
    "/v1/example",
    tags=["pictures"],
    summary="A short clip of speech to try things with",
    response_class=Response,
    responses={**_ERRORS, 200: {**documentation.binary("audio/webm"), "description": "WebM with Opus."}},
)
async def example_clip() -> Response:
    """`curl -sf http://127.0.0.1:8000/v1/example -o clip.webm`"""
    return Response(example(), media_type="audio/webm", headers={"Cache-Control": "public, max-age=3600"})


@api.get("/healthz", tags=["operation"], summary="Whether the ingress is alive")
async def healthz() -> Health:
    """For whoever restarts what is dead."""
    return Health(status="ok")


@api.get("/readyz", tags=["operation"], summary="Whether the models are loaded", responses={503: {"model": ErrorBody}})
async def readyz(service: ServiceOf) -> Health:
    """For whoever sends requests only where they can be answered."""
    return Health(status="ok", model_digest=(await service.facts()).model_digest)


@api.get(
    "/metrics",
    tags=["operation"],
    summary="Figures for Prometheus",
    response_class=Response,
    responses={**_ERRORS, 200: {**documentation.text("text/plain"), "description": "Prometheus' text format."}},
)
async def figures(service: ServiceOf, caller: CallerOf) -> Response:
    """The figures of all replicas."""
    del caller
    await service.desk.report.remote(metrics.replica(), service.meter.text())
    return Response(await service.desk.metrics.remote(), media_type=metrics.CONTENT_TYPE)


@api.websocket("/v1/live")
async def live_endpoint(socket: WebSocket) -> None:
    """See `cluster/serve/live.py`."""
    await live(socket, socket.app.state.service, socket.app.state.doorkeeper)


def build(service: Service) -> FastAPI:
    """The ASGI application over a service."""
    settings = service.settings
    app = FastAPI(
        title="s2i",
        version="1",
        summary="Spoken audio directly into images.",
        description=documentation.DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        openapi_tags=documentation.TAGS,
        generate_unique_id_function=lambda route: route.name,
        # It would lead to whatever host the client named, and to http:// also behind TLS.
        redirect_slashes=False,
    )
    app.state.service = service
    app.state.doorkeeper = Doorkeeper(settings)
    app.state.style_images = {}
    app.state.style_lock = asyncio.Lock()
    problems.install(app)
    app.include_router(api)
    app.include_router(documentation.router)
    app.include_router(page.router)
    documentation.install(app, keys=settings.access == "keys")
    app.add_middleware(faults.Faults)
    app.add_middleware(Guard, settings=settings, meter=service.meter)
    return app


class Ingress:
    """The HTTP ingress."""

    def __init__(
        self, settings: ServeSettings, encoder: DeploymentHandle, generator: DeploymentHandle, desk: DeploymentHandle
    ) -> None:
        keep_to_loopback()
        faults.tell()
        self._service = Service(settings, encoder, generator, desk)

    def __serve_build_asgi_app__(self) -> FastAPI:
        return build(self._service)


def app(settings: ServeSettings) -> Application:
    """The Serve application."""
    encoder = _deployment("Encoder", Encoder, settings.encoder).bind(settings)
    generator = _deployment("Generator", Generator, settings.generator).bind(settings)
    desk = serve.deployment(
        Desk,
        name=DESK,
        num_replicas=1,
        max_ongoing_requests=1000,
        ray_actor_options={"num_cpus": DESK_CPUS},
    ).bind(settings, encoder, generator)
    ingress = serve.ingress()(Ingress)
    limits = settings.limits
    # More than all that the ingress itself takes, so that it is the one that refuses, and nothing waits before it.
    ongoing = 2 * limits.max_clips + limits.max_uploads + limits.max_live + limits.max_events
    return _deployment("Ingress", ingress, settings.ingress, ongoing).bind(settings, encoder, generator, desk)


def _deployment(name: str, kind: Any, replicas: Replicas, ongoing: int | None = None) -> Any:
    """A deployment that scales with the requests that are at work or waiting."""
    options: dict[str, Any] = {"num_cpus": replicas.num_cpus, "num_gpus": replicas.num_gpus}
    if replicas.memory_bytes:
        options["memory"] = replicas.memory_bytes
    return serve.deployment(
        kind,
        name=name,
        max_ongoing_requests=ongoing or 2 * replicas.max_queued,
        max_queued_requests=ongoing or replicas.max_queued,
        autoscaling_config={
            "min_replicas": replicas.minimum,
            "max_replicas": replicas.maximum,
            "target_ongoing_requests": replicas.target_queue,
            "upscale_delay_s": replicas.upscale_after_s,
            "downscale_delay_s": replicas.downscale_after_s,
            "look_back_period_s": replicas.look_back_s,
            "metrics_interval_s": replicas.report_s,
        },
        backpressure_config={"retry_after_s": 1},
        ray_actor_options=options,
        max_replicas_per_node=replicas.per_node,
        health_check_timeout_s=60,
        graceful_shutdown_timeout_s=30,
    )


async def _begin_recording(request: Request, options: Options, service: Service, caller: Caller) -> RecordingView:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json":
        with service.uploads.take(caller.key_name):
            body = b"".join([each async for each in chunks(request, _MAX_JSON_BYTES, service.limits)])
        try:
            wanted = RecordingRequest.model_validate_json(body)
        except ValidationError as error:
            raise problems.of_validation(error.errors()) from None
        image = await service.image_config(wanted)
        return await _begin(service, caller, image, wanted.uri)
    return await _upload_recording(request, options, service, caller)


async def _upload_recording(request: Request, options: Options, service: Service, caller: Caller) -> RecordingView:
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
        image = await service.image_config(_with_fields(Options, options, form))
        begun: RecordingView = _or_raise(await service.desk.finish.remote(view.id, image))
        return begun
    except BaseException:
        if view is not None:
            service.desk.delete.remote(view.id, caller.name)
        raise


async def _begin(service: Service, caller: Caller, image: ImageConfig, uri: str | None) -> RecordingView:
    begun: RecordingView = _or_raise(await service.desk.begin.remote(caller.name, caller.key, image, uri))
    return begun


async def _append(service: Service, id: str, data: bytes) -> None:
    if not await service.desk.append.remote(id, data):
        raise Refusal(409, "conflict", "The recording was cancelled.", "Send it again.")


async def _events(
    service: Service, doorkeeper: Doorkeeper, id: str, caller: Caller, after: int
) -> AsyncIterator[bytes]:
    """The events in the format of the HTML standard, section 9.2; one that is taken is the only one in memory."""
    events: list[desks.Event] | None
    while True:
        try:
            async with doorkeeper.holding(caller):
                events = await service.desk.events.remote(id, caller.name, after, _KEEP_ALIVE_S)
        except Refusal as refusal:
            events = [desks.Event(after, "failed", {"error": refusal.problem.model_dump()})]
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


async def _spend(service: Service, caller: Caller, images: int) -> None:
    if caller.key is None:
        return
    wait_s: float = await service.desk.spend_images.remote(caller.key, images)
    if wait_s:
        raise Refusal(429, "quota", "The quota of this key is used up.", "Wait, or ask for a larger one.", wait_s)


def _with_fields(kind: type[Model], options: Model, form: Form) -> Model:
    """Options of the query with those of the form over them."""
    if not form.fields:
        return options
    try:
        return kind.model_validate(options.model_dump(exclude_unset=True) | form.fields)
    except ValidationError as error:
        raise problems.of_validation(error.errors()) from None


def _or_raise(value: Value | Refusal) -> Value:
    if isinstance(value, Refusal):
        raise value
    return value


def _pictures(drawn: DrawnFiles, chosen: tuple[int, ...], image: ImageConfig) -> list[Picture]:
    return [
        Picture(
            image=base64.b64encode(file).decode(),
            content_type=drawn.content_type,
            width_px=image.size_px,
            height_px=image.size_px,
            seed=str(seed),
            similarity=similarity,
        )
        for file, seed, similarity in zip(drawn.files, chosen, drawn.similarity, strict=True)
    ]


def _label(name: str) -> str:
    return name.replace("-", " ").replace("_", " ").capitalize() if len(name) > 2 else name.upper()


def _style_url(name: str) -> str:
    return f"/v1/styles/{name}/image"
