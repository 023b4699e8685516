"""Recordings are put together from rows in any order, also doubled ones."""

from __future__ import annotations

import random

import numpy as np
import pytest

from cluster.jobs import rows
from cluster.jobs.assemble import Assembler
from s2i_core.audio.decode import AudioInfo
from s2i_core.audio.listen import Heard
from s2i_core.errors import DecodeError
from s2i_core.records import AudioObject, Failure, Gap, Skip, Stage

SOURCES = {number: AudioObject("b", f"{number}.mp3", f"e{number}", 10) for number in range(3)}


def heard(number: int) -> Heard:
    gaps = [Gap(0.0, 1.0, Skip.SILENCE)]
    return Heard(AudioInfo("mp3", 2, 44100), f"{number}" * 64, 10, 60.0, 50.0, gaps, None)


def utterance(number: int, index: int, **more):
    return {
        "row": number,
        "index": index,
        "start_s": index * 2.0,
        "end_s": index * 2.0 + 1,
        "tokens": np.full((4, 8), number * 10 + index, "<f2").tobytes(),
        "token_width": 8,
        "pooled": np.full(8, index, "<f4").tobytes(),
        "confidence": 0.5,
        "speech_share": 0.9,
        **more,
    }


def end(number: int, count: int):
    return {"row": number, "index": count, "end": rows.to_json(rows.End(heard=heard(number)))}


def feed(assembler, given):
    done = []
    for each in given:
        done += assembler.add(rows.table([each], rows.ENCODED))
    return done


@pytest.mark.parametrize("seed", range(5))
def test_interleaved_rows_in_any_order_and_twice(seed: int) -> None:
    given = [utterance(number, index) for number in SOURCES for index in range(number * 3)]
    given += [end(number, number * 3) for number in SOURCES]
    given += random.Random(seed).sample(given, 5)
    random.Random(seed).shuffle(given)
    assembler = Assembler(SOURCES)
    done = feed(assembler, given)

    assert not assembler.missing
    assert sorted(each.source.key for each in done) == ["0.mp3", "1.mp3", "2.mp3"]
    for each in done:
        number = int(each.source.key[0])
        assert each.failure is None
        assert each.heard == heard(number)
        assert [u.tokens[0, 0] for u in each.utterances] == [number * 10 + index for index in range(number * 3)]
        assert all(u.tokens.shape == (4, 8) and u.pooled.shape == (8,) for u in each.utterances)


def test_what_never_ends_is_missing() -> None:
    assembler = Assembler(SOURCES)
    assert feed(assembler, [utterance(1, 0), end(2, 1), utterance(0, 0), end(0, 1)])[0].source == SOURCES[0]
    assert sorted(assembler.missing) == [1, 2]


def test_one_bad_utterance_fails_its_recording_only() -> None:
    failure = Failure.of(RuntimeError("no"), subject="1", stage=Stage.ENCODE, run_id="r")
    bad = {"row": 1, "index": 1, "failure": rows.to_json(failure)}
    done = feed(Assembler(SOURCES), [utterance(1, 0), bad, end(1, 2), end(0, 0)])
    assert [each.failure is None for each in done] == [False, True]
    assert done[0].failure.subject == "s3://b/1.mp3"
    assert done[0].failure.message == "no"


def test_a_recording_that_breaks_half_way_is_failed_at_once() -> None:
    failure = Failure.of(
        DecodeError("s3://b/1.mp3", "broken", "Mend it."), subject="s3://b/1.mp3", stage=Stage.DECODE, run_id="r"
    )
    last = {"row": 1, "index": 7, "end": rows.to_json(rows.End(failure=failure))}
    (done,) = feed(Assembler(SOURCES), [utterance(1, 0), last])
    assert done.failure == failure
    assert done.heard is None
