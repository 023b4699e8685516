"""A model that hears single things: all answers of the service say which, and a recording is planned as a local one."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from asking import WAV, of, pcm, pieces, say, until_over
from inprocess import InProcess, uvicorn_server
from tiny import doubting_pipeline, tiny_pipeline
from websockets.sync.client import connect

from cluster.serve.settings import ServeSettings
from s2i_core.config import RunConfig, SceneConfig
from s2i_core.english.alt import alt_text
from s2i_core.illustrate import illustrate_file
from s2i_core.models import registry
from s2i_core.publish.xmp import contents_of


@pytest.fixture(scope="module")
def config(run_config: RunConfig, tmp_path_factory: pytest.TempPathFactory) -> RunConfig:
    """With a model that hears one of its three discs in whatever is said."""
    folder = tmp_path_factory.mktemp("grounded")
    pipeline = tiny_pipeline(grounded=True)
    pipeline.grounding.register_to_config(limits=[(0.01, 0.0), (0.99, 0.0)])
    pipeline.save_pretrained(folder)
    model = run_config.model.model_copy(update={"checkpoint": str(folder)})
    return run_config.model_copy(update={"model": model, "scenes": SceneConfig(min_s=2, max_s=6)})


@pytest.fixture(scope="module")
def url(config: RunConfig, serve_settings: ServeSettings) -> Iterator[str]:
    """Of a service with that model."""
    with uvicorn_server(InProcess(serve_settings.model_copy(update={"run": config})).app) as url:
        yield url


def discs(things: list[str]) -> bool:
    return 0 < len(things) <= 3 and all(thing.endswith(" disc") for thing in things)


def assert_told(answer: dict[str, Any], file: bytes) -> None:
    """The answer says what the file says of itself."""
    told = contents_of(file)
    assert answer["shows"] == [asdict(each) for each in told.things]
    assert discs([each["title"] for each in answer["shows"]]) and all(each["confidence"] for each in answer["shows"])
    assert answer["alt"] == alt_text(told)


def test_a_clip_and_the_live_stream_say_what_their_pictures_show(
    url: str, client: httpx.Client, clip: bytes, waveform: np.ndarray
) -> None:
    answer = client.post("/v1/images", content=clip, headers=WAV | {"accept": "application/json"}).json()
    assert discs(answer["things"]) and answer["sure"]
    (picture,) = answer["images"]
    assert_told(picture, base64.b64decode(picture["image"]))
    with connect(url.replace("http", "ws") + "/v1/live", open_timeout=20) as socket:
        (image,) = of(say(socket, pieces(pcm(waveform)), previews=False), "image")
    assert discs(image["things"]) and image["sure"]
    assert_told(image, base64.b64decode(image["image"]))


def test_where_it_is_not_sure_a_clip_and_the_live_stream_offer_different_things(
    run_config: RunConfig,
    serve_settings: ServeSettings,
    clip: bytes,
    waveform: np.ndarray,
    tmp_path: Path,
) -> None:
    doubting_pipeline().save_pretrained(tmp_path)
    model = run_config.model.model_copy(update={"checkpoint": str(tmp_path)})
    run = run_config.model_copy(update={"model": model, "scenes": SceneConfig(min_s=2, max_s=6)})
    with uvicorn_server(InProcess(serve_settings.model_copy(update={"run": run})).app) as url:
        address, heard = f"{url}/v1/images.json", WAV
        one = httpx.post(address, content=clip, headers=heard).json()
        assert not one["sure"] and len(one["images"]) == 1 and one["vector"] is None
        several = httpx.post(address, params={"choices": 3}, content=clip, headers=heard).json()
        things = [each["thing"] for each in several["images"]]
        assert len(set(things)) == 3 and not several["sure"]
        again = {"choices": 3, "not_meant": things}
        others = httpx.post(address, params=again, content=clip, headers=heard).json()
        assert {each["thing"] for each in others["images"]} == {"owl", "ship", "tree", "key", "moon", "fox"} - {*things}
        assert httpx.post(address, params={"choices": 3, "n": 2}, content=clip, headers=heard).status_code == 422

        with httpx.Client(base_url=url, timeout=60) as client:
            begun = client.post("/v1/recordings", params={"maybe": 5}, content=clip, headers=heard).json()
            over = until_over(client, begun["url"])
            drawn = [scene for scene in over["scenes"] if scene["maybe"]]
            assert [scene["maybe"] for scene in drawn] == [1] and drawn[0]["status"] == "skipped"
            assert client.get(drawn[0]["image_url"]).status_code == 200 and over["drawn"] == over["to_draw"] == 1

        with connect(url.replace("http", "ws") + "/v1/live", open_timeout=20) as socket:
            told = say(socket, pieces(pcm(waveform)), choices=3, seed=5)
            (offer,) = of(told, "choices")
            assert of(told, "image") == of(told, "preview") == [] and told[-1]["best"] == 0 and not offer["sure"]
            first = [each["thing"] for each in offer["pictures"]]
            assert len(set(first)) == 3 and {each["seed"] for each in offer["pictures"]} == {"5"}
            kept = [{"vector": offer["vector"], "thing": first[2]}]
            (offer,) = of(say(socket, pieces(pcm(waveform)), choices=3, chosen=kept), "choices")
            assert [each["thing"] for each in offer["pictures"]] == [first[2], first[0], first[1]]


def test_a_recording_is_planned_as_a_local_one(
    client: httpx.Client, clip: bytes, config: RunConfig, tmp_path: Path
) -> None:
    begun = client.post("/v1/recordings", content=clip, headers=WAV).json()
    told = until_over(client, begun["url"])["scenes"]
    (tmp_path / "clip.wav").write_bytes(clip)
    local = illustrate_file(tmp_path / "clip.wav", tmp_path / "out", config, registry.load(config.model))
    assert [(each["scene_id"], each["things"]) for each in told] == [
        (scene.scene_id, scene.things) for scene in local.scenes
    ]
    assert [each["alt"] for each in told] == [image.alt for image in local.images]
    assert [each["seed"] for each in told] == [str(image.seed) for image in local.images]
    assert any(discs(scene.things or []) for scene in local.scenes)
