"""`python -m cluster.jobs` whose workers are busy for as long as a test wants: a load that neither ends too soon on a
fast machine nor lasts on a slow one.

A worker that has rows in hand says so with an object `held/<stage>/<process>` in the bucket of the images, and waits
until the object `go` is there. Of the recordings, those whose name has `held` in it wait, so that the others give the
next stage its own load meanwhile.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from cluster.jobs import __main__ as program
from cluster.jobs import illustrate, plan
from cluster.jobs.request import JobRequest
from cluster.jobs.stages import Decode, Draw, Encode
from s2i_core.storage.objects import ObjectStore
from s2i_core.storage.places import parse_uri

GO = "go"
HELD = "held/"
_LOOK_S = 0.2


class _Gate:
    def __init__(self, stage: str, request: JobRequest) -> None:
        self._store = ObjectStore(request.store)
        self._bucket = parse_uri(request.destination)[0]
        self._name = f"{HELD}{stage}/{os.getpid()}"

    def wait(self) -> None:
        self._store.put(self._bucket, self._name, b"")
        while self._store.head(self._bucket, GO) is None:
            time.sleep(_LOOK_S)


class HeldDecode(Decode):
    def __init__(self, request: JobRequest) -> None:
        super().__init__(request)
        self._gate = _Gate("Decode", request)

    def __call__(self, objects: pa.Table) -> Iterator[pa.Table]:
        if any("held" in key for key in objects["key"].to_pylist()):
            self._gate.wait()
        yield from super().__call__(objects)


class HeldEncode(Encode):
    def __init__(self, request: JobRequest, digest: str) -> None:
        super().__init__(request, digest)
        self._gate = _Gate("Encode", request)

    def __call__(self, heard: pa.Table) -> pa.Table:
        self._gate.wait()
        return super().__call__(heard)


class HeldDraw(Draw):
    def __init__(self, request: JobRequest, digest: str) -> None:
        super().__init__(request, digest)
        self._gate = _Gate("Draw", request)

    def __call__(self, scenes: pa.Table) -> pa.Table:
        self._gate.wait()
        return super().__call__(scenes)


if __name__ == "__main__":
    held: dict[Any, dict[str, type]] = {
        plan: {"Decode": HeldDecode, "Encode": HeldEncode},
        illustrate: {"Draw": HeldDraw},
    }
    for module, stages in held.items():
        for name, stage in stages.items():
            setattr(module, name, stage)
    sys.exit(program.main())
