"""Any number of channels → mono at another rate, without losing what is said on one of them.

A mix can lose speech: channels that are each other's negative cancel, a channel that the layout leaves out (the bass
channel of 5.1) is dropped, one voice of sixteen channels drowns in the others' noise. So each half second is measured.
As long as the usual mix holds every channel, it is used as it is; where it does not, the channels that carry speech are
taken, until the mix is good again.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Sequence
from dataclasses import dataclass

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.filter import Graph
from numpy.typing import NDArray

from s2i_core.audio.vad import SAMPLING_RATE_HZ, WINDOW, SpeechProbabilities

F32 = NDArray[np.float32]

BLOCK_S = 0.5
"""For so long one choice of channels holds; frames of more than one channel wait until that much is there."""
LOST = 1 / 8
"""A mix of less than this share of the loudest channel's power (-9 dB) has lost it. Of two channels, one of which is
silent, it keeps a quarter."""
DROWNED = 0.1
"""A channel that makes up less than this share of the mix's power may be drowned: whether it is speech is heard."""

_PARTS = 4
_LOOKED_AT = 1024
_LOUDEST = np.float32(8.0)
_DTYPES = {"u8": "u1", "s16": "<i2", "s32": "<i4", "s64": "<i8", "flt": "<f4", "dbl": "<f8"}
_LOST_PARTS = 2
_FLOOR = 1e-6
"""Power (-60 dBFS) under which a channel holds nothing."""
_WELL_BLOCKS = 8
"""After so many blocks in a row that the usual mix would hold, it is used again."""
_SPEECH = 0.15
"""More speech (mean probability) by this in a channel alone than in the mix, and the mix has lost some."""
_UNSAFE_PLANES = 8
"""PyAV reads beyond the planes of a frame with so many (18.1)."""
_MOST_HEARD = 16
"""Of more channels, the loudest are listened to."""
_SAMPLES_AT_ONCE = 1 << 15
_CHUNK_S = 2


class MonoMixer:
    """Mixes and resamples frames, also when rate or layout change within a stream, as in chained Ogg.

    Args:
        rate_hz: of what comes out.
        samples_at_once: frames of so many samples gather before they are resampled, which is faster; 1 for a stream
            that somebody waits for.
    """

    def __init__(self, rate_hz: int, samples_at_once: int = _SAMPLES_AT_ONCE) -> None:
        self._rate_hz = rate_hz
        self._at_once = samples_at_once
        self._graph: _Graph | None = None
        self._shape: tuple[str, str, int] | None = None
        self._raw = True
        """Whether the graph gets frames as they are, and mixes them itself."""
        self._rule: F32 | None = None
        """How FFmpeg mixes this layout; None where it has no rule."""
        self._chooser: _Chooser | None = None
        self._block: list[AudioFrame] = []
        self._gathered = 0

    def push(self, frame: AudioFrame) -> list[F32]:
        """Takes a frame; gives what is ready, `(T,)` each."""
        # Positions are counted in samples: jumps in time stamps must not reach the filter.
        frame.pts = None
        shape = (frame.format.name, frame.layout.name, frame.sample_rate)
        before: list[F32] = []
        if shape != self._shape:
            before = self.flush()
            self._shape = shape
            channels = len(frame.layout.channels)
            self._rule = _mixing_rule(frame.layout.name, channels) if channels > 1 else None
            self._chooser = _Chooser(_even(channels) if self._rule is None else self._rule) if channels > 1 else None
        if self._chooser is None:
            return [*before, *self._through(frame, raw=True)]
        self._block.append(frame)
        self._gathered += frame.samples
        if self._gathered >= BLOCK_S * frame.sample_rate:
            before += self._mix()
        return before

    def flush(self) -> list[F32]:
        """Gives all that is left; the next frame begins anew."""
        ready = self._mix() if self._block else []
        graph, self._graph = self._graph, None
        self._shape = None
        return ready + (graph.flush() if graph else [])

    def _mix(self) -> list[F32]:
        frames, self._block, self._gathered = self._block, [], 0
        assert self._chooser is not None
        weights = self._chooser(frames)
        if weights is None and self._rule is not None:
            return [part for frame in frames for part in self._through(frame, raw=True)]
        samples = np.concatenate([_samples(frame) for frame in frames], axis=1)
        mono = (self._chooser.usual if weights is None else weights) @ samples
        made = AudioFrame.from_ndarray(mono[None].astype(np.float32), format="flt", layout="mono")
        made.sample_rate = frames[0].sample_rate
        return self._through(made, raw=False)

    def _through(self, frame: AudioFrame, *, raw: bool) -> list[F32]:
        before: list[F32] = []
        if self._graph is not None and raw != self._raw:
            before, self._graph = self._graph.flush(), None
        if self._graph is None:
            self._graph, self._raw = _Graph(frame, self._rate_hz, self._at_once), raw
        return [*before, *self._graph.push(frame)]


@dataclass(frozen=True)
class _Measured:
    """What a mix does to the channels of a block."""

    silent: bool
    lost: bool
    drowned: bool

    @property
    def fine(self) -> bool:
        return not self.lost and not self.drowned


class _Chooser:
    """Chooses the channels of each block in turn.

    Args:
        usual: weights of the usual mix `(C,)`.
    """

    def __init__(self, usual: F32) -> None:
        self.usual = usual
        self._now: F32 | None = None
        self._well = 0
        self._before: list[AudioFrame] = []
        self._ears: _Ears | None = None

    def __call__(self, frames: list[AudioFrame]) -> F32 | None:
        """Weights `(C,)` for a block of frames; None stands for the usual mix."""
        weights, self._ears_used = self._now, False
        looked_at = _stretches(frames)
        if looked_at.shape[2] > 1:
            products = _products(looked_at, frames[0].sample_rate)
            weights = self._now = self._chosen(products, _plain(looked_at), frames)
        if not self._ears_used:
            self._ears = None
        self._before = frames
        return weights

    def _chosen(self, products: F32, plain: F32, frames: list[AudioFrame]) -> F32 | None:
        usual = _measured(products, plain, self.usual)
        if usual.silent:
            return self._now
        self._well = self._well + 1 if usual.fine else 0
        if self._now is None or self._well >= _WELL_BLOCKS:
            if usual.fine:
                return None
            used, measured = self.usual, usual
        else:
            used, measured = self._now, _measured(products, plain, self._now)
            if measured.fine:
                return self._now
        return self._by_ear(products, frames, used, measured)

    def _by_ear(self, products: F32, frames: list[AudioFrame], used: F32, measured: _Measured) -> F32 | None:
        """The channels with speech, if the mix in use has lost it."""
        total = products.sum(axis=0)
        power = np.diagonal(total)
        loudest = np.argsort(-power, kind="stable")[:_MOST_HEARD]
        if self._ears is None:
            self._ears = _Ears(len(power))
            self._ears.hear(self._before)
        self._ears_used = True
        heard = self._ears.hear(frames)
        in_mix = self._ears.speech(-1, used @ heard)
        if in_mix >= 0.5 and not measured.lost:
            return self._now
        speech = {int(channel): self._ears.speech(int(channel), heard[channel]) for channel in loudest}
        best = max(speech, key=lambda channel: (speech[channel], power[channel]))
        if speech[best] > in_mix + _SPEECH or (measured.lost and speech[best] > _SPEECH):
            return _together(best, [one for one in speech if speech[one] >= speech[best] - _SPEECH], total)
        return _together(int(loudest[0]), [], total) if measured.lost else self._now


class _Ears:
    """How much speech is in each channel, block by block."""

    def __init__(self, channels: int) -> None:
        self._channels = channels
        self._resampler: AudioResampler | None = None
        self._unheard: dict[int, F32] = {}
        self._probability: dict[int, SpeechProbabilities] = {}

    def hear(self, frames: list[AudioFrame]) -> F32:
        """A block at the rate of the speech detector `(C, T)`."""
        if frames and self._resampler is None:
            self._resampler = AudioResampler("flt", frames[0].layout.name, SAMPLING_RATE_HZ)
        heard = [np.zeros((self._channels, 0), np.float32)]
        for frame in frames:
            assert self._resampler is not None
            for one in self._resampler.resample(frame):
                heard.append(np.asarray(one.to_ndarray().reshape(-1, self._channels).T, np.float32))
        return np.concatenate(heard, axis=1)

    def speech(self, channel: int, samples: F32) -> float:
        """Mean probability of speech in a block of a channel; -1 is the mix."""
        stream = np.concatenate([self._unheard.get(channel, np.zeros(0, np.float32)), samples])
        whole = len(stream) // WINDOW * WINDOW
        self._unheard[channel] = stream[whole:]
        if not whole:
            return 0.0
        heard = self._probability.setdefault(channel, SpeechProbabilities())(stream[:whole])
        return float(heard.mean())


def _together(best: int, others: Sequence[int], products: F32) -> F32:
    """Weights of a channel and of others that neither cancel it nor are cancelled; alone, if they do so together."""
    taken = [best, *(one for one in others if one != best and products[one, best] >= 0)]
    weights = np.zeros(len(products), np.float32)
    weights[taken] = 1 / len(taken)
    if weights @ products @ weights < LOST * products[best, best]:
        weights[:] = 0
        weights[best] = 1
    return weights


def _stretches(frames: list[AudioFrame]) -> F32:
    """A stretch of each quarter of a block `(4, C, T)`: to tell what sounds there needs not all of it."""
    length = min(frame.samples for frame in frames)
    length = min(length, _LOOKED_AT) if len(frames) >= _PARTS else min(length // _PARTS, _LOOKED_AT)
    if len(frames) >= _PARTS:
        places = [(frames[part * len(frames) // _PARTS], 0) for part in range(_PARTS)]
    else:
        longest = max(frames, key=lambda frame: frame.samples)
        places = [(longest, part * longest.samples // _PARTS) for part in range(_PARTS)]
    return np.stack([_samples(frame, start, start + length) for frame, start in places])


def _products(stretches: F32, rate_hz: int) -> F32:
    """Mean products of all pairs of channels in each stretch `(4, C, C)`; the diagonals are the channels' power.

    They are taken of the differences of samples, with 1 kHz as it is: hum and rumble, far below speech, count little.
    """
    steps = stretches[:, :, 1:] - stretches[:, :, :-1]
    scale = np.float32((rate_hz / (2 * np.pi * 1000)) ** 2 / steps.shape[2])
    return np.asarray(scale * (steps @ steps.transpose(0, 2, 1)), np.float32)


def _plain(stretches: F32) -> F32:
    """Mean products of all pairs of channels `(C, C)`, of the samples as they are: hum may drown speech."""
    level = stretches - stretches.mean(axis=2, keepdims=True)
    products = (level @ level.transpose(0, 2, 1)).mean(axis=0) / stretches.shape[2]
    return np.asarray(products, np.float32)


def _measured(products: F32, plain: F32, weights: F32) -> _Measured:
    mixed = products @ weights
    power = np.maximum(mixed @ weights, 0)
    loudest = np.diagonal(products, axis1=1, axis2=2).max(axis=1)
    lost = (loudest > _FLOOR) & (power < LOST * loudest)
    return _Measured(
        silent=bool((loudest <= _FLOOR).all()),
        lost=int(lost.sum()) >= _LOST_PARTS,
        drowned=_drowned(products.mean(axis=0), weights) or _drowned(plain, weights),
    )


def _drowned(products: F32, weights: F32) -> bool:
    """Whether a channel makes up too little of a mix: the square of its correlation with it."""
    mixed, alone = products @ weights, np.diagonal(products)
    share = np.square(mixed) / np.maximum(alone * (mixed @ weights), 1e-20)
    return bool(((alone > _FLOOR) & (share < DROWNED)).any())


def _even(channels: int) -> F32:
    return np.full(channels, 1 / channels, np.float32)


@functools.lru_cache(maxsize=64)
def _mixing_rule(layout: str, channels: int) -> F32 | None:
    """The weights with which FFmpeg mixes a layout to mono `(C,)`; None where it has no rule for it."""
    # At one sample a time one channel alone sounds: what comes out is its weight.
    alone = AudioFrame.from_ndarray(np.eye(channels, dtype=np.float32).reshape(1, -1), format="flt", layout=layout)
    alone.sample_rate = SAMPLING_RATE_HZ
    try:
        graph = _Graph(alone, SAMPLING_RATE_HZ, 1)
        rule = np.concatenate([*graph.push(alone), *graph.flush()])
    except (av.FFmpegError, ValueError):
        return None
    return rule if len(rule) == channels else None


def _samples(frame: AudioFrame, start: int = 0, end: int | None = None) -> F32:
    """Some samples of a frame `(C, T)`, within -1 to 1."""
    channels, kind = len(frame.layout.channels), frame.format.packed.name
    if frame.format.is_planar and channels >= _UNSAFE_PLANES:
        [frame] = AudioResampler(kind, frame.layout.name, frame.sample_rate).resample(frame)
    end = frame.samples if end is None else end
    if frame.format.is_planar:
        samples = np.stack([np.frombuffer(memoryview(plane), _DTYPES[kind])[start:end] for plane in frame.planes])
    else:
        plane = np.frombuffer(memoryview(frame.planes[0]), _DTYPES[kind])
        samples = plane[start * channels : end * channels].reshape(-1, channels).T
    scaled = samples.astype(np.float32, copy=False)
    if kind == "u8":
        return (scaled - np.float32(128.0)) / np.float32(128.0)
    if kind in ("s16", "s32", "s64"):
        return scaled * np.float32(2.0 ** (1 - 8 * samples.itemsize))
    # Damage makes floats of any size, of which the squares must still be numbers; a comparison is false for NaN.
    if not (np.abs(scaled) < _LOUDEST).all():
        scaled = np.nan_to_num(scaled, nan=0.0, posinf=0.0, neginf=0.0).clip(-_LOUDEST, _LOUDEST)
    return scaled


class _Graph:
    """FFmpeg's resampler for frames of one shape. PyAV's own asks for output after each frame, which costs more time
    than decoding it; this one lets some frames gather first."""

    def __init__(self, like: AudioFrame, rate_hz: int, samples_at_once: int) -> None:
        graph = Graph()
        graph.threads = 1
        self._source = graph.add(
            "abuffer",
            sample_rate=str(like.sample_rate),
            sample_fmt=like.format.name,
            channel_layout=like.layout.name,
            time_base=f"1/{like.sample_rate}",
        )
        # Without it a mix of equal channels is louder than they are, and clips.
        mix = graph.add("aresample", rematrix_maxval="1.0")
        wanted = graph.add("aformat", sample_rates=str(rate_hz), sample_fmts="flt", channel_layouts="mono")
        self._sink = graph.add("abuffersink")
        graph.link_nodes(self._source, mix, wanted, self._sink).configure()
        if samples_at_once > 1:
            graph.set_audio_frame_size(_CHUNK_S * rate_hz)
        self._graph = graph
        self._at_once = samples_at_once
        self._waiting = 0

    def push(self, frame: AudioFrame) -> list[F32]:
        self._source.push(frame)
        self._waiting += frame.samples
        return self._pull() if self._waiting >= self._at_once else []

    def flush(self) -> list[F32]:
        self._source.push(None)
        return self._pull()

    def _pull(self) -> list[F32]:
        self._waiting = 0
        ready: list[F32] = []
        with contextlib.suppress(av.BlockingIOError, av.EOFError):
            while True:
                frame = self._sink.pull()
                assert isinstance(frame, AudioFrame)
                ready.append(_within_bounds(frame))
        return ready


def _within_bounds(frame: AudioFrame) -> F32:
    samples: F32 = np.frombuffer(memoryview(frame.planes[0]), np.float32)[: frame.samples]
    # Infinity is no loud sample either: both come from damage, and neither may reach the models.
    if not np.isfinite(samples).all():
        samples = np.nan_to_num(samples, nan=0.0, posinf=0.0, neginf=0.0)
    return samples.clip(-1.0, 1.0)
