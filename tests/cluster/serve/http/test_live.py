"""`WS /v1/live`: a microphone in, events and pictures out; and everything that a socket can do wrong."""

from __future__ import annotations

import base64
import io
import json
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from asking import of, opus_packets, pcm, pieces, say
from inprocess import InProcess
from PIL import Image
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect


@pytest.fixture
def socket(url: str) -> Iterator[ClientConnection]:
    with connect(url.replace("http", "ws") + "/v1/live", open_timeout=20) as socket:
        yield socket


def picture(event: dict[str, Any]) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(event["image"]))).convert("RGB"))


def test_speech_gives_its_start_its_end_previews_and_the_picture(
    socket: ClientConnection, waveform: np.ndarray
) -> None:
    told = say(socket, pieces(pcm(waveform)), steps=6, seed=3)
    assert told[0] == {"type": "ready", "max_clip_s": 30.0}
    (start,), (end,), (image,), done = of(told, "speech_start"), of(told, "speech_end"), of(told, "image"), told[-1]
    assert start["start_s"] == pytest.approx(end["start_s"], abs=0.2) and end["end_s"] > 2
    previews = of(told, "preview")
    assert previews and [event["step"] for event in previews] == sorted({event["step"] for event in previews})
    assert all(0 < event["step"] < event["steps"] == 6 and picture(event).shape == (64, 64, 3) for event in previews)
    assert image["seed"] == "3" and picture(image).shape == (64, 64, 3)
    kinds = [event["type"] for event in told]
    assert kinds.index("speech_start") < kinds.index("speech_end") < kinds.index("preview") < kinds.index("image")
    assert done["best"] == 0 and done["utterances"] == 1
    assert done["duration_s"] == pytest.approx(len(waveform) / 16000, abs=0.01)


def test_speech_is_announced_while_it_goes_on(socket: ClientConnection, waveform: np.ndarray) -> None:
    socket.send(json.dumps({"type": "start"}))
    socket.send(pcm(waveform[: 16000 * 2]))
    assert json.loads(socket.recv(timeout=20))["type"] == "ready"
    assert json.loads(socket.recv(timeout=20))["type"] == "speech_start"


def test_the_same_clip_gives_the_same_picture_also_in_other_pieces(
    socket: ClientConnection, waveform: np.ndarray
) -> None:
    one = of(say(socket, pieces(pcm(waveform))), "image")[0]
    other = of(say(socket, pieces(pcm(waveform), 999), previews=False), "image")[0]
    assert one["seed"] == other["seed"] and np.array_equal(picture(one), picture(other))


def test_other_rates_and_opus(socket: ClientConnection, waveform: np.ndarray) -> None:
    at_48k = np.interp(np.arange(0, len(waveform) - 1, 1 / 3), np.arange(len(waveform)), waveform)
    for told in (
        say(socket, pieces(pcm(at_48k), 9600), rate_hz=48000, previews=False),
        say(socket, opus_packets(waveform), audio="opus", previews=False),
        say(socket, opus_packets(waveform, -waveform), audio="opus", previews=False),
    ):
        assert len(of(told, "image")) == 1 and of(told, "preview") == []
        assert told[-1]["duration_s"] == pytest.approx(len(waveform) / 16000, abs=0.1)


def test_silence_is_said_and_the_next_clip_works(socket: ClientConnection, waveform: np.ndarray) -> None:
    told = say(socket, [bytes(32000)])
    assert [event["type"] for event in told] == ["ready", "error", "done"]
    assert told[1]["error"]["code"] == "no_speech" and told[2]["best"] is None
    assert "the clip is silent" in told[1]["error"]["message"]
    tone = 0.3 * np.sin(2 * np.pi * 300 * np.arange(32000) / 16000)
    assert "There is sound" in say(socket, [pcm(tone)])[1]["error"]["message"]
    assert of(say(socket, pieces(pcm(waveform)), previews=False), "image")


def test_a_cancelled_clip_is_forgotten(socket: ClientConnection, waveform: np.ndarray) -> None:
    socket.send(json.dumps({"type": "start", "steps": 50, "size": 128}))
    socket.send(pcm(waveform[:16000]))
    socket.send(json.dumps({"type": "cancel"}))
    told = [json.loads(socket.recv(timeout=20)) for _ in range(2)]
    while told[-1]["type"] != "done":
        told.append(json.loads(socket.recv(timeout=20)))
    assert not of(told, "image")


@pytest.mark.parametrize(
    ("messages", "code"),
    [
        (["garbage"], "bad_request"),
        (['{"type": "start", "steps": 10000}'], "bad_request"),
        (['{"type": "start", "style": "oil"}'], "unknown_style"),
        (['{"type": "what"}'], "bad_request"),
        (["[" * 5000], "bad_request"),
        ([b"\0\0"], "bad_request"),
        (['{"type": "end"}'], "bad_request"),
        (['{"type": "start"}', '{"type": "start"}'], "bad_request"),
        (['{"type": "start", "audio": "opus"}', b"\xff" * 500], "undecodable"),
        (['{"type": "start"}', bytes(70000)], "too_large"),
        (['{"type": "start"}', *[bytes(64000)] * 20], "too_long"),
        ([], "upload_timeout"),
        (['{"type": "start"}'], "upload_timeout"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_garbage_ends_the_socket_with_its_reason(
    socket: ClientConnection, client: Any, messages: list[str | bytes], code: str
) -> None:
    for message in messages:
        try:
            socket.send(message)
        except ConnectionClosed:
            break
    told: list[dict[str, Any]] = []
    with pytest.raises(ConnectionClosed) as closed:
        while True:
            told.append(json.loads(socket.recv(timeout=20)))
    assert told[-1]["type"] == "error" and told[-1]["error"]["code"] == code
    assert closed.value.rcvd is not None and closed.value.rcvd.code == 1008
    assert client.get("/healthz").status_code == 200


def test_sockets_are_bounded_and_a_place_is_free_again(url: str, service: InProcess) -> None:
    address = url.replace("http", "ws") + "/v1/live"
    sockets = [connect(address, open_timeout=20) for _ in range(service.service.limits.max_live)]
    for each in sockets:
        each.send('{"type": "start"}')
        assert json.loads(each.recv(timeout=20))["type"] == "ready"
    with connect(address, open_timeout=20) as one_more:
        assert json.loads(one_more.recv(timeout=20))["error"]["code"] == "busy"
    for each in sockets:
        each.close()
    time.sleep(0.3)
    with connect(address, open_timeout=20) as again:
        again.send('{"type": "start"}')
        assert json.loads(again.recv(timeout=20))["type"] == "ready"


def test_who_leaves_while_it_is_drawn_frees_the_place(url: str, service: InProcess, waveform: np.ndarray) -> None:
    with connect(url.replace("http", "ws") + "/v1/live", open_timeout=20) as socket:
        socket.send('{"type": "start", "steps": 50, "size": 256}')
        for piece in pieces(pcm(waveform)):
            socket.send(piece)
        socket.send('{"type": "end"}')
        assert json.loads(socket.recv(timeout=20))["type"] == "ready"
    until = time.monotonic() + 10
    while service.service.live._taken and time.monotonic() < until:
        time.sleep(0.05)
    assert service.service.live._taken == 0


def test_a_page_of_another_site_may_not_listen(url: str) -> None:
    from websockets.exceptions import InvalidStatus

    with (
        pytest.raises(InvalidStatus) as refused,
        connect(url.replace("http", "ws") + "/v1/live", open_timeout=20, origin="https://evil.example"),
    ):
        pass
    assert refused.value.response.status_code == 403
