"""`/v1/recordings`: a recording becomes scenes and pictures, told as they are made; S3 only where it is allowed."""

from __future__ import annotations

import base64
import itertools
import uuid
from pathlib import Path

import httpx
import numpy as np
import pytest
from asking import WAV, events, problem, until_over
from audio.audio_files import wav
from inprocess import InProcess, uvicorn_server

from cluster.serve import keys
from cluster.serve.settings import ServeSettings
from s2i_core.storage.objects import ObjectStore


@pytest.fixture(scope="session")
def recording(waveform: np.ndarray) -> bytes:
    """Speech twice, with a long silence between: at least two scenes and a gap."""
    silence = np.zeros(16000 * 5, np.float32)
    return wav(np.concatenate([waveform, silence, waveform])[:, None], 16000)


def test_its_scenes_and_pictures_are_told_as_they_are_made(client: httpx.Client, recording: bytes) -> None:
    begun = client.post("/v1/recordings?size=64", content=recording, headers=WAV)
    assert begun.status_code == 202 and begun.headers["location"] == begun.json()["url"]
    told = list(events(client, begun.json()["events_url"]))
    names = [name for _, name, _ in told]
    assert names[0] == "progress" and names[-1] == "done" and names.count("done") == 1
    assert [number for number, _, _ in told] == list(range(1, len(told) + 1))
    scenes = [data for _, name, data in told if name == "scene"]
    drawn = {data["index"]: data for _, name, data in told if name == "image"}
    assert any(scene["reason"] == "silence" for scene in scenes)
    assert set(drawn) == {scene["index"] for scene in scenes if scene["status"] == "ok"} and len(drawn) >= 2
    for before, after in itertools.pairwise(scenes):
        assert before["end_s"] == pytest.approx(after["start_s"], abs=0.002)
    for data in drawn.values():
        assert client.get(data["image_url"]).content == base64.b64decode(data["image"])
    final = client.get(begun.json()["url"]).json()
    assert final["status"] == "done" and final["drawn"] == final["to_draw"] == len(drawn)
    assert final["duration_s"] == pytest.approx(len(recording) / 32000, abs=0.1)
    assert next(number for number, _, _ in events(client, begun.json()["events_url"], last=3)) == 4


def test_a_form_does_as_well(client: httpx.Client, clip: bytes) -> None:
    begun = client.post("/v1/recordings", files={"audio": ("x", clip, "audio/wav")}, data={"format": "jpeg"})
    view = until_over(client, begun.json()["url"])
    assert view["status"] == "done"
    assert client.get(view["scenes"][0]["image_url"]).headers["content-type"] == "image/jpeg"


def test_silence_is_done_with_nothing_drawn(client: httpx.Client) -> None:
    begun = client.post("/v1/recordings", content=wav(np.zeros((16000 * 6, 1)), 16000), headers=WAV)
    view = until_over(client, begun.json()["url"])
    assert (view["status"], view["to_draw"], [s["reason"] for s in view["scenes"]]) == ("done", 0, ["silence"])


def test_what_cannot_be_decoded_fails_and_says_why(client: httpx.Client) -> None:
    begun = client.post("/v1/recordings", content=b"nothing" * 1000, headers=WAV).json()
    (*_, (_, name, data)) = events(client, begun["events_url"])
    assert name == "failed" and data["error"]["code"] == "undecodable"
    assert client.get(begun["url"]).json()["error"]["code"] == "undecodable"


def test_deleting_cancels_and_forgets(client: httpx.Client, recording: bytes) -> None:
    begun = client.post("/v1/recordings?steps=50&size=128", content=recording, headers=WAV).json()
    assert client.delete(begun["url"]).status_code == 204
    for path in (begun["url"], begun["events_url"], f"{begun['url']}/scenes/0/image"):
        assert problem(client.get(path), 404)["code"] == "not_found"
    assert problem(client.delete(begun["url"]), 404)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "bad_request"),
        (b"[]", 422, "invalid"),
        (b"{}", 422, "invalid"),
        (b'{"uri": 5}', 422, "invalid"),
        (b'{"uri": "s3://archive/allowed/x", "steps": 10000}', 422, "invalid"),
        (b'{"uri": "s3://archive/allowed/x", "style": "oil"}', 422, "unknown_style"),
        (b'{"uri": "s3://archive/allowed/x", "what": 1}', 422, "invalid"),
        (b" " * 20000, 413, "too_large"),
        (b'{"uri": "file:///etc/passwd"}', 403, "forbidden"),
        (b'{"uri": "http://169.254.169.254/latest/meta-data"}', 403, "forbidden"),
        (b'{"uri": "s3://archive/other/x.mp3"}', 403, "forbidden"),
        (b'{"uri": "s3://archive/allowed-not/x.mp3"}', 403, "forbidden"),
        (b'{"uri": "s3://archive/allowed/../secret.mp3"}', 403, "forbidden"),
        (b'{"uri": "s3://archive/allowed//x.mp3"}', 403, "forbidden"),
        (b'{"uri": "s3://archive/allowed"}', 403, "forbidden"),
        (b'{"uri": "s3://archive/alone.mp3x"}', 403, "forbidden"),
        (b'{"uri": "s3://archive"}', 403, "forbidden"),
        (b'{"uri": "s3://other/allowed/x.mp3"}', 403, "forbidden"),
    ],
)
def test_a_request_that_cannot_be_met(client: httpx.Client, body: bytes, status: int, code: str) -> None:
    answer = client.post("/v1/recordings", content=body, headers={"content-type": "application/json"})
    assert problem(answer, status)["code"] == code


def test_a_recording_is_read_from_an_allowed_prefix(
    client: httpx.Client, objects: ObjectStore, recording: bytes
) -> None:
    objects.create_bucket("archive")
    objects.put("archive", "allowed/talk.wav", recording)
    begun = client.post("/v1/recordings", json={"uri": "s3://archive/allowed/talk.wav"})
    assert begun.status_code == 202
    view = until_over(client, begun.json()["url"])
    assert view["status"] == "done" and view["drawn"] >= 2
    missing = client.post("/v1/recordings", json={"uri": f"s3://archive/allowed/{uuid.uuid4().hex}"}).json()
    assert until_over(client, missing["url"])["error"]["code"] == "not_found"


def test_recordings_and_quotas_belong_to_a_key(serve_settings: ServeSettings, clip: bytes, tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    one = {"authorization": f"Bearer {keys.add(path, 'one', 2, 3600)}"}
    two = {"authorization": f"Bearer {keys.add(path, 'two', 60, 3600)}"}
    settings = serve_settings.model_copy(update={"access": "keys", "keys_file": str(path)})
    with uvicorn_server(InProcess(settings).app) as url, httpx.Client(base_url=url, timeout=60) as client:
        for headers in ({}, {"authorization": "Bearer s2i_wrong"}, {"authorization": "Basic eDp5"}):
            refused = client.post("/v1/images", content=clip, headers=WAV | headers)
            assert problem(refused, 401)["code"] == "unauthorized" and refused.headers["www-authenticate"]
        assert problem(client.get("/metrics"), 401) and client.get("/healthz").status_code == 200
        assert client.get("/v1/styles").status_code == 200 and client.get("/docs").status_code == 200
        answers = [client.post("/v1/images", content=clip, headers=WAV | one) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        assert problem(answers[2], 429)["code"] == "quota" and int(answers[2].headers["retry-after"]) >= 1
        assert client.post("/v1/images", content=clip, headers=WAV | two).status_code == 200
        begun = client.post("/v1/recordings", content=clip, headers=WAV | two).json()
        assert client.get(begun["url"], headers=two).status_code == 200
        for path_of in (begun["url"], begun["events_url"]):
            assert problem(client.get(path_of, headers=one), 404)
        assert problem(client.delete(begun["url"], headers=one), 404)
        assert client.delete(begun["url"], headers=two).status_code == 204


def test_every_place_for_recordings_is_bounded(service: InProcess, client: httpx.Client, clip: bytes) -> None:
    limit = service.service.limits.max_recordings
    begun = [client.post("/v1/recordings?steps=50&size=256", content=clip, headers=WAV) for _ in range(limit + 4)]
    refused = [answer for answer in begun if answer.status_code == 503]
    for answer in refused:
        assert problem(answer, 503)["code"] == "busy"
    assert all(answer.status_code in {202, 503} for answer in begun)
    for answer in begun:
        if answer.status_code == 202:
            client.delete(answer.json()["url"])
    assert len(service.desk._recordings) <= limit + service.service.limits.max_kept
