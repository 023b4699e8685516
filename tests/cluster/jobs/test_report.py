"""Rows in and outcomes out are compared."""

from __future__ import annotations

import pytest

from cluster.jobs.report import Report
from cluster.jobs.request import Progress, RowsLost
from s2i_core.records import Status


def test_progress_and_the_last_word() -> None:
    told: list[Progress] = []
    report = Report("plan", 3, told.append)
    for status in Status:
        report.count(status)
        report.tell()  # too soon to be told
    report.close()
    assert [(each.done, each.ok, each.skipped, each.failed) for each in told] == [(0, 0, 0, 0), (3, 1, 1, 1)]


def test_a_lost_row_is_an_error() -> None:
    report = Report("illustrate", 2, None)
    report.count(Status.OK)
    with pytest.raises(RowsLost, match="2 rows went in and 1 outcomes came out"):
        report.close()
