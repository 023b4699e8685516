"""A store that is away for a while is waited for; one that stays away is not."""

from __future__ import annotations

import time

import pytest

from cluster.jobs import patience
from cluster.jobs.patience import Patience
from s2i_core.config import ResourceConfig


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "_FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(patience, "_LONGEST_PAUSE_S", 0.05)


def test_a_step_is_tried_until_the_outage_has_lasted_too_long() -> None:
    started = time.monotonic()
    waiting = Patience(ResourceConfig(max_attempts=1, outage_s=0.3))
    while waiting.again():
        pass
    assert 0.3 <= time.monotonic() - started < 3
    assert waiting.tries > 5


def test_it_is_tried_a_few_times_even_if_each_takes_longer_than_that() -> None:
    waiting = Patience(ResourceConfig(max_attempts=3, outage_s=0))
    assert [waiting.again() for _ in range(3)] == [True, True, False]
    assert waiting.tries == 3
