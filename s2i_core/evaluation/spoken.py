"""Sentences of ordinary talk: does the model hear a thing that the sentence names?

For each sentence of a transcript that names one of the library's concepts, the sentence's audio is embedded and the
library ranked; it is a hit if a named concept is among the first k. The transcript is used here, to judge, and nowhere
else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from s2i_core.audio.decode import decode
from s2i_core.audio.features import SAMPLING_RATE_HZ
from s2i_core.config import AudioConfig
from s2i_core.pipeline import SpeechToImagePipeline
from s2i_core.training.sources.captions import english

_BATCH = 16


@dataclass(frozen=True)
class Sentence:
    """A sentence that names something drawable."""

    recording: str
    text: str
    concepts: frozenset[str]
    waveform: NDArray[np.float32]


def sentences(samples: Path, known: frozenset[str]) -> Iterator[Sentence]:
    """The sentences of a folder with `transcripts.json` that name one of the known concepts."""
    names = {
        form: concept
        for concept, entry in english().concepts.items()
        if concept in known
        for name in entry.names
        for form in (name.singular, name.plural)
        if form
    }
    # Longest first: "fire engine" is no "fire".
    pattern = re.compile(r"\b(" + "|".join(sorted(map(re.escape, names), key=len, reverse=True)) + r")\b")
    transcripts = json.loads((samples / "transcripts.json").read_text(encoding="utf-8"))
    for recording, transcript in transcripts.items():
        with (samples / recording).open("rb") as file:
            waveform = np.concatenate(list(decode(file, recording, AudioConfig())))
        for event in transcript["events"]:
            found = frozenset(names[form] for form in pattern.findall(event.get("text", "").lower()))
            if event["kind"] == "speech" and found:
                start, end = (round(event[edge] * SAMPLING_RATE_HZ) for edge in ("start_s", "end_s"))
                yield Sentence(recording, event["text"], found, waveform[start:end])


def hit_rates(
    pipeline: SpeechToImagePipeline, spoken: list[Sentence], ks: tuple[int, ...] = (1, 5, 10)
) -> dict[str, float]:
    """Share of the sentences with a named concept among the first k of the library, as `hit@k`."""
    concepts = np.array([info.concept for info in pipeline.library.infos])
    ranked: list[NDArray[np.str_]] = []
    for start in range(0, len(spoken), _BATCH):
        some = spoken[start : start + _BATCH]
        embedding = pipeline.encode_speech([sentence.waveform for sentence in some], SAMPLING_RATE_HZ)
        _, nearest = pipeline.library.nearest(embedding.pooled.float().cpu().numpy(), k=max(ks))
        ranked.extend(concepts[nearest])
    hits = [[bool(s.concepts & set(row[:k].tolist())) for k in ks] for s, row in zip(spoken, ranked, strict=True)]
    return {f"hit@{k}": float(share) for k, share in zip(ks, np.mean(hits, axis=0), strict=True)}
