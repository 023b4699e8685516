"""`POST /v1/images`: every kind of audio in, a picture out; and everything that is wrong with a request."""

from __future__ import annotations

import base64
import concurrent.futures
import io
import json
import socket
import time
from collections.abc import Callable

import httpx
import numpy as np
import pytest
from asking import KINDS, WAV, problem
from audio.audio_files import wav
from inprocess import InProcess
from PIL import Image

JSON = {"accept": "application/json"}


def pixels(file: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(file)).convert("RGB"))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_audio_gives_a_picture(client: httpx.Client, spoken: Callable[[str], bytes], kind: str) -> None:
    answer = client.post("/v1/images", content=spoken(kind), headers={"content-type": KINDS[kind][0]})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "image/png"
    assert pixels(answer.content).shape == (64, 64, 3)
    assert int(answer.headers["s2i-seed"]) >= 0 and len(answer.headers["s2i-scene-id"]) == 32


def test_json_tells_the_seed_the_similarity_and_the_times(client: httpx.Client, clip: bytes) -> None:
    answer = client.post("/v1/images?n=3&format=webp&size=96&steps=3", content=clip, headers=WAV | JSON).json()
    assert len(answer["images"]) == 3 and answer["steps"] == 3 and answer["style"] == "3d"
    assert len({image["seed"] for image in answer["images"]}) == 3
    for image in answer["images"]:
        assert pixels(base64.b64decode(image["image"])).shape == (96, 96, 3)
        assert image["content_type"] == "image/webp" and -1 <= image["similarity"] <= 1
    times = answer["timings"]
    assert times["total_ms"] >= times["listen_ms"] + times["encode_ms"] + times["draw_ms"] - 1
    assert 0 <= answer["start_s"] < answer["end_s"] <= answer["duration_s"]


def test_a_form_does_as_well_and_its_fields_are_options(client: httpx.Client, clip: bytes) -> None:
    raw = client.post("/v1/images?seed=5", content=clip, headers=WAV).content
    form = client.post("/v1/images", files={"audio": ("../../etc/passwd", clip, "audio/wav")}, data={"seed": "5"})
    assert form.status_code == 200 and form.content == raw


def test_the_seed_that_was_told_gives_the_picture_again(client: httpx.Client, clip: bytes) -> None:
    made = client.post("/v1/images?n=2", content=clip, headers=WAV | JSON).json()["images"]
    for image in made:
        again = client.post(f"/v1/images?seed={image['seed']}", content=clip, headers=WAV)
        # Other rows in the batch may turn the last bit.
        told = pixels(base64.b64decode(image["image"])).astype(int)
        assert np.abs(pixels(again.content) - told).max() <= 1
    assert made[0]["image"] != made[1]["image"]


def test_many_at_once_get_what_one_alone_gets(client: httpx.Client, clip: bytes, service: InProcess) -> None:
    alone = [client.post(f"/v1/images?seed={seed}", content=clip, headers=WAV).content for seed in range(8)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        together = list(
            pool.map(lambda seed: client.post(f"/v1/images?seed={seed}", content=clip, headers=WAV).content, range(8))
        )
    for one, other in zip(alone, together, strict=True):
        assert np.abs(pixels(one).astype(int) - pixels(other)).max() <= 1
    assert 's2i_batch_items_bucket{deployment="generator",le="1.0"}' in service.generator._meter.text()


# ---------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("steps=10000", "steps"),
        ("steps=0", "steps"),
        ("steps=51", "steps"),
        ("size=65", "size"),
        ("size=99999", "size"),
        ("seed=-1", "seed"),
        ("seed=9223372036854775808", "seed"),
        ("n=0", "n"),
        ("n=5", "n"),
        ("format=gif", "format"),
        ("timeout_s=0", "timeout_s"),
        ("timeout_s=nan", "timeout_s"),
        ("unknown=1", "unknown"),
        ("size=x", "size"),
        ("n=4&size=512&steps=50", "size"),
    ],
)
def test_options_out_of_range_are_named(client: httpx.Client, clip: bytes, query: str, field: str) -> None:
    error = problem(client.post(f"/v1/images?{query}", content=clip, headers=WAV), 422)
    assert error["code"] == "invalid" and field in error["message"]


def test_an_unknown_style(client: httpx.Client, clip: bytes) -> None:
    assert problem(client.post("/v1/images?style=oil", content=clip, headers=WAV), 422)["code"] == "unknown_style"


def noise(seconds: float) -> bytes:
    return wav(0.05 * np.random.default_rng(0).standard_normal((round(16000 * seconds), 1)).clip(-1, 1), 16000)


def chords(seconds: float) -> bytes:
    time_s = np.arange(round(16000 * seconds)) / 16000
    sound = sum(np.sin(2 * np.pi * f * time_s) for f in (220, 277, 330)) * (0.6 + 0.4 * np.sin(2 * np.pi * 2 * time_s))
    return wav(0.1 * sound[:, None], 16000)


@pytest.mark.parametrize(
    ("audio", "code", "status"),
    [
        (b"", "undecodable", 422),
        (b"RIFF", "undecodable", 422),
        (b"not audio at all" * 100, "undecodable", 422),
        (b"#EXTM3U\n#EXTINF:10,\nfile:///etc/passwd\n", "undecodable", 422),
        (b"ffconcat version 1.0\nfile /etc/passwd\n", "undecodable", 422),
        (wav(np.zeros((32000, 1)), 16000), "no_speech", 422),
        (noise(3), "no_speech", 422),
        (chords(3), "no_speech", 422),
        (wav(np.zeros((31 * 16000, 1)), 16000), "too_long", 413),
        (b"\0" * ((4 << 20) + 1), "too_large", 413),
    ],
    ids=["empty", "cut", "text", "playlist", "concat", "silence", "noise", "music", "long", "large"],
)
def test_audio_that_cannot_be_used(client: httpx.Client, audio: bytes, code: str, status: int) -> None:
    assert problem(client.post("/v1/images", content=audio, headers=WAV), status)["code"] == code


def test_three_hours_of_audio_in_a_few_bytes(client: httpx.Client) -> None:
    """A header may claim, and a codec may pack, far more than the upload's size tells."""
    from audio.audio_files import encoded

    packed = encoded(np.zeros((16000 * 3600 * 3 // 64, 1)), 16000, "flac", "flac")
    assert len(packed) < 1 << 20
    assert problem(client.post("/v1/images", content=packed, headers={"content-type": "audio/flac"}), 413)["code"] == (
        "too_long"
    )


def test_a_truncated_file_is_drawn_as_far_as_it_goes_or_refused(
    client: httpx.Client, spoken: Callable[[str], bytes]
) -> None:
    webm = spoken("webm")
    answer = client.post("/v1/images", content=webm[: len(webm) * 3 // 4], headers={"content-type": "audio/webm"})
    assert answer.status_code == 200
    m4a = spoken("m4a")  # its index is at the end
    answer = client.post("/v1/images", content=m4a[: len(m4a) // 2], headers={"content-type": "audio/mp4"})
    assert problem(answer, 422)["code"] == "undecodable"


@pytest.mark.parametrize("kind", ["text/plain", "application/json", "application/x-www-form-urlencoded", "", "x" * 999])
def test_a_wrong_content_type(client: httpx.Client, clip: bytes, kind: str) -> None:
    assert problem(client.post("/v1/images", content=clip, headers={"content-type": kind}), 415)["code"] == (
        "unsupported_media_type"
    )


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "incomplete_upload"),
        (b"--b\r\nno headers", "bad_request"),
        (b'--b\r\nContent-Disposition: form-data; name="audio"\r\n\r\nabc', "incomplete_upload"),
        (b'--b\r\nContent-Disposition: form-data; name="other"\r\n\r\nabc\r\n--b--\r\n', "bad_request"),
        (b'--b\r\nContent-Disposition: form-data; name="seed"\r\n\r\n' + b"1" * 9999 + b"\r\n--b--\r\n", "bad_request"),
    ],
    ids=["empty", "garbage", "cut", "no audio", "long field"],
)
def test_a_broken_form(client: httpx.Client, body: bytes, code: str) -> None:
    headers = {"content-type": "multipart/form-data; boundary=b"}
    assert problem(client.post("/v1/images", content=body, headers=headers), 400)["code"] == code
    no_boundary = client.post("/v1/images", content=body, headers={"content-type": "multipart/form-data"})
    assert problem(no_boundary, 400)["code"] == "bad_request"


def test_a_form_with_bad_options(client: httpx.Client, clip: bytes) -> None:
    answer = client.post("/v1/images", files={"audio": clip}, data={"steps": "10000"})
    assert problem(answer, 422)["code"] == "invalid"


def head(host: str, port: int | None) -> bytes:
    lines = ["POST /v1/images HTTP/1.1", f"Host: {host}:{port}", "Content-Type: audio/wav", "Content-Length: 99999"]
    return "\r\n".join([*lines, "", ""]).encode()


def test_an_upload_that_stops_is_ended(client: httpx.Client, clip: bytes) -> None:
    host, port = client.base_url.host, client.base_url.port
    with socket.create_connection((host, port), timeout=20) as connection:
        connection.sendall(head(host, port) + clip[:1000])
        started = time.monotonic()
        answer = connection.recv(65536)
        while b"upload_timeout" not in answer and (more := connection.recv(65536)):
            answer += more
        assert answer.startswith(b"HTTP/1.1 408") and b"upload_timeout" in answer
        assert time.monotonic() - started < 10
    assert client.get("/healthz").status_code == 200


def test_who_goes_in_mid_upload_leaves_no_trace(client: httpx.Client, clip: bytes, service: InProcess) -> None:
    host, port = client.base_url.host, client.base_url.port
    for _ in range(5):
        with socket.create_connection((host, port)) as connection:
            connection.sendall(head(host, port) + clip[:100])
    time.sleep(0.5)
    assert service.service.uploads._taken == 0
    assert client.post("/v1/images", content=clip, headers=WAV).status_code == 200


# ---------------------------------------------------------------------------------------------------- load


def test_a_full_house_answers_503_with_a_time(client: httpx.Client, clip: bytes) -> None:
    def ask(seed: int) -> httpx.Response:
        return client.post(f"/v1/images?seed={seed}&steps=20&size=96", content=clip, headers=WAV)

    with concurrent.futures.ThreadPoolExecutor(48) as pool:
        answers = list(pool.map(ask, range(48)))
    refused = [answer for answer in answers if answer.status_code != 200]
    assert refused, "48 requests fit where 24 do"
    for answer in refused:
        assert problem(answer, 503)["code"] == "busy" and int(answer.headers["retry-after"]) >= 1
    assert len(answers) > len(refused), "those who came first have their places"
    assert client.post("/v1/images", content=clip, headers=WAV).status_code == 200


def test_a_deadline_is_kept(client: httpx.Client, clip: bytes) -> None:
    started = time.monotonic()
    error = problem(client.post("/v1/images?timeout_s=0.0001", content=clip, headers=WAV), 503)
    assert error["code"] == "deadline" and time.monotonic() - started < 5


# ---------------------------------------------------------------------------------------------------- the rest


def test_other_addresses_and_methods(client: httpx.Client) -> None:
    assert problem(client.get("/nothing"), 404)["code"] == "not_found"
    assert problem(client.get("/v1/images"), 405)["code"] == "method_not_allowed"
    assert problem(client.get("/../../etc/passwd"), 404)["code"] == "not_found"


def test_styles_have_pictures(client: httpx.Client) -> None:
    answer = client.get("/v1/styles").json()
    assert answer["default"] == answer["styles"][0]["name"] == "3d"
    picture = client.get(answer["styles"][0]["image_url"])
    assert picture.headers["content-type"].startswith("image/") and pixels(picture.content).shape == (64, 64, 3)
    assert problem(client.get("/v1/styles/oil/image"), 404)


def test_health_and_metrics(client: httpx.Client, service: InProcess) -> None:
    assert client.get("/healthz").json()["status"] == "ok"
    assert client.get("/readyz").json()["model_digest"] == service.encoder._model.digest
    page = client.get("/metrics")
    assert page.headers["content-type"].startswith("text/plain")
    assert 's2i_requests_total{method="GET",replica="local",route="/healthz",status="200"}' in page.text


def test_documentation_needs_no_other_host(client: httpx.Client) -> None:
    page = client.get("/docs")
    assert "'unsafe-eval'" not in page.headers["content-security-policy"]
    for path in ("/docs/swagger-ui.css", "/docs/swagger-ui-bundle.js", "/docs/start.js"):
        assert path in page.text and client.get(path).status_code == 200
    assert "http" not in page.text.replace("http-equiv", "")
    document = client.get("/openapi.json").json()
    assert set(document["paths"]) >= {"/v1/images", "/v1/recordings", "/v1/styles", "/healthz", "/readyz", "/metrics"}
    assert "HTTPValidationError" not in json.dumps(document), "errors have one shape"


@pytest.mark.parametrize("kind", ["binary/octet-stream", "Application/Octet-Stream; x=y", "application/force-download"])
def test_the_content_tells_what_a_type_does_not(client: httpx.Client, clip: bytes, kind: str) -> None:
    headers = {"content-type": kind}
    assert client.post("/v1/images", content=clip, headers=headers).status_code == 200
    assert problem(client.post("/v1/images", content=b"a=b&c=d", headers=headers), 422)["code"] == "undecodable"


def test_a_form_without_audio_is_told_what_it_has(client: httpx.Client, clip: bytes) -> None:
    message = problem(client.post("/v1/images", files={"file": ("x.webm", clip)}), 400)["message"]
    assert "its field 'file' is too long" in message
    message = problem(client.post("/v1/images", files={"file": ("x.txt", b"short")}), 400)["message"]
    assert "no field audio, only 'file'" in message
