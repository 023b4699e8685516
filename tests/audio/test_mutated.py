"""Damaged files: each has an outcome, none hangs, none takes the worker along."""

from __future__ import annotations

from collections import Counter

import pytest

from s2i_core.audio.isolated import DecoderProcess
from s2i_core.config import AudioConfig, DecoderConfig
from tests.audio.mutations import bombs, corpus, originals, outcome

LONGEST_S = 30
DEFAULTS = AudioConfig()


def check(count: int) -> None:
    with DecoderProcess(DecoderConfig()) as process:
        outcomes = [outcome(process, each, DEFAULTS) for each in corpus(count)]
    assert len(outcomes) == count
    # Of the worker's own time, for on a busy machine the clock says little; a decoder that hangs is ended by its limit.
    assert max(each.cpu_s for each in outcomes) < LONGEST_S
    kinds = Counter(each.kind for each in outcomes)
    assert set(kinds) <= {"ok", "DecodeError", "LimitExceeded"}
    # Neither is everything refused nor is damage passed over.
    assert kinds["ok"] > count / 10
    assert kinds["DecodeError"] > count / 10
    assert all(each.reason for each in outcomes if each.kind != "ok")


def test_a_hundred_damaged_files() -> None:
    check(100)


@pytest.mark.slow
def test_two_thousand_damaged_files() -> None:
    check(2_100)


def test_the_corpus_is_the_same_every_time() -> None:
    assert [each.data for each in corpus(70)] == [each.data for each in corpus(70)]
    assert len({each.data for each in corpus(70)}) == 70
    files = originals()
    assert sum(each.data in files.values() for each in corpus(70)) < 5


def test_bombs_are_stopped() -> None:
    with DecoderProcess(DecoderConfig()) as process:
        outcomes = {each.name: outcome(process, each, DEFAULTS) for each in bombs()}
    # What a header claims is no reason to refuse three good seconds.
    assert outcomes.pop("claims-days.wav").kind == "ok"
    assert {each.kind for each in outcomes.values()} <= {"DecodeError", "LimitExceeded"}
    assert outcomes["hours-of-nothing.wv"].kind == "LimitExceeded"
    assert max(each.cpu_s for each in outcomes.values()) < LONGEST_S
