"""Structured logs: one JSON object per line, with the ids by which lines are found again.

Every line has `time` (UTC), `level`, `logger` and `message`, and the facts that its writer gave, above all `run_id` and
`recording_id`; where traces are on, also `trace_id` and `span_id`. Keys of objects may appear in a line; what
was said in a recording, or a login, never does.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, TextIO

from s2i_core import tracing

ROOT = "s2i"
"""The parent of all our loggers: a program that embeds s2i attaches its handlers to this one."""


class JsonLines(logging.Formatter):
    """A record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "facts", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


class Log:
    """Writes lines that share some facts.

    Args:
        name: the part that writes, such as `jobs` or `stages`.
        facts: in every line, such as `run_id`; those that are None are left out.
    """

    def __init__(self, name: str, **facts: Any) -> None:
        self._logger = logging.getLogger(f"{ROOT}.{name}")
        self._facts = facts

    @property
    def tells_debug(self) -> bool:
        """Whether `debug` writes anything; ask first where facts are expensive to gather."""
        return self._logger.isEnabledFor(logging.DEBUG)

    def debug(self, message: str, **facts: Any) -> None:
        """What is only needed to find a fault."""
        self._write(logging.DEBUG, message, facts)

    def info(self, message: str, **facts: Any) -> None:
        """What happened as it should."""
        self._write(logging.INFO, message, facts)

    def warning(self, message: str, **facts: Any) -> None:
        """What went wrong and was handled."""
        self._write(logging.WARNING, message, facts)

    def error(self, message: str, **facts: Any) -> None:
        """What ended the work."""
        self._write(logging.ERROR, message, facts)

    def _write(self, level: int, message: str, facts: dict[str, Any]) -> None:
        if self._logger.isEnabledFor(level):
            # The ids are those of the thread that writes; a handler may format in another.
            given = {**self._facts, **facts, **tracing.ids()}
            shown = {name: value for name, value in given.items() if value is not None}
            self._logger.log(level, "%s", message, extra={"facts": shown})


class _StandardError(logging.StreamHandler[TextIO]):
    """Writes to whatever is the standard error at that moment, as the stream may have been replaced since."""

    @property
    def stream(self) -> TextIO:
        return sys.stderr

    @stream.setter
    def stream(self, stream: TextIO) -> None:
        """Ignored: the parent would set the stream of the start."""


def to_stderr() -> None:
    """Write the lines of this process to its standard error, from `info` up, unless they already have a handler."""
    logger = logging.getLogger(ROOT)
    if logger.handlers:
        return
    handler = _StandardError()
    handler.setFormatter(JsonLines())
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
