"""Twice the load that can be borne, over a model whose pace is known: how long who is taken waits, who is refused."""

from __future__ import annotations

import asyncio
import concurrent.futures
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import pytest
from asking import WAV, problem
from inprocess import InProcess, uvicorn_server
from paced import DRAW_S, PacedEncoder, PacedGenerator, PacedListening

from cluster.serve.clips import admission, decoding
from cluster.serve.clips.admission import Clips
from cluster.serve.messages import DrawRequest
from cluster.serve.metrics import Meter
from cluster.serve.model.generator import blank_scene
from cluster.serve.problems import Refusal
from cluster.serve.settings import Replicas, ServeSettings

_WAIT_S = 1.0
_PICTURE_S = 0.5 * DRAW_S  # 64 px, 2 steps
_BATCH_COST = 4.0
_ROOM_S = 2.5  # for all that is not the paced model, on a busy machine


@pytest.fixture(scope="module")
def paced(serve_settings: ServeSettings) -> Iterator[InProcess]:
    """Ten pictures a second, eight in a batch, a second of waiting."""
    limits = serve_settings.limits.model_copy(update={"max_wait_s": _WAIT_S, "max_clips": 64})
    replicas = Replicas(num_cpus=0.5, batch_cost=_BATCH_COST)
    settings = serve_settings.model_copy(update={"limits": limits, "generator": replicas})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoding, "listen", PacedListening())
        yield InProcess(settings, PacedEncoder, PacedGenerator)


@pytest.fixture(scope="module")
def online(paced: InProcess) -> Iterator[httpx.Client]:
    with (
        uvicorn_server(paced.app) as url,
        httpx.Client(base_url=url, timeout=60, limits=httpx.Limits(max_connections=100)) as client,
    ):
        yield client


def test_who_is_taken_is_answered_within_the_bound_and_others_are_refused_at_once(
    online: httpx.Client, clip: bytes
) -> None:
    def ask(number: int) -> tuple[httpx.Response, float]:
        # Two pictures, and every fourth three: four and a half answers a second.
        started = time.monotonic()
        answer = online.post(f"/v1/images?seed={number}&n={2 + (number % 4 == 3)}", content=clip, headers=WAV)
        return answer, time.monotonic() - started

    assert ask(0)[0].status_code == 200
    with concurrent.futures.ThreadPoolExecutor(100) as pool:
        asked = [pool.submit(ask, number) for number in range(20)]  # all at once …
        started = time.monotonic()
        for number in range(40):  # … and then at twice the capacity
            time.sleep(max(0.0, started + number / 9 - time.monotonic()))
            asked.append(pool.submit(ask, number))
        answers = [each.result() for each in asked]
    # How many are taken, and how soon others are refused, is in test_admission.py, on a clock that no load slows down.
    taken = [elapsed_s for answer, elapsed_s in answers if answer.status_code == 200]
    refused = [elapsed_s for answer, elapsed_s in answers if answer.status_code != 200]
    for answer, _ in answers:
        if answer.status_code != 200:
            assert problem(answer, 503)["code"] == "busy" and 1 <= int(answer.headers["retry-after"]) <= 10
    # The bound: the wait, the batch in which it is drawn, and hearing it.
    assert max(taken) < _WAIT_S + _BATCH_COST * DRAW_S + _ROOM_S
    assert refused and np.median(refused) < _WAIT_S
    assert ask(0)[1] < 2 * _PICTURE_S + _ROOM_S, "what is left over holds up who comes next"


@pytest.mark.parametrize("stage", ["decode", "encode", "draw"])
def test_a_deadline_is_kept_in_every_stage(
    online: httpx.Client, paced: InProcess, clip: bytes, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    def slow(function: Any) -> Any:
        return lambda *given: (time.sleep(1.0), function(*given))[1]

    if stage == "decode":
        monkeypatch.setattr(decoding, "listen", slow(decoding.listen))
    elif stage == "encode":
        encoder = paced.encoder._model.encoder
        monkeypatch.setattr(encoder, "encode", slow(encoder.encode))
    steps, query = paced.generator.steps, "timeout_s=0.6"
    if stage == "draw":
        query += "&steps=40"  # two seconds
    started = time.monotonic()
    answer = online.post(f"/v1/images?{query}", content=clip, headers=WAV)
    assert problem(answer, 503)["code"] == "deadline" and int(answer.headers["retry-after"]) >= 1
    assert 0.5 < time.monotonic() - started < 0.6 + _ROOM_S
    time.sleep(0.6)
    drawn = paced.generator.steps - steps
    assert drawn == 0 if stage != "draw" else 0 < drawn < 20, "it is drawn all the same"


def test_drawing_ends_when_all_have_left_and_not_before(paced: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paced.generator._batcher, "_max_wait_s", 60)
    generator, image = paced.generator, paced.service.config.image.model_copy(update={"steps": 8})
    scene = blank_scene(generator._model.encoder)

    async def draw(count: int, leave: int) -> tuple[int, list[Any]]:
        """Steps and outcomes of a batch of so many, of whom the first ones leave while it is drawn."""
        first = asyncio.ensure_future(generator.draw(DrawRequest(scene, (0,), image)))
        await asyncio.sleep(0.05)  # alone: the others are the next batch
        others = [asyncio.ensure_future(generator.draw(DrawRequest(scene, (n,), image))) for n in range(count)]
        first.cancel()
        async with asyncio.timeout(20):
            while len(generator._batcher._running) < count:
                await asyncio.sleep(0.01)
        steps = generator.steps
        await asyncio.sleep(0.2)
        for each in others[:leave]:
            each.cancel()
        outcomes = await asyncio.gather(*others, return_exceptions=True)
        while generator._batcher._running:
            await asyncio.sleep(0.01)
        return generator.steps - steps, outcomes

    async def scenario() -> None:
        steps, _ = await draw(2, leave=2)
        assert steps < 6, "of 8"
        steps, outcomes = await draw(2, leave=1)
        assert steps >= 7 and isinstance(outcomes[0], asyncio.CancelledError) and outcomes[1].files

    asyncio.run(scenario())


def test_when_to_come_again_is_when_there_is_a_place(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(admission, "time", SimpleNamespace(monotonic=lambda: now))
    clips = Clips(64, 64, 7.5, Meter("ingress"))  # the door closes at four fifths of it
    held: list[Any] = []

    def come(cost: float) -> None:
        held.append(clips.take(cost))
        held[-1].__enter__()

    def go(cost_s: float) -> None:
        nonlocal now
        now += cost_s
        held.pop(0).__exit__(None, None, None)

    assert clips.wait_s == 0
    for _ in range(100):  # four a second, twenty at a time
        while len(held) < 20:
            come(8)
        go(0.25)
    assert clips.wait_s == pytest.approx(4.75, rel=0.2)
    with pytest.raises(Refusal) as refused:
        while True:
            come(8)
    assert 22 <= len(held) <= 28, "six seconds' worth"
    come_again_s = refused.value.retry_after_s
    assert come_again_s is not None and 0 < come_again_s < 1
    while come_again_s > -0.05:  # estimates
        go(0.25)
        come_again_s -= 0.25
    come(8)
    # One large request makes room by and by, though its answer comes all at once.
    while held:
        go(0.25)
    come(8 * 32)
    with pytest.raises(Refusal) as refused:
        clips.check()
    assert refused.value.retry_after_s == pytest.approx(2, rel=0.3)
    now += 3
    clips.check()
    assert clips.wait_s == pytest.approx(5, rel=0.2)
    # Nothing comes out: what is late is not believed to come at once.
    now += 5 + 10
    with pytest.raises(Refusal):
        clips.check()


def test_those_who_were_refused_or_left_say_nothing_of_the_speed() -> None:
    clips = Clips(64, 64, 6.0, Meter("ingress"))
    for reason in (Refusal(503, "busy", "", ""), asyncio.CancelledError()):
        with pytest.raises(type(reason)), clips.take(1):
            raise reason
        assert clips._answered == 0
    with pytest.raises(Refusal), clips.take(1):
        raise Refusal(422, "no_speech", "", "")
    assert clips._answered > 0 and clips.wait_s == 0
