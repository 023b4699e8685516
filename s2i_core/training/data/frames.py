"""What the speech encoder makes of recordings, at 25 Hz: made once, kept on disk, read by the trainers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track
from safetensors import safe_open
from safetensors.numpy import save_file

from s2i_core.audio.features import SAMPLING_RATE_HZ, log_mel
from s2i_core.corpus.speech_set import SpeechSet
from s2i_core.errors import ConfigError
from s2i_core.models.speech.projection import QueryTransformer
from s2i_core.models.speech.whisper import SpeechEncoder

FRAMES_HZ = 25
MAX_SPEECH_S = 29.0


class FrameSet:
    """The frames of one or more speech sets in memory, grouped by their length.

    Attributes:
        frames: for each length, `(N, T, D)` float16.
        texts: for each length, the text of each row `(N,)`.
    """

    def __init__(self, *folders: Path) -> None:
        shards = [path for folder in folders for path in sorted(folder.glob("shard-*.safetensors"))]
        if not shards:
            raise ConfigError(
                str(folders[0]), "there are no frames", "Build the data first: python -m s2i_core.training data."
            )
        shapes: dict[int, list[tuple[Path, tuple[int, ...]]]] = {}
        for path in shards:
            with safe_open(path, framework="np") as file:
                for name in file.keys():  # noqa: SIM118 -- not a dict
                    if name.startswith("frames_"):
                        shape = tuple(file.get_slice(name).get_shape())
                        shapes.setdefault(int(name.removeprefix("frames_")), []).append((path, shape))
        self.frames: dict[int, NDArray[np.float16]] = {}
        self.texts: dict[int, NDArray[np.int64]] = {}
        # Filled in place: a copy of several gigabytes beside the whole would not fit into small machines.
        for n, found in sorted(shapes.items()):
            rows = sum(shape[0] for _, shape in found)
            self.frames[n] = np.empty((rows, *found[0][1][1:]), np.float16)
            self.texts[n] = np.empty(rows, np.int64)
            start = 0
            for path, shape in found:
                with safe_open(path, framework="np") as file:
                    self.frames[n][start : start + shape[0]] = file.get_tensor(f"frames_{n}")
                    self.texts[n][start : start + shape[0]] = file.get_tensor(f"texts_{n}")
                start += shape[0]

    def __len__(self) -> int:
        return sum(len(texts) for texts in self.texts.values())

    def thinned(self, share: float, seed: int) -> FrameSet:
        """This set with a random share of each length's rows, at least one; a smaller share is part of a larger."""
        if share < 1:
            for n, texts in self.texts.items():
                order = np.random.default_rng([seed, n]).permutation(len(texts))
                kept = np.sort(order[: max(1, round(share * len(texts)))])
                self.frames[n], self.texts[n] = self.frames[n][kept], texts[kept]
        return self

    def pick(self, rng: np.random.Generator, size: int) -> tuple[int, NDArray[np.int64]]:
        """A length, as often as it has rows, and `size` of its rows at random."""
        lengths = list(self.texts)
        share = np.array([len(self.texts[n]) for n in lengths], dtype=np.float64)
        length = lengths[int(rng.choice(len(lengths), p=share / share.sum()))]
        return length, rng.choice(len(self.texts[length]), min(size, len(self.texts[length])), replace=False)

    def batch(self, rng: np.random.Generator, size: int) -> tuple[torch.Tensor, NDArray[np.int64]]:
        """A random batch of one length `(size, T, D)` float32 with its texts; see `pick`."""
        length, rows = self.pick(rng, size)
        return torch.from_numpy(self.frames[length][rows]).float(), self.texts[length][rows]

    def batches(self, size: int) -> Iterator[tuple[torch.Tensor, NDArray[np.int64]]]:
        """All rows, once."""
        for length, texts in self.texts.items():
            for start in range(0, len(texts), size):
                frames = torch.from_numpy(self.frames[length][start : start + size]).float()
                yield frames, texts[start : start + size]


@torch.inference_mode()
def build_frames(folder: Path, speech: SpeechSet, encoder: SpeechEncoder, batch: int = 16) -> None:
    """Frames at 25 Hz of a speech set, shard by shard, grouped by length within a shard."""
    folder.mkdir(parents=True, exist_ok=True)
    shard_rows = 1000
    for start in track(range(0, len(speech), shard_rows), description=folder.name):
        path = folder / f"shard-{start:07d}.safetensors"
        if path.exists():
            continue
        by_length: dict[int, list[tuple[int, NDArray[np.float16]]]] = {}
        for place in range(start, min(start + shard_rows, len(speech))):
            waveform, text_id, _ = speech[place]
            if len(waveform) / SAMPLING_RATE_HZ <= MAX_SPEECH_S:
                features = log_mel(waveform)
                by_length.setdefault(features.shape[1], []).append((text_id, features))
        arrays: dict[str, NDArray[np.generic]] = {}
        for length, items in sorted(by_length.items()):
            pieces = []
            for first in range(0, len(items), batch):
                mels = torch.from_numpy(np.stack([f for _, f in items[first : first + batch]])).float()
                with torch.autocast("cpu", torch.bfloat16):
                    pieces.append(QueryTransformer.halve_rate(encoder(mels)).half().numpy())
            arrays[f"frames_{length}"] = np.concatenate(pieces)
            arrays[f"texts_{length}"] = np.array([text for text, _ in items], dtype=np.int64)
        temporary = path.with_suffix(".part")
        save_file(arrays, temporary)
        temporary.rename(path)
