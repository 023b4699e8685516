"""Attacks on the service as it is started, HAProxy included; each is bounded in number and time, and on loopback.

They run against the deployments in one process, behind the HTTP server that Serve starts and HAProxy as it configures
it; the slow ones against the whole of it, started as `s2i serve` does.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import logging
import random
import socket
import tempfile
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from asking import WAV, events, opus_packets, pcm, pieces, problem
from attacks import BINARY, CONTINUED, PACKED, PING, TEXT, Attacked, all_closed, bearer, ends_within, frame
from audio.audio_files import wav
from fronted import Healthy, haproxy_before
from inprocess import InProcess, uvicorn_server
from process import served_alone
from websockets.exceptions import ConnectionClosed

from cluster.serve import keys
from cluster.serve.http import haproxy
from cluster.serve.settings import Limits, ServeSettings

LIMITS = Limits(
    max_clip_s=30, max_clip_bytes=4 << 20, head_s=1, max_connections=20, upload_idle_s=2, upload_bytes_per_s=500,
    live_idle_s=20, max_live=4, max_uploads=16, max_events=4, max_recordings=4, key_share=0.5, wrong_keys_per_minute=20,
)  # fmt: skip
ENDED_S = 8.0
SOON_S = 2.0


@pytest.fixture(scope="module", params=["in process", pytest.param("started", marks=pytest.mark.slow)])
def attacked(
    request: pytest.FixtureRequest, serve_settings: ServeSettings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Attacked]:
    """The service with keys, and small limits."""
    file = tmp_path_factory.mktemp("keys") / "keys.json"
    keys.add(file, "first", 60, 86400.0)
    update = {"access": "keys", "keys_file": str(file), "limits": LIMITS}
    settings = serve_settings.model_copy(update=update)
    binary = haproxy.binary()
    with contextlib.ExitStack() as stack:
        if request.param == "started":
            url = stack.enter_context(served_alone(settings)).url
        else:
            url = stack.enter_context(uvicorn_server(Healthy(InProcess(settings).app)))
            if binary is not None:
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="s2i-")))
                url = stack.enter_context(haproxy_before(url, binary, folder, LIMITS)).url
        yield Attacked(url, file, binary is not None)


@pytest.fixture(scope="module")
def key(attacked: Attacked) -> str:
    return attacked.key()


@pytest.fixture
def fronted(attacked: Attacked) -> Attacked:
    if not attacked.fronted:
        pytest.skip("HAProxy does not run here")
    return attacked


@pytest.fixture(autouse=True)
def no_fault_of_ours(attacked: Attacked, key: str, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Whatever a client does, the service does not take it for a fault of its own."""
    yield
    assert not [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    page = httpx.get(f"{attacked.url}/metrics", headers=bearer(key)).text
    assert 'status="500"' not in page
    attacked.healthy_within(SOON_S)


# ------------------------------------------------------------------------------------------------ the live socket


def bomb() -> bytes:
    """A packed message of 64 MiB in 64 KB."""
    packer = zlib.compressobj(wbits=-15)
    return (packer.compress(bytes(64 << 20)) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]


FRAMES = {
    "packed": (frame(BINARY, bomb(), flags=PACKED),),
    "unmasked": (frame(BINARY, bytes(100), masked=False),),
    "larger than allowed": (frame(BINARY, bytes(1 << 20)),),
    "larger than allowed, in parts": (
        frame(BINARY, bytes(1000), last=False),
        *[frame(CONTINUED, bytes(60_000), last=False)] * 20,
    ),
    "claims a terabyte": (frame(BINARY, b"")[:1] + b"\xff" + (1 << 40).to_bytes(8, "big") + bytes(1000),),
    "parts without an end": (frame(BINARY, b"", last=False), *[frame(CONTINUED, b"", last=False)] * 20_000),
    "parts of nothing": (frame(CONTINUED, b"a"),),
    "a huge ping": (frame(PING, bytes(5000)),),
    "pings alone": tuple([frame(PING, bytes(125))] * 20_000),
    "no text": (frame(TEXT, b"\xff\xfe"),),
    "no opcode": (frame(5, b"abc"),),
}


@pytest.mark.parametrize("with_key", [True, False], ids=["with a key", "without"])
@pytest.mark.parametrize("kind", FRAMES)
def test_a_live_socket_takes_no_more_than_its_limits(attacked: Attacked, key: str, kind: str, with_key: bool) -> None:
    connections = [attacked.raw_live(key if with_key else None) for _ in range(2)]
    with all_closed(connections), concurrent.futures.ThreadPoolExecutor() as pool:

        def send(connection: socket.socket) -> None:
            with contextlib.suppress(ConnectionError, TimeoutError):
                if with_key:
                    connection.sendall(frame(TEXT, b'{"type": "start"}'))
                for each in FRAMES[kind]:
                    connection.sendall(each)

        sending = [pool.submit(send, each) for each in connections]
        attacked.healthy_within(SOON_S)
        for each in connections:
            ends_within(each, ENDED_S)
        for each in sending:
            each.result()


def test_packed_messages_are_not_offered(attacked: Attacked, key: str) -> None:
    with attacked.live(key, compression="deflate") as live:
        assert live.protocol.extensions == []


def said(live: Any) -> list[dict[str, Any]]:
    """All events until the socket is closed."""
    told = []
    with contextlib.suppress(ConnectionClosed):
        while True:
            told.append(json.loads(live.recv(timeout=20)))
    return told


@pytest.mark.parametrize("start", ['{"type": "start", "rate_hz": 48000}', '{"type": "start", "audio": "opus"}'])
def test_an_empty_message_is_no_audio(attacked: Attacked, key: str, waveform: np.ndarray, start: str) -> None:
    opus = "opus" in start
    audio = opus_packets(waveform[:16000]) if opus else pieces(pcm(np.repeat(waveform[:16000], 3)), 9601)
    with attacked.live(key) as live:
        live.send(start)
        for each in audio:
            live.send(b"")
            live.send(each)
        live.send(b"")
        live.send('{"type": "end"}')
        told: list[dict[str, Any]] = []
        while not told or told[-1]["type"] != "done":
            told.append(json.loads(live.recv(timeout=20)))
    assert told[-1]["duration_s"] == pytest.approx(1, abs=0.1)


def test_messages_in_any_order_are_answered_by_name(attacked: Attacked, key: str) -> None:
    drawn = random.Random(7)
    starts = ['{"type": "start"}', '{"type": "start", "audio": "opus"}', '{"type": "start", "rate_hz": 44100}']
    others: list[str | bytes] = [
        b"", b"\0", b"\0\0\0", bytes(3200), b"\xfc\xff\xfe", b"\xff" * 700, '{"type": "end"}', '{"type": "cancel"}',
        "", "null", "[]", "{}", '{"type": null}', '{"type": "start", "style": "\\ud800"}', '{"type":"start","seed":-1}',
        '{"type": "start", "seed": 1e400}', "9" * 5000, "{" * 3000, '{"type": "end", "more": 1}',
    ]  # fmt: skip
    for _ in range(60):
        with attacked.live(key) as live:
            with contextlib.suppress(ConnectionClosed):
                for each in [drawn.choice(starts), *drawn.choices(others, k=drawn.randint(1, 6))]:
                    live.send(each)
            live.close()
            codes = [event["error"]["code"] for event in said(live) if event["type"] == "error"]
        assert "internal" not in codes


# ------------------------------------------------------------------------------------------ connections, slow ones


def test_a_slow_head_is_cut_off(fronted: Attacked) -> None:
    with fronted.raw() as connection:
        started = time.monotonic()
        with contextlib.suppress(ConnectionError):
            for each in fronted.head("/healthz")[:-4]:
                connection.sendall(bytes([each]))
                time.sleep(0.2)
                if time.monotonic() - started > ENDED_S:
                    break
        answer = ends_within(connection, 1)
        assert time.monotonic() - started < ENDED_S
        assert not answer or (answer.startswith(b"HTTP/1.1 408"))


def test_many_slow_heads_of_this_machine_leave_room(fronted: Attacked) -> None:
    with all_closed([fronted.raw(b"GET / HTTP/1.1\r\nX-Slow: ") for _ in range(400)]):
        fronted.healthy_within(SOON_S)


def test_one_address_has_so_many_connections(fronted: Attacked) -> None:
    def ask(source: str) -> bytes:
        with (
            contextlib.suppress(ConnectionError),
            fronted.raw(fronted.head("/v1/styles", "Connection: close"), source) as one,
        ):
            return ends_within(one, ENDED_S)
        return b""

    def answer_beside(others: int, wanted: bytes) -> bytes:
        # Of a slow machine the others are ended for their heads before the last one has come: once more then.
        until = time.monotonic() + ENDED_S
        while True:
            with all_closed([fronted.raw(b"GET / HTTP/1.1\r\n", "127.0.0.2") for _ in range(others)]):
                answer = ask("127.0.0.2")
                assert ask("127.0.0.3").startswith(b"HTTP/1.1 200")
                fronted.healthy_within(SOON_S)
            if answer[:12] == wanted:
                return answer
            assert time.monotonic() < until, answer

    most = LIMITS.max_connections
    refused = answer_beside(most, b"HTTP/1.1 429")
    assert b'"connections"' in refused and b"retry-after: 5" in refused.lower()
    answer_beside(2 * most, b"")
    answer_beside(0, b"HTTP/1.1 200")


def test_an_upload_that_trickles_is_ended(attacked: Attacked, key: str) -> None:
    for path in ("/v1/images", "/v1/recordings"):
        headers = [f"{name}: {value}" for name, value in (bearer(key) | WAV).items()]
        with attacked.raw(attacked.head(path, *headers, "Content-Length: 99999", method="POST")) as connection:
            started = time.monotonic()
            answer, ended = b"", False
            connection.settimeout(0.3)
            while not ended and time.monotonic() - started < ENDED_S:
                try:
                    connection.sendall(b"RIFF")
                    more = connection.recv(1 << 16)
                except TimeoutError:
                    continue
                except ConnectionError:
                    more = b""
                answer, ended = answer + more, not more
            assert ended
            assert answer.startswith(b"HTTP/1.1 408") and b"upload_timeout" in answer
            assert LIMITS.upload_idle_s <= time.monotonic() - started < ENDED_S


# ------------------------------------------------------------------------------------------------- shares of keys


def test_one_key_does_not_take_all_live_sockets(attacked: Attacked) -> None:
    one, other = attacked.key(), attacked.key()

    def begun(live: Any) -> dict[str, Any]:
        live.send('{"type": "start"}')
        answer: dict[str, Any] = json.loads(live.recv(timeout=20))
        return answer

    with contextlib.ExitStack() as stack:
        for _ in range(LIMITS.share(LIMITS.max_live)):
            assert begun(stack.enter_context(attacked.live(one)))["type"] == "ready"
        with attacked.live(one) as more:
            assert said(more)[-1]["error"]["code"] == "quota"
        assert begun(stack.enter_context(attacked.live(other)))["type"] == "ready"


@pytest.mark.parametrize("path", ["/v1/images", "/v1/recordings", "/v1/recordings as JSON"])
def test_one_key_does_not_take_all_uploads(attacked: Attacked, clip: bytes, path: str) -> None:
    one, other = attacked.key(), attacked.key()
    path, _, json_body = path.partition(" ")
    kind = "application/json" if json_body else "audio/wav"
    most = LIMITS.share(LIMITS.max_recordings if path == "/v1/recordings" and not json_body else LIMITS.max_uploads)

    def slow(key: str) -> socket.socket:
        headers = [f"Authorization: Bearer {key}", f"Content-Type: {kind}", "Content-Length: 9999"]
        return attacked.raw(attacked.head(path, *headers, method="POST") + b"RIFF")

    headers = {"content-type": kind}
    with all_closed([slow(one) for _ in range(most)]):
        time.sleep(0.5)
        mine = httpx.post(f"{attacked.url}{path}", content=clip, headers=headers | bearer(one))
        assert problem(mine, 429)["code"] == "quota" and int(mine.headers["retry-after"]) >= 1
        theirs = httpx.post(f"{attacked.url}{path}", content=clip, headers=headers | bearer(other), timeout=60)
        assert theirs.status_code in ({413} if json_body else {200, 202}), theirs.text


def test_the_last_place_for_events_goes_to_one_and_others_are_told(attacked: Attacked, clip: bytes) -> None:
    # A picture a minute: the recording is under way for the time of the test.
    slow = attacked.key(images_per_minute=1)
    long = wav(np.tile(np.frombuffer(clip[44:], "<i2"), 4)[:, None] / 32768, 16000)
    begun = httpx.post(f"{attacked.url}/v1/recordings", content=long, headers=WAV | bearer(slow), timeout=60).json()
    together, answered = threading.Barrier(8), threading.Barrier(8)

    def look(_: int) -> int:
        together.wait(20)
        address = f"{attacked.url}{begun['events_url']}"
        with httpx.stream("GET", address, headers=bearer(slow), timeout=30) as answer:
            answered.wait(20)
            if answer.status_code == 200:
                assert b"event: " in next(answer.iter_raw())
            else:
                answer.read()
                assert problem(answer, answer.status_code)["code"] in {"quota", "busy"}
            return answer.status_code

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        codes = sorted(pool.map(look, range(8)))
    most = LIMITS.share(LIMITS.max_events)
    assert codes == [200] * most + [429] * (8 - most)
    assert httpx.delete(f"{attacked.url}{begun['url']}", headers=bearer(slow)).status_code == 204


# --------------------------------------------------------------------------------------------------- keys, withdrawn


def test_a_withdrawn_key_ends_all_that_is_open(attacked: Attacked, clip: bytes) -> None:
    name = "withdrawn"
    key = attacked.key(name, images_per_minute=1)
    long = wav(np.tile(np.frombuffer(clip[44:], "<i2"), 4)[:, None] / 32768, 16000)
    begun = httpx.post(f"{attacked.url}/v1/recordings", content=long, headers=WAV | bearer(key), timeout=60).json()
    with concurrent.futures.ThreadPoolExecutor() as pool, attacked.live(key) as live:
        live.send('{"type": "start"}')
        assert json.loads(live.recv(timeout=20))["type"] == "ready"

        def watch() -> list[tuple[int, str, Any]]:
            with httpx.Client(base_url=attacked.url, headers=bearer(key), timeout=30) as client:
                return list(events(client, begun["events_url"]))

        watching = pool.submit(watch)
        until = time.monotonic() + 20
        while httpx.get(f"{attacked.url}{begun['url']}", headers=bearer(key)).json()["status"] != "drawing":
            assert time.monotonic() < until
            time.sleep(0.1)
        keys.remove(attacked.file, name)
        withdrawn = time.monotonic()
        assert said(live)[-1]["error"]["code"] == "unauthorized"
        assert live.close_code == 4401
        told = watching.result(20)
        assert told[-1][1] == "failed" and told[-1][2]["error"]["code"] == "unauthorized"
        assert time.monotonic() - withdrawn < ENDED_S
    # Another key of the same name sees what became of the recording, and is not withdrawn.
    again = attacked.key(name)
    left = httpx.get(f"{attacked.url}{begun['url']}", headers=bearer(again)).json()
    assert left["status"] == "failed" and left["error"]["code"] == "unauthorized"
    with attacked.live(again) as live:
        live.send('{"type": "start"}')
        assert json.loads(live.recv(timeout=20))["type"] == "ready"
        time.sleep(keys.CHECK_S * 1.5)
        live.send('{"type": "end"}')
        assert json.loads(live.recv(timeout=20))["error"]["code"] == "no_speech"


def test_wrong_keys_are_slowed_down_and_right_ones_are_not(attacked: Attacked, key: str) -> None:
    def ask(given: str, source: str) -> httpx.Response:
        with httpx.Client(transport=httpx.HTTPTransport(local_address=source)) as client:
            # HAProxy believes this machine, as it would a proxy on it.
            headers = bearer(given) | {"X-Forwarded-For": source}
            return client.get(f"{attacked.url}/metrics", headers=headers)

    answers = [ask(f"s2i_{number}", "127.0.0.9") for number in range(LIMITS.wrong_keys_per_minute + 10)]
    assert [answer.status_code for answer in answers[:5]] == [401] * 5
    assert problem(answers[-1], 429)["code"] == "wrong_keys" and 1 <= int(answers[-1].headers["retry-after"]) <= 60
    assert ask(key, "127.0.0.9").status_code == 200
    assert ask("s2i_wrong", "127.0.0.10").status_code == 401


# --------------------------------------------------------------------------------------- requests that are not right


def test_forms_of_any_kind_are_answered_by_name(attacked: Attacked, key: str, clip: bytes) -> None:
    drawn = random.Random(3)
    boundaries = ["b", "x" * 70, "x" * 257, "x" * 4000, '"q uoted"', "é", '"', "--", "b b", "*", "a=b"]
    heads = [
        'Content-Disposition: form-data; name="audio"', 'Content-Disposition: form-data; name="seed"',
        "Content-Disposition: form-data", 'content-disposition: form-data; name="\xff"', "X" * 5000 + ": y", ": empty",
        'Content-Disposition: form-data; name="audio"; filename*=utf-8\'\'%ff', "no colon", "", "a: b\r\na: c",
    ]  # fmt: skip
    codes = set()
    with httpx.Client(base_url=attacked.url, headers=bearer(key), timeout=30) as client:
        for number in range(120):
            boundary = boundaries[number % len(boundaries)]
            inner = boundary.strip('"')
            parts = [
                f"--{inner}\r\n{drawn.choice(heads)}\r\n\r\n{drawn.choice(['7', '', 'x' * 5000])}\r\n"
                for _ in range(drawn.randint(0, 4))
            ]
            body = "".join(parts).encode("latin-1") + drawn.choice([f"--{inner}--\r\n".encode("latin-1"), b"", b"--"])
            headers = {b"content-type": f"multipart/form-data; boundary={boundary}".encode("latin-1")}
            path = drawn.choice(["/v1/images", "/v1/recordings"])
            answer = client.post(path, content=drawn.choice([body, body[: len(body) // 2]]), headers=headers)
            assert 400 <= answer.status_code < 500, (boundary, body, answer.text)
            codes.add(problem(answer, answer.status_code)["code"])
    assert {"bad_request", "incomplete_upload"} <= codes


HEADERS = [
    b"X-Request-Id: \xff\xfe", b"X-Request-Timeout-Seconds: \xff", b"X-Request-Timeout-Seconds: 0.000001",
    b"X-Request-Disconnect-Disabled: \xff", b"Serve_Multiplexed_Model_Id: \xff", b"Serve-Multiplexed-Model-Id: \xff",
    b"X-Session-Id: \xff", b"traceparent: \xff", b"tracestate: \xff=\xff", b"traceparent: 00-" + b"0" * 32,
    b"Authorization: \xff\xff", b"Authorization: Bearer \xff", b"Origin: http://[", b"Origin: \xff", b"Cookie: \xff",
    b"Last-Event-ID: \xff", b"Last-Event-ID: 99999999999999999999", b"Accept: \xff", b"If-None-Match: \xff",
    b"Content-Type: \xff", b"Content-Type: multipart/form-data; boundary=\xff", b"Content-Length: 0",
    b"X-Forwarded-For: \xff, ::::, 1.2.3.4.5", b"X-Forwarded-Proto: \xff", b"Forwarded: for=\xff",
    b"Expect: 100-continue",
    b"Transfer-Encoding: gzip", b"Content-Length: -1", b"Content-Length: 9x", b"Upgrade: h2c", b"\xff: x", b"a b: x",
    b"Sec-WebSocket-Protocol: s2i.key.\xff", b"X-Long: " + b"x" * 14_000, b"X-Longer: " + b"x" * 20_000,
]  # fmt: skip


@pytest.mark.parametrize("header", HEADERS, ids=lambda header: header[:40].decode("latin-1"))
def test_headers_of_any_kind_are_not_our_fault(attacked: Attacked, key: str, header: bytes) -> None:
    line = header.decode("latin-1")
    live = [
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: " + "A" * 22 + "==",
    ]
    own = [] if line.lower().startswith("authorization") else [f"Authorization: Bearer {key}"]
    heads = [
        attacked.head("/v1/styles", line, *own, "Connection: close"),
        attacked.head("/v1/recordings/x/events", line, *own, "Connection: close"),
        attacked.head("/v1/images", line, *own, "Connection: close", method="POST"),
        attacked.head("/v1/live", line, *live, *([] if "Protocol" in line else own)),
    ]
    for head in heads:
        with attacked.raw(head) as connection:
            connection.settimeout(10)
            answer = b""
            with contextlib.suppress(ConnectionError, TimeoutError):
                answer = connection.recv(1 << 16)
                if answer.startswith(b"HTTP/1.1 101"):
                    connection.settimeout(1)
                    answer += connection.recv(1 << 16)
        assert not answer.startswith(b"HTTP/1.1 5") and b"internal" not in answer, answer


def test_a_packed_body_is_refused(attacked: Attacked, key: str, clip: bytes) -> None:
    for path, kind in (
        ("/v1/images", WAV),
        ("/v1/recordings", WAV),
        ("/v1/recordings", {"content-type": "application/json"}),
    ):
        for coding in ("gzip", "deflate, identity", "br", "x"):
            headers = kind | bearer(key) | {"content-encoding": coding}
            answer = httpx.post(f"{attacked.url}{path}", content=zlib.compress(clip, wbits=31), headers=headers)
            error = problem(answer, 415)
            assert error["code"] == "unsupported_media_type" and "Content-Encoding" in error["remedy"]
    headers = WAV | bearer(key) | {"content-encoding": "identity"}
    assert httpx.post(f"{attacked.url}/v1/images", content=clip, headers=headers, timeout=60).status_code == 200


def test_head_is_answered_as_get_is(attacked: Attacked, key: str) -> None:
    with httpx.Client(base_url=attacked.url, headers=bearer(key), timeout=20) as client:
        for path in (
            "/healthz",
            "/",
            "/docs",
            "/openapi.json",
            "/v1/styles",
            "/nothing",
            "/v1/recordings/x",
            "/metrics",
        ):
            head, get = client.head(path), client.get(path)
            assert head.status_code == get.status_code and head.content == b""
            assert head.headers["content-type"] == get.headers["content-type"]
            assert path == "/metrics" or head.headers["content-length"] == get.headers["content-length"]
        assert problem(client.get("/v1/images"), 405) and client.head("/v1/images").status_code == 405


def test_head_of_a_stream_ends(attacked: Attacked, key: str, clip: bytes) -> None:
    with httpx.Client(base_url=attacked.url, headers=bearer(key), timeout=20) as client:
        begun = client.post("/v1/recordings", content=clip, headers=WAV).json()
        for _ in range(2 * LIMITS.max_events):  # no place is left taken
            answer = client.head(begun["events_url"])
            assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/event-stream")


@pytest.mark.parametrize("path", ["/-/routes", "/-/healthz", "/-/ROUTES", "/%2d/routes", "/-/nothing", "/-%2fhealthz"])
def test_nothing_of_serve_itself_is_shown(fronted: Attacked, path: str) -> None:
    for host in ("127.0.0.1", "evil.example"):
        head = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
        with fronted.raw(head) as connection:
            answer = ends_within(connection, ENDED_S)
        assert answer.startswith(b"HTTP/1.1 404") and b'"not_found"' in answer


def test_no_answer_leads_to_a_host_that_a_client_named(attacked: Attacked) -> None:
    for path in ("/docs/", "/v1/styles/", "/v1/styles//", "//evil.example/", "/healthz/", "/studio/"):
        answer = httpx.get(f"{attacked.url}{path}", headers={"host": "evil.example"})
        assert answer.status_code == 404 and "location" not in answer.headers


def test_refused_sockets_are_counted_as_refused(attacked: Attacked, key: str) -> None:
    def counted(status: int) -> float:
        time.sleep(0.5)
        page = httpx.get(f"{attacked.url}/metrics", headers=bearer(key)).text.splitlines()
        wanted = ('s2i_requests_total{method="WS"', f'status="{status}"')
        return sum(float(line.rpartition(" ")[2]) for line in page if all(each in line for each in wanted))

    before = counted(401), counted(400), counted(403)
    with attacked.live("s2i_wrong") as live:
        assert said(live)[-1]["error"]["code"] == "unauthorized"
    with attacked.live(key) as live:
        live.send("garbage")
        assert said(live)[-1]["error"]["code"] == "bad_request"
    with pytest.raises(Exception, match="403"), attacked.live(key, origin="https://evil.example"):
        pass
    assert (counted(401), counted(400), counted(403)) == tuple(each + 1 for each in before)
