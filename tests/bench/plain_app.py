"""What the service is measured against: a plain FastAPI app with the same pipeline, one request at a time.

`python -m tests.bench.plain_app PORT`. The same steps as the service on the same bytes; torch has all cores.
"""

from __future__ import annotations

import asyncio
import io
import sys

import uvicorn
from fastapi import FastAPI, Request, Response

from s2i_core import identity, presets, steps
from s2i_core.audio.listen import listen
from s2i_core.models import registry
from s2i_core.publish.images import encode_image
from s2i_core.weights import least_heard


def application() -> FastAPI:
    config = presets.cpu()
    model = config.model.model_copy(update={"threads": 0, "device": "auto"})
    loaded = registry.load(model)
    least = least_heard(config)
    turn = asyncio.Lock()
    app = FastAPI()

    def draw(audio: bytes) -> bytes:
        listening = listen(io.BytesIO(audio), "the clip", config.audio)
        utterances = list(listening)
        heard = listening.result
        scenes = steps.plan(
            steps.embed(utterances, loaded, least),
            heard.gaps,
            config,
            recording_id=identity.recording_id(heard.sha256),
            encoder_digest=loaded.encoder_digest,
            run_id="plain",
        )
        scene = max(
            (each for each in scenes if each.focus_tokens), key=lambda each: (bool(each.things), each.confidence)
        )
        (picture,) = steps.draw_batch([scene], [identity.seed(scene.scene_id)], config.image, loaded)
        return encode_image(picture.pixels, config.image)

    @app.get("/readyz")
    async def readyz() -> dict[str, str]:
        return {"status": "ok"}

    @app.post("/v1/images")
    async def images(request: Request) -> Response:
        audio = await request.body()
        async with turn:
            return Response(await asyncio.to_thread(draw, audio), media_type="image/webp")

    return app


if __name__ == "__main__":
    uvicorn.run(application(), host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
