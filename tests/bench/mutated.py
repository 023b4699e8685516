"""Damaged files through the decode worker's steps: 2,100 by seed and the bombs, each with an outcome, none hanging."""

from __future__ import annotations

import sys
from collections import Counter
from typing import Any

from s2i_core.audio.isolated import DecoderProcess
from s2i_core.config import AudioConfig, DecoderConfig
from tests.audio.mutations import bombs, corpus, outcome
from tests.bench.results import Options

_FILES = 2_100


def run(options: Options) -> dict[str, Any]:
    """Figures: files, outcomes by kind, the slowest, decoders that died, and what escaped as something else."""
    count = 70 if options.quick else _FILES
    outcomes, escaped = [], []
    with DecoderProcess(DecoderConfig()) as process:
        for number, each in enumerate([*corpus(count), *bombs()]):
            try:
                outcomes.append(outcome(process, each, AudioConfig()))
            except Exception as error:  # noqa: BLE001 -- counted, and told in the notes
                escaped.append(f"{each.name}: {error!r}")
            if number % 100 == 99:
                print(f"mutated: {number + 1} of {count}", file=sys.stderr, flush=True)
    slowest = max(outcomes, key=lambda each: each.seconds)
    return {
        "files": len(outcomes) + len(escaped),
        "without_outcome": len(escaped),
        "slowest_s": round(slowest.seconds, 2),
        "slowest": slowest.name,
        "slowest_worker_cpu_s": round(max(each.cpu_s for each in outcomes), 2),
        "decoders_died": sum(each.decoder_died for each in outcomes),
        "outcomes": dict(Counter(each.kind for each in outcomes)),
        "reasons": dict(Counter(each.reason.partition(":")[0] for each in outcomes if each.reason).most_common(12)),
        "notes": {"without_outcome": "; ".join(escaped)} if escaped else {},
    }
