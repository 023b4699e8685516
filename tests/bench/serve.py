"""The service against a plain app with one request at a time: 16 clients; live audio; twice the load that it can bear.

Both get the same clips, cut from the samples, and run the shipped model on this machine. A request of the plain app
and one of the service do the same work. `overhead_ms` is what a client waits beyond what the service itself took.
"""

from __future__ import annotations

import base64
import contextlib
import json
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from websockets.sync.client import connect

from tests.bench.results import ROOT, Options
from tests.small_archive import clip

_CLIENTS = 16
#: Sentences of the samples: file, start and end in seconds.
_SENTENCES = [
    ("castle-tale.mp3", 0.3, 4.6),
    ("castle-tale.mp3", 4.9, 9.0),
    ("castle-tale.mp3", 9.3, 13.1),
    ("castle-tale.mp3", 13.6, 16.9),
    ("castle-tale.mp3", 17.9, 21.9),
    ("castle-tale.mp3", 22.1, 26.6),
]
_WAV = {"content-type": "audio/wav"}


def run(options: Options) -> dict[str, Any]:
    """One after the other: plain app, service; then live audio and overload on the service."""
    seconds, overload_s, live_clips = (6.0, 6.0, 2) if options.quick else (90.0, 120.0, 20)
    clips = [clip(*sentence) for sentence in _SENTENCES]
    with _plain() as url:
        plain = _closed_loop(url, clips, seconds)
    with _service() as url:
        service = _closed_loop(url, clips, seconds)
        overhead = _overhead_ms(url, clips, 3 if options.quick else 20)
        live = _live(url, live_clips)
        overload = _overload(url, clips, 2 * service.rate, overload_s)
    figures = {
        "clients": _CLIENTS,
        **plain.figures("plain"),
        **service.figures("serve"),
        "speedup": round(service.rate / plain.rate, 2),
        "overhead_ms": round(overhead, 1),
        **live,
        **overload,
    }
    return figures


@dataclass
class Answers:
    """What came back, with the seconds that each took."""

    elapsed_s: float = 0.0
    statuses: Counter[str] = field(default_factory=Counter)
    ok_s: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Pictures a second."""
        return len(self.ok_s) / self.elapsed_s

    def figures(self, name: str) -> dict[str, Any]:
        """For the result."""
        return {
            f"{name}_per_s": round(self.rate, 3),
            f"{name}_p50_ms": round(_quantile(self.ok_s, 0.5) * 1000),
            f"{name}_p99_ms": round(_quantile(self.ok_s, 0.99) * 1000),
            f"{name}_pictures": len(self.ok_s),
        }


def _quantile(values: list[float], share: float) -> float:
    return float(np.quantile(values, share)) if values else float("nan")


def _ask(client: httpx.Client, audio: bytes, answers: Answers, lock: threading.Lock, query: str = "") -> None:
    started = time.monotonic()
    try:
        status = str(client.post(f"/v1/images{query}", content=audio, headers=_WAV).status_code)
    except httpx.HTTPError as error:
        status = f"lost ({type(error).__name__})"
    elapsed_s = time.monotonic() - started
    with lock:
        answers.statuses[status] += 1
        if status == "200":
            answers.ok_s.append(elapsed_s)


def _closed_loop(url: str, clips: list[bytes], seconds: float) -> Answers:
    """Each client sends its next clip when it has its picture."""
    answers, lock = Answers(), threading.Lock()
    with httpx.Client(base_url=url, timeout=300, limits=httpx.Limits(max_connections=_CLIENTS)) as client:
        for audio in clips[:2]:  # warm
            client.post("/v1/images", content=audio, headers=_WAV).raise_for_status()
        started = time.monotonic()

        def one(number: int) -> None:
            while time.monotonic() - started < seconds:
                _ask(client, clips[number % len(clips)], answers, lock)
                number += _CLIENTS

        with ThreadPoolExecutor(_CLIENTS) as pool:
            list(pool.map(one, range(_CLIENTS)))
        answers.elapsed_s = time.monotonic() - started
    if set(answers.statuses) != {"200"}:
        raise RuntimeError(f"not every request was answered: {dict(answers.statuses)}")
    return answers


def _overhead_ms(url: str, clips: list[bytes], count: int) -> float:
    """Median of what a client waits beyond the time that the service says it took: upload, proxy, answer."""
    beyond = []
    with httpx.Client(base_url=url, timeout=300) as client:
        for number in range(count):
            started = time.monotonic()
            answer = client.post(
                "/v1/images", content=clips[number % len(clips)], headers=_WAV | {"accept": "application/json"}
            )
            elapsed_ms = (time.monotonic() - started) * 1000
            beyond.append(elapsed_ms - answer.json()["timings"]["total_ms"])
    return float(statistics.median(beyond))


def _live(url: str, count: int) -> dict[str, Any]:
    """From the end of the speech to the first preview and to the picture, one clip after another."""
    first: list[float] = []
    image: list[float] = []
    with connect(url.replace("http", "ws") + "/v1/live", open_timeout=60) as connection:
        for number in range(count):
            audio = clip(*_SENTENCES[number % len(_SENTENCES)])[44:]
            connection.send(json.dumps({"type": "start"}))
            for start in range(0, len(audio), 6400):
                connection.send(audio[start : start + 6400])
            connection.send(json.dumps({"type": "end"}))
            spoken: dict[int, float] = {}
            seen: set[int] = set()
            while (event := json.loads(connection.recv(timeout=120)))["type"] != "done":
                now, utterance = time.monotonic(), event.get("utterance", -1)
                if event["type"] == "speech_end":
                    spoken[utterance] = now
                elif event["type"] == "preview" and utterance not in seen:
                    seen.add(utterance)
                    first.append(now - spoken[utterance])
                elif event["type"] == "image":
                    base64.b64decode(event["image"], validate=True)
                    image.append(now - spoken[utterance])
    return {
        "live_preview_p50_ms": round(_quantile(first, 0.5) * 1000),
        "live_image_p50_ms": round(_quantile(image, 0.5) * 1000),
        "live_image_p99_ms": round(_quantile(image, 0.99) * 1000),
    }


def _overload(url: str, clips: list[bytes], rate: float, seconds: float) -> dict[str, Any]:
    """Requests at a steady rate, whether or not the earlier ones are answered; and how soon all is as before."""
    answers, lock = Answers(), threading.Lock()
    with (
        httpx.Client(base_url=url, timeout=120, limits=httpx.Limits(max_connections=512)) as client,
        ThreadPoolExecutor(512) as pool,
    ):
        calm_s = _alone(client, clips)
        started = time.monotonic()
        sent = 0
        while (now := time.monotonic() - started) < seconds:
            if now * rate >= sent:
                pool.submit(_ask, client, clips[sent % len(clips)], answers, lock, "?timeout_s=30")
                sent += 1
            else:
                time.sleep(min(0.01, sent / rate - now))
        pool.shutdown(wait=True)
        answers.elapsed_s = seconds
        after_s = _alone(client, clips)
    counted = answers.statuses
    return {
        "overload_sent": sent,
        "overload_sent_per_s": round(sent / seconds, 2),
        "overload_ok": counted["200"],
        "overload_503": counted["503"],
        "overload_other_errors": sum(n for status, n in counted.items() if status not in {"200", "503"}),
        "overload_lost": sent - sum(counted.values()) + sum(n for s, n in counted.items() if s.startswith("lost")),
        "overload_ok_p99_ms": round(_quantile(answers.ok_s, 0.99) * 1000),
        "calm_before_ms": round(calm_s * 1000),
        "calm_after_ms": round(after_s * 1000),
    }


def _alone(client: httpx.Client, clips: list[bytes]) -> float:
    """Median seconds of a few requests, one at a time."""
    taken = []
    for audio in clips[:5]:
        started = time.monotonic()
        client.post("/v1/images", content=audio, headers=_WAV).raise_for_status()
        taken.append(time.monotonic() - started)
    return statistics.median(taken)


@contextlib.contextmanager
def _plain() -> Iterator[str]:
    with _process(lambda port: [sys.executable, "-m", "tests.bench.plain_app", str(port)]) as url:
        yield url


@contextlib.contextmanager
def _service() -> Iterator[str]:
    program = Path(sys.executable).with_name("s2i")
    with _process(lambda port: [str(program), "serve", "--port", str(port)]) as url:
        yield url


@contextlib.contextmanager
def _process(command: Callable[[int], list[str]]) -> Iterator[str]:
    """A server of its own process, once it is ready; ended as a user ends it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(command(port), cwd=ROOT, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        until = time.monotonic() + 300
        while True:
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(f"{url}/readyz", timeout=5).status_code == 200:
                    break
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"{command(port)} did not start")
            time.sleep(0.5)
        yield url
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
