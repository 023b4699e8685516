"""Fine-tune the speech encoder of a complete model, and the projection with it.

All other steps read frames that the encoder, as Whisper left it, has made once. This one goes back to the recordings.
The encoder hears each of them with more noise than it was kept with, and learns two things: the pooled vector of what
was said, by the contrast of `align`; and the tokens that the model of before makes of the recording without the noise
(distillation, Hinton et al. 2015, arXiv 1503.02531). So the denoiser and the layout, which stay as they are, read what
they were taught to read, and noise is what the encoder learns to listen through.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from s2i_core.audio.features import (
    MAX_LENGTH_S,
    MIN_TRAILING_SILENCE_S,
    SAMPLING_RATE_HZ,
    log_mel,
    padded_samples,
)
from s2i_core.corpus.augment import Augmentation, Waveform, augment
from s2i_core.corpus.folder import TRAIN_PARTS, read_scenes
from s2i_core.corpus.speech_set import SpeechSet
from s2i_core.learning.loop import Loop, LoopConfig
from s2i_core.models.speech.projection import QueryTransformer
from s2i_core.models.speech.whisper import SpeechEncoder
from s2i_core.training.trainers import align
from s2i_core.training.trainers.align import Targets, contrastive_loss, moved

CHECKPOINT = "finetune.pt"


class FinetuneConfig(LoopConfig):
    """How long and how fast."""

    parts: tuple[str, ...] = Field(TRAIN_PARTS, description="Parts of the data to learn from.")
    steps: int = Field(280, gt=0, description="Optimizer steps.")
    batch: int = Field(64, gt=1, description="Utterances a step and process.")
    longest_s: float = Field(13.0, gt=0, le=29, description="Longer recordings are left out: they take much memory.")
    lr_encoder: float = Field(3e-5, gt=0, description="Learning rate of the speech encoder's layers.")
    lr_projection: float = Field(1e-4, gt=0, description="Learning rate of the projection.")
    temperature: float = Field(0.05, gt=0, description="Temperature of the contrastive loss.")
    bank: int = Field(2048, ge=0, description="Texts beyond the batch that a step contrasts its speech with.")
    keep_tokens: float = Field(
        5.0, ge=0, description="Weight of how far the tokens go from those before, over the size of those."
    )
    noise: Augmentation = Field(
        Augmentation(
            speed_probability=0,
            room_probability=0,
            noise_probability=0.6,
            snr_db=(0, 20),
            telephone_probability=0.1,
            gain_probability=0,
            leading_silence_s=(0, 0),
        ),
        description="What the encoder hears beyond what the recordings were kept with.",
    )
    evaluate_every: int = Field(100, gt=0, description="Steps between evaluations and saves.")


class Recordings:
    """The waveforms of one or more speech sets on disk, grouped by the length that they are padded to."""

    def __init__(self, *folders: Path, longest_s: float = MAX_LENGTH_S - MIN_TRAILING_SILENCE_S) -> None:
        self._sets = [SpeechSet.open(folder) for folder in folders]
        grouped: dict[int, list[tuple[int, int]]] = {}
        for number, speech in enumerate(self._sets):
            for place, duration_s in enumerate(speech.durations_s):
                if duration_s <= longest_s:
                    length = padded_samples(round(duration_s * SAMPLING_RATE_HZ))
                    grouped.setdefault(length, []).append((number, place))
        self._places = {length: np.array(places) for length, places in sorted(grouped.items())}

    def __len__(self) -> int:
        return sum(len(places) for places in self._places.values())

    def batch(self, rng: np.random.Generator, size: int) -> tuple[list[Waveform], NDArray[np.int64]]:
        """Up to `size` waveforms of one padded length, as often as it has rows, and their texts `(B,)`."""
        lengths = list(self._places)
        share = np.array([len(places) for places in self._places.values()], np.float64)
        places = self._places[lengths[int(rng.choice(len(lengths), p=share / share.sum()))]]
        return self._read(places[rng.choice(len(places), min(size, len(places)), replace=False)])

    def batches(self, size: int) -> Iterator[tuple[list[Waveform], NDArray[np.int64]]]:
        """All rows, once."""
        for places in self._places.values():
            for start in range(0, len(places), size):
                yield self._read(places[start : start + size])

    def _read(self, places: NDArray[np.int64]) -> tuple[list[Waveform], NDArray[np.int64]]:
        rows = [self._sets[number][int(place)] for number, place in places]
        return [waveform for waveform, _, _ in rows], np.array([text for _, text, _ in rows], np.int64)


class EncodedRecordings:
    """What an encoder makes of recordings: to `align.evaluate` the same as a set of frames."""

    def __init__(self, encoder: SpeechEncoder, recordings: Recordings) -> None:
        self._encoder, self._recordings = encoder, recordings

    def batches(self, size: int) -> Iterator[tuple[torch.Tensor, NDArray[np.int64]]]:
        """Frames `(B, T, D)` at 25 Hz with their texts."""
        device = next(self._encoder.parameters()).device
        for waveforms, texts in self._recordings.batches(size):
            yield QueryTransformer.halve_rate(self._encoder(features(waveforms).to(device))), texts


def features(waveforms: list[Waveform]) -> torch.Tensor:
    """Log-mel features `(B, 80, F)` of waveforms that are padded to one length."""
    return torch.from_numpy(np.stack([log_mel(waveform) for waveform in waveforms])).float()


def train(
    data: Path,
    out: Path,
    encoder: SpeechEncoder,
    projection: QueryTransformer,
    layout_projection: QueryTransformer | None,
    config: FinetuneConfig,
) -> None:
    """Train `encoder` and `projection` in place; goes on from `out/finetune.pt` where there is one.

    Args:
        data: folder of the training data, with its recordings.
        out: folder of the training state.
        encoder: of a complete model; its convolutions and positions stay as they are.
        projection: of the same model.
        layout_projection: the layout's own, if it has one; it stays as it is, and so do its tokens.
        config: how long and how fast.
    """
    projections = [projection, *([layout_projection] if layout_projection else [])]
    for part in (encoder.conv1, encoder.conv2, encoder.embed_positions, *projections[1:]):
        part.requires_grad_(False)
    encoder_before = copy.deepcopy(encoder)
    projections_before = [copy.deepcopy(each) for each in projections]
    optimizer = _optimizer(encoder, projection, config)
    loop = Loop(out / CHECKPOINT, config, {"encoder": encoder, "projection": projection}, optimizer)
    fixed: list[torch.nn.Module] = [encoder_before, *projections_before, *projections[1:]]
    for module in fixed:
        module.to(loop.device).eval()
    rows = list(read_scenes(data))
    targets = Targets.load(data, rows, align.new_layout(projection).config.num_slots).to(loop.device)
    recordings = Recordings(*_built(data, config.parts), longest_s=config.longest_s)
    test = EncodedRecordings(encoder, Recordings(data / "speech-voices"))

    def step(rng: np.random.Generator) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        kept, texts = recordings.batch(rng, config.batch)
        noisy = [augment(waveform, SAMPLING_RATE_HZ, config.noise, rng)[: len(waveform)] for waveform in kept]
        spoken, bank = targets.spoken(texts, config.bank, rng)
        with loop.precision():
            with torch.no_grad():
                frames = QueryTransformer.halve_rate(encoder_before(features(kept).to(loop.device)))
                wanted = [before(frames)[0] for before in projections_before]
            frames = QueryTransformer.halve_rate(encoder(features(noisy).to(loop.device)))
            made = [each(frames) for each in projections]
        contrast = contrastive_loss(made[0][1], targets.texts[spoken], config.temperature, bank)
        change = torch.stack([moved(tokens, before) for (tokens, _), before in zip(made, wanted, strict=True)])
        loss = contrast + config.keep_tokens * change.sum()
        return loss, {"contrast": contrast, "moved": change[0], "moved_layout": change[1:].sum()}

    loop.run(
        step,
        save_every=config.evaluate_every,
        evaluate=lambda: align.evaluate(projection, None, test, rows, targets),
        log_every=10,
    )


def _built(data: Path, parts: Sequence[str]) -> list[Path]:
    """The recordings' folders of those parts that were spoken."""
    return [folder for part in parts if (folder := data / f"speech-{part}").is_dir()]


def _optimizer(encoder: SpeechEncoder, projection: QueryTransformer, config: FinetuneConfig) -> torch.optim.AdamW:
    """AdamW over the projection and the encoder's layers, without its convolutions and positions."""
    layers = [*encoder.layers.parameters(), *encoder.layer_norm.parameters()]
    return torch.optim.AdamW(
        [
            {"params": layers, "lr": config.lr_encoder},
            {"params": [*projection.parameters()], "lr": config.lr_projection},
        ],
        betas=(0.9, 0.98),
        weight_decay=0.01,
    )
