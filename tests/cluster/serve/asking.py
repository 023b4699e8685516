"""What tests ask the service, over HTTP and the live socket, and how they read its answers."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import av
import httpx
import numpy as np
from websockets.sync.client import ClientConnection

WAV = {"content-type": "audio/wav"}
FRAME = 1600
#: What browsers and people send: name → (MIME type, container, codec, rate).
KINDS = {
    "wav": ("audio/wav", "wav", "pcm_s16le", 16000),
    "mp3": ("audio/mpeg", "mp3", "libmp3lame", 44100),
    "m4a": ("audio/mp4", "ipod", "aac", 44100),
    "flac": ("audio/flac", "flac", "flac", 48000),
    "ogg": ("audio/ogg", "ogg", "libopus", 48000),
    "webm": ("audio/webm;codecs=opus", "webm", "libopus", 48000),
}


def problem(answer: httpx.Response, status: int) -> dict[str, str]:
    """The error of an answer; all have one shape, and tell nothing of the inside."""
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert set(body) == {"error"} and set(body["error"]) - {"request_id"} == {"code", "message", "remedy"}
    assert all(body["error"].values())
    for inside in ("Traceback", "/", "\\", "0x", "ray", "s2i_core", "numpy", "Error("):
        text = body["error"]["message"].replace("image/", "").replace("audio/", "")
        assert inside not in text or "/v1" in text or "s / " in text, text
    return body["error"]


def events(client: httpx.Client, url: str, last: int = 0) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """Server-sent events until the stream ends."""
    with client.stream("GET", url, headers={"last-event-id": str(last)} if last else {}) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        fields: dict[str, str] = {}
        for line in answer.iter_lines():
            if line.startswith(":"):
                continue
            if line:
                name, _, value = line.partition(": ")
                fields[name] = value
            elif fields:
                yield int(fields["id"]), fields["event"], json.loads(fields["data"])
                fields = {}


def until_over(client: httpx.Client, url: str) -> dict[str, Any]:
    for _ in range(600):
        view = client.get(url).json()
        if view["status"] in {"done", "failed"}:
            return view
        time.sleep(0.1)
    raise AssertionError(view)


def pcm(waveform: np.ndarray) -> bytes:
    return (waveform * 32767).astype("<i2").tobytes()


def opus_packets(*channels: np.ndarray) -> list[bytes]:
    """Packets of 20 ms at 48 kHz, of one channel or two."""
    layout = "stereo" if len(channels) == 2 else "mono"
    interleaved = (np.stack(channels, axis=1) * 32767).astype("<i2").reshape(1, -1)
    context = av.CodecContext.create("libopus", "w")
    context.sample_rate, context.layout, context.format = 48000, layout, "s16"
    context.open()
    resampler = av.AudioResampler("s16", layout, 48000, frame_size=context.frame_size)
    frame = av.AudioFrame.from_ndarray(interleaved, format="s16", layout=layout)
    frame.sample_rate = 16000
    frames = [*resampler.resample(frame), *resampler.resample(None)]
    return [bytes(packet) for each in frames for packet in context.encode(each)]


def say(socket: ClientConnection, messages: list[bytes], **start: Any) -> list[dict[str, Any]]:
    """One clip; all events to `done`."""
    socket.send(json.dumps({"type": "start", **start}))
    for message in messages:
        socket.send(message)
    socket.send(json.dumps({"type": "end"}))
    told = []
    while not told or told[-1]["type"] != "done":
        told.append(json.loads(socket.recv(timeout=60)))
    return told


def pieces(data: bytes, size: int = 2 * FRAME) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


def of(told: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [event for event in told if event["type"] == kind]
