"""Puts recordings together from rows that arrive interleaved, out of order, and possibly more than once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
from safetensors.numpy import load

from cluster.jobs import rows
from s2i_core.audio.listen import Heard
from s2i_core.records import AudioObject, Failure
from s2i_core.scenes import Embedded


@dataclass(frozen=True)
class Assembled:
    """A recording that is complete: heard with all its utterances, or failed."""

    source: AudioObject
    utterances: list[Embedded]
    heard: Heard | None
    failure: Failure | None


@dataclass
class _Parts:
    utterances: dict[int, Embedded] = field(default_factory=dict)
    failures: dict[int, Failure] = field(default_factory=dict)
    end: rows.End | None = None
    expected: int = 0


class Assembler:
    """Collects `rows.ENCODED`.

    Args:
        sources: the expected recordings by row number; they are taken out when complete, so that what is left
            at the end was lost on the way.
    """

    def __init__(self, sources: Mapping[int, AudioObject]) -> None:
        self.missing = dict(sources)
        self._parts: dict[int, _Parts] = {}

    def add(self, encoded: pa.Table) -> Iterator[Assembled]:
        """Takes rows in, and yields the recordings that they complete. Rows of complete ones are ignored."""
        for each in encoded.to_pylist():
            number = each["row"]
            if number not in self.missing:
                continue
            parts = self._parts.setdefault(number, _Parts())
            if each["end"] is not None:
                parts.end, parts.expected = rows.from_json(rows.End, each["end"]), each["index"]
            elif each["failure"] is not None:
                parts.failures[each["index"]] = rows.from_json(Failure, each["failure"])
            else:
                parts.utterances[each["index"]] = Embedded(
                    start_s=each["start_s"],
                    end_s=each["end_s"],
                    tokens=rows.array(each["tokens"], np.float16, (-1, each["token_width"])),
                    extras=load(each["extras"]) if each["extras"] else {},
                    pooled=rows.array(each["pooled"], np.float32, (-1,)),
                    confidence=each["confidence"],
                    speech_share=each["speech_share"],
                    things=rows.things_of(each["things"] or ()),
                )
            if (complete := self._complete(number, parts)) is not None:
                yield complete

    def _complete(self, number: int, parts: _Parts) -> Assembled | None:
        # A recording that failed half-way needs none of its utterances.
        if parts.end is None or (
            parts.end.failure is None and len(parts.utterances.keys() | parts.failures.keys()) < parts.expected
        ):
            return None
        source = self.missing.pop(number)
        del self._parts[number]
        failure = parts.end.failure
        if failure is None and parts.failures:
            failure = replace(parts.failures[min(parts.failures)], subject=source.uri)
        if failure is not None:
            return Assembled(source, [], parts.end.heard, failure)
        return Assembled(source, [parts.utterances[index] for index in range(parts.expected)], parts.end.heard, None)
