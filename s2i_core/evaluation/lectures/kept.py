"""What a model heard in a recording, on disk: an evaluation that was cut off listens to nothing twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save_file

from s2i_core.records import Gap, Skip, Thing
from s2i_core.scenes import Embedded

_FACTS = "facts"
_EXTRA, _THINGS = "extra.", "things"


def save(path: Path, embedded: list[Embedded], gaps: list[Gap], cost_s: float) -> None:
    """Write utterances, the gaps between them, and what hearing them cost."""
    tensors: dict[str, NDArray[Any]] = {}
    for n, one in enumerate(embedded):
        tensors |= {f"{n}.tokens": one.tokens, f"{n}.pooled": one.pooled}
        tensors |= {f"{n}.{_EXTRA}{name}": extra for name, extra in one.extras.items()}
        if one.things:
            tensors[f"{n}.{_THINGS}"] = np.stack([np.asarray(thing.vector, np.float16) for thing in one.things])
    facts = {
        "utterances": [
            (
                *(one.start_s, one.end_s, one.confidence, one.speech_share),
                [(thing.title, thing.start_s, thing.end_s, thing.confidence) for thing in one.things],
            )
            for one in embedded
        ],
        "gaps": [(gap.start_s, gap.end_s, gap.kind.value) for gap in gaps],
        "cost_s": cost_s,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part")
    whole = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
    save_file(whole or {"none": np.zeros(1, np.float32)}, partial, {_FACTS: json.dumps(facts)})
    partial.replace(path)


def load(path: Path) -> tuple[list[Embedded], list[Gap], float]:
    """What `save` wrote."""
    with safe_open(path, framework="np") as file:
        facts = json.loads(file.metadata()[_FACTS])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 -- it is no mapping
    embedded = []
    for n, (start_s, end_s, confidence, share, told) in enumerate(facts["utterances"]):
        own = {name.removeprefix(f"{n}."): tensor for name, tensor in tensors.items() if name.startswith(f"{n}.")}
        vectors = own.get(_THINGS, np.zeros((0, 0), np.float16))
        embedded.append(
            Embedded(
                start_s=start_s,
                end_s=end_s,
                tokens=own["tokens"],
                pooled=own["pooled"],
                confidence=confidence,
                speech_share=share,
                extras={name.removeprefix(_EXTRA): own[name] for name in own if name.startswith(_EXTRA)},
                things=[
                    Thing(title, thing_start_s, thing_end_s, sure, vector)
                    for (title, thing_start_s, thing_end_s, sure), vector in zip(told, vectors, strict=True)
                ],
            )
        )
    return embedded, [Gap(start_s, end_s, Skip(kind)) for start_s, end_s, kind in facts["gaps"]], facts["cost_s"]
