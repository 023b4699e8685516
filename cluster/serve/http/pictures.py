"""`/v1/images`: a clip to its pictures; the styles to choose from, and a clip to try things with."""

from __future__ import annotations

import base64
import time
from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse

from cluster.serve import problems
from cluster.serve.callers import Caller
from cluster.serve.clips.decoding import example
from cluster.serve.clips.doubt import thing_of, vector_of
from cluster.serve.clips.service import Service, seeds
from cluster.serve.http import documentation
from cluster.serve.http.dependencies import ERRORS, PICTURE, CallerOf, ServiceOf, with_fields
from cluster.serve.http.uploads import Form, audio
from cluster.serve.messages import DrawnFiles
from cluster.serve.problems import Refusal
from cluster.serve.schemas import (
    ImageOptions,
    ImagesAnswer,
    Options,
    Picture,
    PictureContents,
    Style,
    StylesAnswer,
    Timings,
)
from s2i_core.config import ImageConfig
from s2i_core.records import Scene

_JSON_PATH = "/v1/images.json"
_WARM_S = 20.0

router = APIRouter(tags=["pictures"])


@router.post(
    "/v1/images",
    summary="Draw what a clip says",
    response_class=Response,
    responses={**ERRORS, 200: PICTURE},
    openapi_extra=documentation.upload_body(ImageOptions),
)
@router.post(
    _JSON_PATH,
    name="draw_clip_as_json",
    summary="Draw what a clip says, with seed, similarity and timings",
    response_model=ImagesAnswer,
    responses=ERRORS,
    openapi_extra=documentation.upload_body(ImageOptions),
)
async def draw_clip(
    request: Request, options: Annotated[ImageOptions, Query()], service: ServiceOf, caller: CallerOf
) -> Response:
    """Send a clip of speech, and get its picture: the file, or at `/v1/images.json` JSON with it.

    It is JSON at `/v1/images` as well with `Accept: application/json`, with `n` above 1, or where several readings are
    offered (`choices`).

    What is drawn is what the clip names, or else its surest utterance. The same audio, settings and seed give the same
    pixels, here and in a batch job.

    `curl -sf http://127.0.0.1:8000/v1/images -H 'Content-Type: audio/webm' --data-binary @clip.webm -o picture.webp`
    """
    async with service.doorkeeper.holding(caller):
        return await _draw_clip(request, options, service, caller)


async def _draw_clip(request: Request, options: ImageOptions, service: Service, caller: Caller) -> Response:
    service.clips.check(caller.key_name)
    form = Form()
    with service.uploads.take(caller.key_name):
        clip = b"".join([each async for each in audio(request, service.limits.max_clip_bytes, service.limits, form)])
    chosen = with_fields(ImageOptions, options, form)
    started = time.monotonic()
    time_left = service.time_left(chosen.timeout_s)
    if chosen.n > service.limits.max_images:
        raise Refusal(422, "invalid", f"n must be 1 to {service.limits.max_images}.", "Ask for fewer pictures.")
    image = await service.image_config(chosen)
    if chosen.choices and chosen.n > 1:
        raise Refusal(422, "invalid", "choices and n exclude each other.", "Ask for one of them.")
    most = max(chosen.n, min(chosen.choices, service.limits.max_images))
    with service.clips.take(await service.cost(image, most), caller.key_name):
        async with service.within(time_left):
            await service.spend(caller, chosen.n)
            planned = await service.plan(clip, time_left)
            drawing = time.monotonic()
            wish = chosen.model_copy(update={"choices": min(chosen.choices, most)})
            readings = await service.in_doubt(planned.scene, planned.utterances, wish, time_left)
            if len(readings) > 1:
                await service.spend(caller, len(readings) - 1)
            scene = readings[0] if readings else planned.scene
            chosen_seeds = seeds(scene, chosen)
            if len(readings) > 1:
                drawn = _together(await service.draw_each(readings, chosen_seeds[0], image, time_left))
                chosen_seeds *= len(readings)
            else:
                drawn = await service.draw(scene, chosen_seeds, image, time_left)
    now = time.monotonic()
    service.meter.step("total", now - started)
    as_json = request.url.path == _JSON_PATH or "application/json" in request.headers.get("accept", "")
    if not as_json and len(drawn.files) == 1:
        headers = {
            "S2I-Seed": str(chosen_seeds[0]),
            "S2I-Similarity": f"{drawn.similarity[0]:.4f}",
            "S2I-Confidence": f"{scene.confidence:.4f}",
            "S2I-Scene-Id": scene.scene_id,
        }
        return Response(drawn.files[0], media_type=drawn.content_type, headers=headers)
    answer = ImagesAnswer(
        images=_pictures(drawn, chosen_seeds, image, readings if len(readings) > 1 else ()),
        style=image.style,
        steps=image.steps,
        things=scene.things,
        start_s=scene.focus_start_s,
        end_s=scene.focus_end_s,
        confidence=scene.confidence,
        sure=planned.sure and len(readings) < 2,
        vector=vector_of(scene) if chosen.choices else None,
        duration_s=planned.decoded.duration_s,
        damage=planned.decoded.damage,
        tracks=planned.decoded.tracks,
        recording_id=scene.recording_id,
        scene_id=scene.scene_id,
        timings=Timings(
            listen_ms=round(planned.decode_ms, 2),
            encode_ms=round(planned.encode_ms, 2),
            draw_ms=round((now - drawing) * 1000, 2),
            total_ms=round((now - started) * 1000, 2),
        ),
    )
    return JSONResponse(answer.model_dump())


@router.get("/v1/styles", summary="The styles that the model knows", responses=ERRORS)
async def styles(service: ServiceOf) -> StylesAnswer:
    """With a picture of each, for those who choose by looking."""
    names = (await service.facts()).decoder.styles
    default = service.config.image.style
    ordered = sorted(names, key=lambda name: (name != default, names.index(name)))
    found = [Style(name=name, label=_label(name), image_url=f"/v1/styles/{name}/image") for name in ordered]
    return StylesAnswer(styles=found, default=default)


@router.get(
    "/v1/styles/{name}/image",
    summary="The example clip in a style",
    response_class=Response,
    responses={**ERRORS, 200: PICTURE},
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
                    planned = await service.plan(example(), time_left)
                    drawn = await service.draw(planned.scene, seeds(planned.scene, ImageOptions()), image, time_left)
                made[name] = (drawn.files[0], drawn.content_type)
    return Response(made[name][0], media_type=made[name][1], headers={"Cache-Control": "public, max-age=3600"})


@router.get(
    "/v1/example",
    summary="A short clip of speech to try things with",
    response_class=Response,
    responses={**ERRORS, 200: {**documentation.binary("audio/webm"), "description": "WebM with Opus."}},
)
async def example_clip() -> Response:
    """`curl -sf http://127.0.0.1:8000/v1/example -o clip.webm`"""
    return Response(example(), media_type="audio/webm", headers={"Cache-Control": "public, max-age=3600"})


def _pictures(
    drawn: DrawnFiles, chosen: tuple[int, ...], image: ImageConfig, readings: Sequence[Scene] = ()
) -> list[Picture]:
    things: list[str | None] = [thing_of(each, readings) for each in readings]
    return [
        Picture(
            image=base64.b64encode(file).decode(),
            content_type=drawn.content_type,
            width_px=image.frame_px[1],
            height_px=image.frame_px[0],
            seed=str(seed),
            similarity=similarity,
            thing=thing,
            **dict(PictureContents.of(contents)),
        )
        for file, seed, similarity, contents, thing in zip(
            drawn.files, chosen, drawn.similarity, drawn.contents, things or [None] * len(chosen), strict=True
        )
    ]


def _together(each: Sequence[DrawnFiles]) -> DrawnFiles:
    """Pictures that were ordered one by one, as if they had been ordered together."""
    return DrawnFiles(
        tuple(file for one in each for file in one.files),
        each[0].content_type,
        tuple(value for one in each for value in one.similarity),
        tuple(contents for one in each for contents in one.contents),
        sum(one.compute_ms for one in each),
    )


def _label(name: str) -> str:
    return name.replace("-", " ").replace("_", " ").capitalize() if len(name) > 2 else name.upper()
