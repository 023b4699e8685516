"""`/v1/query`: SQL over the tables of a destination, read-only, for keys that may."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from fastapi import APIRouter

from cluster.serve.callers import Caller
from cluster.serve.http.dependencies import ERRORS, CallerOf, ServiceOf
from cluster.serve.problems import Refusal, log
from cluster.serve.schemas import Question, TableAnswer, TableColumn
from cluster.serve.settings import Limits
from s2i_core.analysis import answers
from s2i_core.analysis.database import Database, QueryLimits
from s2i_core.errors import ConfigError, LimitExceeded, S2IError
from s2i_core.storage.objects import S3Settings
from s2i_core.storage.tables import Lake

_POLL_S = 0.05

router = APIRouter(tags=["tables"])


@router.post("/v1/query", summary="Ask the tables in SQL", responses=ERRORS)
async def ask_tables(question: Question, service: ServiceOf, caller: CallerOf) -> TableAnswer:
    """One SELECT over the tables and views of the destination that the service was given, as `s2i query` asks it.

    `curl -sf http://127.0.0.1:8000/v1/query --json '{"sql": "SELECT name, pictures FROM episodes"}'`
    """
    _check(caller)
    settings, limits = service.settings, service.limits
    lake = Lake(settings.store or S3Settings.from_env(), settings.tables)
    asking = _Asking(lake, question, limits)
    async with service.doorkeeper.holding(caller):
        with service.queries.take(caller.key_name):
            working = asyncio.ensure_future(asyncio.to_thread(asking.run))
            try:
                return await asyncio.shield(working)
            except asyncio.CancelledError:
                # The place is given back when its thread has ended, and not before.
                while not working.done():
                    asking.stop()
                    await asyncio.sleep(_POLL_S)
                raise
            except S2IError as error:
                raise _refusal(error, limits) from error


def _check(caller: Caller) -> None:
    if caller.key is not None and not caller.key.queries:
        remedy = "Ask for one that may: s2i serve key NAME --queries."
        raise Refusal(403, "forbidden", "This key may not ask the tables.", remedy)


class _Asking:
    """A statement in a thread of its own, which can be stopped from another."""

    def __init__(self, lake: Lake, question: Question, limits: Limits) -> None:
        self._lake = lake
        self._question = question
        self._limits = limits
        self._lock = threading.Lock()
        self._database: Database | None = None
        self._stopped = False

    def stop(self) -> None:
        with self._lock:
            self._stopped = True
            if self._database is not None:
                self._database.interrupt()

    def run(self) -> TableAnswer:
        most = QueryLimits(self._limits.query_s, self._limits.query_memory, threads=1)
        with Database(self._lake, most) as database:
            with self._lock:
                self._database = database
                if self._stopped:
                    raise LimitExceeded("the statement", "it was stopped", "Ask again.")
            try:
                return self._asked(database)
            finally:
                with self._lock:
                    self._database = None

    def _asked(self, database: Database) -> TableAnswer:
        rows: list[list[Any]] = []
        most = min(self._question.rows, self._limits.query_rows)
        with database.ask(self._question.sql) as answer:
            columns = [TableColumn(name=field.name, type=str(field.type)) for field in answer.schema]
            for batch in answer.batches:
                some = batch.slice(0, most + 1 - len(rows))
                found = zip(*(column.to_pylist() for column in some.columns), strict=True)
                rows += [[answers.plain(value) for value in row] for row in found]
                if len(rows) > most:
                    break
        return TableAnswer(columns=columns, rows=rows[:most], more=len(rows) > most)


def _refusal(error: S2IError, limits: Limits) -> Refusal:
    """What is wrong with a statement is told; what is wrong with the store stands in the log."""
    if isinstance(error, ConfigError):
        return Refusal(422, "statement", f"{error.reason[:1].upper()}{error.reason[1:]}.", error.remedy)
    if isinstance(error, LimitExceeded):
        what = f"A statement may take {limits.query_s:g} s and {limits.query_memory} of memory, and this took more."
        return Refusal(422, "too_much", what, "Ask for fewer rows or columns.")
    log.error("the tables cannot be read", exc_info=error)
    return Refusal(503, "storage", "The tables cannot be read now.", "Try later.", 10)
