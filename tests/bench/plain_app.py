"""What the service is measured against: a plain FastAPI app with the same pipeline, one request at a time.

`python -m tests.bench.plain_app PORT`. The same steps as the service on the same bytes; torch has all cores.
"""

from __future__ import annotations

import asyncio
import io
import sys

import uvicorn
from fastapi import FastAPI, Request, Response

from s2i_core import identity, presets
from s2i_core.audio.listen import listen
from s2i_core.illustrate import embed, focus
from s2i_core.pipeline import SpeechToImagePipeline
from s2i_core.publish.images import encode_image
from s2i_core.scenes import plan_scenes


def application() -> FastAPI:
    config = presets.cpu()
    model = config.model.model_copy(update={"threads": 0, "device": "auto"})
    pipeline = SpeechToImagePipeline.load(model)
    turn = asyncio.Lock()
    app = FastAPI()

    def draw(audio: bytes) -> bytes:
        listening = listen(io.BytesIO(audio), "the clip", config.audio)
        utterances = list(listening)
        heard = listening.result
        scenes = plan_scenes(
            embed(utterances, pipeline),
            heard.gaps,
            config.scenes,
            recording_id=identity.recording_id(heard.sha256),
            model_digest=pipeline.model_digest,
            plan_digest=config.plan_digest,
            run_id="plain",
        )
        scene = max((each for each in scenes if each.focus_tokens), key=lambda each: each.confidence)
        embeddings = focus([scene], pipeline)
        pixels = pipeline.generate(embeddings, [identity.seed(scene.scene_id)], config.image)
        (pipeline.encode_images(pixels).float().cpu() * embeddings.pooled).sum(1).tolist()
        return encode_image(pixels[0], config.image)

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
