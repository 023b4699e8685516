"""How long each stage takes for five seconds of speech, and how much memory; the cascade beside it."""

from __future__ import annotations

import io
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from s2i_core import steps
from s2i_core.audio.features import SAMPLING_RATE_HZ, log_mel
from s2i_core.audio.listen import Utterance, listen
from s2i_core.config import AudioConfig, ImageConfig, ModelConfig, RunConfig, SceneConfig
from s2i_core.evaluation.examination import Examination
from s2i_core.evaluation.statistics import Cell, Figure, Part, Table, median
from s2i_core.evaluation.wav import wav
from s2i_core.models import registry
from s2i_core.publish.images import encode_image
from s2i_core.weights import least_heard

_SPEECH_S = 5.0
_REPEATS = 9
_WHISPER_S = 29.0
_MIB = 2**20


@dataclass
class _Clock:
    """Wall-clock and CPU time of stages, over several repeats."""

    wall_ms: dict[str, list[float]] = field(default_factory=dict)
    cpu_ms: dict[str, list[float]] = field(default_factory=dict)

    def time(self, stage: str, work: Callable[[], Any]) -> Any:
        wall, cpu = time.perf_counter(), time.process_time()
        result = work()
        self.cpu_ms.setdefault(stage, []).append(1000 * (time.process_time() - cpu))
        self.wall_ms.setdefault(stage, []).append(1000 * (time.perf_counter() - wall))
        return result

    def total(self, stages: tuple[str, ...]) -> tuple[list[float], list[float]]:
        return tuple(np.sum([kept[stage] for stage in stages], axis=0).tolist() for kept in (self.wall_ms, self.cpu_ms))  # type: ignore[return-value]


def run(exam: Examination) -> Part:
    """Measure it."""
    sound = _five_seconds(exam)
    bytes_of_file = wav(sound)
    ours, theirs, published = _Clock(), _Clock(), _Clock()
    for n in range(_REPEATS + 1):
        exam.tell(f"latency, {n} of {_REPEATS}")
        if n == 1:  # the first run warms up
            ours, theirs, published = _Clock(), _Clock(), _Clock()
        _model(exam, bytes_of_file, ours)
        _cascade(exam, sound, theirs)
        if n < 4:
            _cascade(exam, np.pad(sound, (0, round(_WHISPER_S * SAMPLING_RATE_HZ) - len(sound))), published)
    figures: dict[str, Figure] = {}
    understand = ours.total(("frontend", "encode"))
    rows: list[list[Cell]] = [_row(stage, ours.wall_ms[stage], ours.cpu_ms[stage]) for stage in ours.wall_ms]
    whole = ours.total(tuple(ours.wall_ms))
    rows.append(_row("speech → picture", *whole))
    peers: list[list[Cell]] = [_row("model: features to condition", *understand)]
    for name, clock in (("the same crop", theirs), ("padded to 30 s, as published", published)):
        peers += [
            _row(f"cascade, {name}: {stage}", clock.wall_ms[stage], clock.cpu_ms[stage]) for stage in clock.wall_ms
        ]
        total = clock.total(tuple(clock.wall_ms))
        peers.append(_row(f"cascade, {name}: features to condition", *total))
        key = "crop" if clock is theirs else "published"
        ratio = np.median(understand[0]) / np.median(total[0])
        figures[f"understanding_share_of_cascade_{key}"] = Figure(
            float(ratio), len(total[0]), float(ratio), float(ratio)
        )
        figures[f"understanding_cascade_{key}_ms"] = median(total[0])
    figures["understanding_ms"] = median(understand[0])
    figures["speech_to_picture_s"] = _seconds(whole[0])
    figures["speech_to_picture_cpu_s"] = _seconds(whole[1])
    columns = ("stage", "wall clock, ms", "CPU, ms")
    note = (
        f"{_SPEECH_S:.0f} s of speech, one picture of {exam.image.size_px} px in {exam.image.steps} steps, "
        f"{torch.get_num_threads()} threads; median of {_REPEATS} after one to warm up, with the 5 % and 95 % "
        "quantiles."
    )
    tables = [
        Table("Latency by stage", columns, rows, note),
        Table("Understanding: audio to condition, beside the cascade", columns, peers),
        _memory(exam, figures),
    ]
    return Part(tables, figures)


def _five_seconds(exam: Examination) -> NDArray[np.float32]:
    """Neural clips, one after the other with a short breath, up to five seconds."""
    breath = np.zeros(round(0.2 * SAMPLING_RATE_HZ), np.float32)
    pieces: list[NDArray[np.float32]] = []
    for clip in exam.tests.neural:
        pieces += [clip.waveform, breath]
        if sum(map(len, pieces)) > _SPEECH_S * SAMPLING_RATE_HZ:
            break
    return np.concatenate(pieces)[: round(_SPEECH_S * SAMPLING_RATE_HZ)]


def _model(exam: Examination, data: bytes, clock: _Clock) -> None:
    model = exam.pipeline.model
    config = RunConfig(
        name="evaluation", scenes=SceneConfig(min_confidence=-1), model=ModelConfig(checkpoint=exam.checkpoint or "")
    )
    least = least_heard(config)
    # Whatever was heard is drawn, for the time that it takes.
    config = config.model_copy(update={"scenes": config.scenes.model_copy(update={"precision": None})})

    def decode() -> None:
        # All that was said in these seconds is taken for one utterance, as the focus of a scene would be.
        for _ in listen(io.BytesIO(data), "clip", AudioConfig()):
            pass

    clock.time("decode and find speech", decode)
    samples = np.frombuffer(data[-2 * round(_SPEECH_S * SAMPLING_RATE_HZ) :], "<i2").astype(np.float32) / np.float32(
        32768
    )
    features = clock.time("frontend", lambda: model.encoder.frontend(samples))
    utterance = Utterance(0.0, _SPEECH_S, features, 0.0)
    embedded = clock.time("encode", lambda: steps.embed([utterance], model, least))
    scenes = clock.time(
        "plan",
        lambda: steps.plan(
            embedded,
            [],
            config,
            recording_id="clip",
            encoder_digest=model.encoder_digest,
            run_id="evaluation",
        ),
    )
    (picture,) = clock.time("look up and draw", lambda: steps.draw_batch(scenes, [0], exam.image, model))
    clock.time("encode the file", lambda: encode_image(picture.pixels, exam.image))


def _cascade(exam: Examination, sound: NDArray[np.float32], clock: _Clock) -> None:
    cascade = exam.cascade
    features = clock.time("log-mel", lambda: log_mel(sound))
    texts = clock.time("Whisper", lambda: cascade.recognise([features]))
    clock.time("MiniLM", lambda: cascade.teacher(texts))


def _row(stage: str, wall_ms: list[float], cpu_ms: list[float]) -> list[Cell]:
    return [stage, median(wall_ms), median(cpu_ms)]


def _seconds(milliseconds: list[float]) -> Figure:
    found = median(milliseconds)
    return Figure(found.value / 1000, found.n, found.low / 1000, found.high / 1000)


def _memory(exam: Examination, figures: dict[str, Figure]) -> Table:
    """What a fresh process has taken at most after each stage, and what the parts weigh."""
    exam.tell("memory")
    with tempfile.TemporaryDirectory() as folder:
        sound = Path(folder) / "speech.wav"
        sound.write_bytes(wav(_five_seconds(exam)))
        command = [sys.executable, "-m", "s2i_core.evaluation", "memory", str(sound)]
        checkpoint = ["--checkpoint", str(exam.checkpoint)] if exam.checkpoint else []
        said = subprocess.run([*command, *checkpoint], check=True, capture_output=True, text=True, timeout=300).stdout
    stages: dict[str, float] = json.loads(said.splitlines()[-1])
    figures["memory_mib"] = Figure(max(stages.values()), 1, max(stages.values()), max(stages.values()))
    rows: list[list[Cell]] = [[name, round(mib)] for name, mib in stages.items()]
    for name, network in exam.pipeline.networks.items():
        parameters = sum(p.numel() for p in network.parameters())
        rows.append([f"{name.replace('_', ' ')}: {parameters / 1e6:.1f} M parameters", round(parameters * 4 / _MIB, 1)])
    return Table("Memory of one process, at most, after each stage; then the parts in float32", ("stage", "MiB"), rows)


def memory_by_stage(speech: Path, checkpoint: str | None) -> dict[str, float]:
    """MiB that this process has taken at most after each stage; call it in a fresh process."""

    def at_most() -> float:
        if sys.platform == "darwin":
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _MIB
        # Linux's getrusage remembers the peak of the program that started this one.
        return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) / 1024

    stages = {"program": at_most()}
    model = registry.load(ModelConfig(checkpoint=checkpoint or "", device="cpu"))
    stages["model loaded"] = at_most()
    with speech.open("rb") as file:
        utterances = list(listen(file, speech.name, AudioConfig()))
    stages["decoded, speech found"] = at_most()
    config = RunConfig(
        name="evaluation", scenes=SceneConfig(min_confidence=-1), model=ModelConfig(checkpoint=checkpoint or "")
    )
    embedded = steps.embed(utterances[:1], model, least_heard(config))
    stages["understood"] = at_most()
    scenes = steps.plan(
        embedded, [], config, recording_id="clip", encoder_digest=model.encoder_digest, run_id="evaluation"
    )
    steps.draw_batch(scenes, [0], ImageConfig(), model)
    stages["drawn"] = at_most()
    return stages
