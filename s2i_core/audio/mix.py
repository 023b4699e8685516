"""Any number of channels → mono at another rate, without losing what is said on one of them.

A mix can lose speech: channels in antiphase cancel, a channel that the layout's rule leaves out (the bass
channel of 5.1) is dropped, one voice in sixteen channels drowns in the others' noise. So each half second is measured.
As long as the usual mix preserves every channel, it is used; where it does not, the channels that carry speech are
used until the mix is good again.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import math
import operator
from collections.abc import Callable, Sequence
from typing import NamedTuple

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.filter import Graph
from numpy.typing import NDArray

from s2i_core.audio.vad import SAMPLING_RATE_HZ, WINDOW, SpeechProbabilities

F32 = NDArray[np.float32]

BLOCK_S = 0.5
"""How long one choice of channels holds; frames of several channels wait until that much is there."""
LOST = 1 / 8
"""A mix with less than this share of the loudest channel's power (-9 dB) has lost it. Of two channels, one of which is
silent, a plain mix keeps a quarter."""
DROWNED = 0.1
"""A channel with less than this share of the mix's power may be drowned: it is then checked for speech."""

_PARTS = 4
_EACH_PART = tuple(range(_PARTS))
_GLANCED_AT = (1, 3)
"""If the mix clearly preserves every channel in these parts, the others are skipped: these have one of any two."""
_MARGIN = 1.5
_LOOKED_AT = 512
_LOUDEST = np.float32(8.0)
_FEW = 4
"""Up to this many channels, single inner products are faster than a matrix product."""
_DTYPES = {
    kind: np.dtype(code)
    for kind, code in {"u8": "u1", "s16": "<i2", "s32": "<i4", "s64": "<i8", "flt": "<f4", "dbl": "<f8"}.items()
}
_SAMPLE_COUNT = operator.attrgetter("samples")
_LOST_PARTS = 2
_FLOOR = 1e-6
"""Power (-60 dBFS) below which a channel holds nothing."""
_WELL_BLOCKS = 8
"""The usual mix is used again once it would have preserved this many blocks in a row."""
_SPEECH = 0.15
"""If a channel alone has this much more speech (mean probability) than the mix, the mix has lost some."""
_UNSAFE_PLANES = 8
"""PyAV (18.1) reads beyond the planes of a frame with this many or more."""
_MOST_HEARD = 16
"""If there are more channels than this, the loudest ones are listened to."""
_SAMPLES_AT_ONCE = 1 << 15
_BLOCKS_AT_ONCE, _MOST_WAITING = 16, 1 << 20
"""This many blocks are measured at once, which is faster, as long as they hold no more samples than this."""
_CHUNK_S = 2


class MonoMixer:
    """Mixes and resamples frames, also when rate or layout change within a stream, as in chained Ogg.

    Args:
        rate_hz: sampling rate of the output.
        samples_at_once: so many samples gather before they are resampled, and several blocks before they are
            measured, which is faster; 1 for a live stream, which somebody waits for.
    """

    def __init__(self, rate_hz: int, samples_at_once: int = _SAMPLES_AT_ONCE) -> None:
        self._rate_hz = rate_hz
        self._at_once = samples_at_once
        self._graph: _Graph | None = None
        self._shape: tuple[str, str, int] | None = None
        self._raw = True
        """Whether the graph gets the frames unchanged, and mixes them itself."""
        self._rule: F32 | None = None
        """How FFmpeg mixes this layout; None if it has no rule for it."""
        self._chooser: _Chooser | None = None
        self._blocks: list[list[AudioFrame]] = [[]]
        self._gathered = 0
        """Samples in the last block."""
        self._block_samples = self._most_blocks = 1

    def push(self, frame: AudioFrame) -> list[F32]:
        """Takes a frame; returns what is ready, `(T,)` each."""
        # Positions are counted in samples: jumps in time stamps must not reach the filter.
        frame.pts = None
        shape = (frame.format.name, frame.layout.name, frame.sample_rate)
        before: list[F32] = []
        if shape != self._shape:
            before = self.flush()
            self._shape = shape
            channels = len(frame.layout.channels)
            self._rule = _mixing_rule(frame.layout.name, channels) if channels > 1 else None
            self._block_samples = math.ceil(BLOCK_S * frame.sample_rate)
            most = _MOST_WAITING // (self._block_samples * channels)
            self._most_blocks = max(1, min(most, _BLOCKS_AT_ONCE)) if self._at_once > 1 else 1
            usual = _even(channels) if self._rule is None else self._rule
            self._chooser = _Chooser(usual, self._most_blocks) if channels > 1 else None
        if self._chooser is None:
            through = self._through([frame], raw=True)
            return before + through if before else through
        self._blocks[-1].append(frame)
        self._gathered += frame.samples
        if self._gathered < self._block_samples:
            return before
        self._gathered = 0
        if len(self._blocks) >= self._most_blocks:
            return before + self._mix()
        self._blocks.append([])
        return before

    def flush(self) -> list[F32]:
        """Returns all that is left; the next frame begins anew."""
        ready = self._mix() if self._blocks[0] else []
        graph, self._graph = self._graph, None
        self._shape = None
        return ready + (graph.flush() if graph else [])

    def _mix(self) -> list[F32]:
        blocks, self._blocks, self._gathered = [block for block in self._blocks if block], [[]], 0
        assert self._chooser is not None
        ready: list[F32] = []
        for frames, weights in zip(blocks, self._chooser(blocks), strict=True):
            if weights is None and self._rule is not None:
                ready += self._through(frames, raw=True)
                continue
            samples = np.concatenate([_samples(frame) for frame in frames], axis=1)
            mono = (self._chooser.usual if weights is None else weights) @ samples
            made = AudioFrame.from_ndarray(mono[None].astype(np.float32), format="flt", layout="mono")
            made.sample_rate = frames[0].sample_rate
            ready += self._through([made], raw=False)
        return ready

    def _through(self, frames: Sequence[AudioFrame], *, raw: bool) -> list[F32]:
        before: list[F32] = []
        if self._graph is not None and raw != self._raw:
            before, self._graph = self._graph.flush(), None
        if self._graph is None:
            self._graph, self._raw = _Graph(frames[0], self._rate_hz, self._at_once), raw
        ready = self._graph.push(frames)
        return before + ready if before else ready


class _Measured(NamedTuple):
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
        most_blocks: how many it gets at once.
    """

    def __init__(self, usual: F32, most_blocks: int) -> None:
        self.usual = usual
        # Allocated once for the whole stream: fresh memory each time costs more than the work done in it.
        self._stretches, self._steps = np.empty((2, most_blocks, _PARTS, len(usual), _LOOKED_AT), np.float32)
        self._now: F32 | None = None
        self._well = 0
        self._before: list[AudioFrame] = []
        self._ears: _Ears | None = None

    def __call__(self, blocks: Sequence[list[AudioFrame]]) -> list[F32 | None]:
        """Weights `(C,)` for each of some blocks of frames; None stands for the usual mix."""
        looked_at = [_places(frames) for frames in blocks]
        chosen: list[F32 | None] = []
        for length, group in itertools.groupby(looked_at, lambda places: places.length):
            places = list(group)
            some = blocks[len(chosen) : len(chosen) + len(places)]
            if length < 2:
                chosen += [self._now] * len(some)
                self._before = some[-1]
                continue
            if self._now is None and all(
                usual.fine
                for usual in _measured(self._products(places, _GLANCED_AT), self.usual, margin=_MARGIN, most=0)
            ):
                chosen += [None] * len(some)
                self._ears, self._before = None, some[-1]
                continue
            products = self._products(places, _EACH_PART)
            for number, usual in enumerate(_measured(products, self.usual)):
                self._ears_used = False
                self._now = self._chosen(products[number], usual, some[number])
                chosen.append(self._now)
                if not self._ears_used:
                    self._ears = None
                self._before = some[number]
        return chosen

    def _products(self, places: Sequence[_Places], parts: Sequence[int]) -> F32:
        """Mean products of all pairs of channels in some parts of blocks, as `_products_of` gives them."""
        length = places[0].length
        stretches, steps = (space[: len(places), : len(parts), :, :length] for space in (self._stretches, self._steps))
        _fill(stretches, places, parts)
        return _products_of(stretches, steps[..., 1:], places[0].frames[0].sample_rate)

    def _chosen(self, products: F32, usual: _Measured, frames: list[AudioFrame]) -> F32 | None:
        if usual.silent:
            return self._now
        self._well = self._well + 1 if usual.fine else 0
        if self._now is None or self._well >= _WELL_BLOCKS:
            if usual.fine:
                return None
            used, measured = self.usual, usual
        else:
            [measured] = _measured(products[None], self._now)
            used = self._now
            if measured.fine:
                return self._now
        return self._by_ear(products, frames, used, measured)

    def _by_ear(self, products: F32, frames: list[AudioFrame], used: F32, measured: _Measured) -> F32 | None:
        """The channels with speech, if the mix in use has lost it; found by a speech detector."""
        total = products[-2]
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
    """Weights of a channel and of those others that do not cancel it; of the channel alone, if together they do."""
    taken = [best, *(one for one in others if one != best and products[one, best] >= 0)]
    weights = np.zeros(len(products), np.float32)
    weights[taken] = 1 / len(taken)
    if weights @ products @ weights < LOST * products[best, best]:
        weights[:] = 0
        weights[best] = 1
    return weights


class _Places(NamedTuple):
    """A stretch from each quarter of a block: the frames, the first sample in each, and the length of each stretch."""

    frames: list[AudioFrame]
    starts: tuple[int, ...]
    length: int


def _places(frames: list[AudioFrame]) -> _Places:
    """The stretches that suffice to tell what sounds in a block."""
    if len(frames) < _PARTS:
        longest = max(frames, key=_SAMPLE_COUNT)
        quarter = longest.samples // _PARTS
        return _Places([longest] * _PARTS, tuple(part * quarter for part in range(_PARTS)), min(quarter, _LOOKED_AT))
    ends = [part * len(frames) // _PARTS for part in range(_PARTS + 1)]
    taken = [frames[start] for start in ends[:_PARTS]]
    if min(map(_SAMPLE_COUNT, taken)) < _LOOKED_AT:
        # Some codecs have frames of varying length.
        taken = [max(frames[start:end], key=_SAMPLE_COUNT) for start, end in itertools.pairwise(ends)]
    return _Places(taken, (0,) * _PARTS, min(_LOOKED_AT, *map(_SAMPLE_COUNT, taken)))


def _fill(stretches: F32, blocks: Sequence[_Places], parts: Sequence[int]) -> None:
    """Fills `(B, P, C, T)` with the samples at some of the places of blocks."""
    like = blocks[0].frames[0]
    copy = _copier(like)
    for block, (frames, starts, _) in enumerate(blocks):
        for number, part in enumerate(parts):
            copy(frames[part], starts[part], stretches[block, number])
    _scale(stretches, like.format.packed.name)


def _products_of(stretches: F32, steps: F32, rate_hz: int) -> F32:
    """Mean products of all pairs of channels `(B, P + 2, C, C)`; the diagonals are the channels' power.

    First those of each stretch, then their mean. They are taken of the differences of samples, scaled so that 1 kHz
    keeps its power: hum and rumble, far below speech, count little. The last are of the samples themselves, less their
    mean: hum may drown speech.

    Args:
        stretches: `(B, P, C, T)`.
        steps: space for the differences `(B, P, C, T - 1)`.
        rate_hz: of the samples.
    """
    blocks, parts, channels, length = stretches.shape
    products = np.empty((blocks, parts + 2, channels, channels), np.float32)
    np.subtract(stretches[..., 1:], stretches[..., :-1], out=steps)
    scale = np.float32((rate_hz / (2 * np.pi * 1000)) ** 2 / (length - 1))
    np.multiply(_of_pairs(steps), scale, out=products[:, :parts])
    products[:, :parts].mean(axis=1, out=products[:, parts])
    level = stretches @ np.full(length, 1 / length, np.float32)
    plain = _of_pairs(stretches) / np.float32(length) - level[..., :, None] * level[..., None, :]
    plain.mean(axis=1, out=products[:, -1])
    return products


def _of_pairs(signals: F32) -> F32:
    """Inner products of all pairs `(…, C, C)` of `(…, C, T)`."""
    if signals.shape[-2] <= _FEW:
        return np.asarray(np.vecdot(signals[..., :, None, :], signals[..., None, :, :]), np.float32)
    return np.asarray(signals @ np.swapaxes(signals, -1, -2), np.float32)


def _measured(products: F32, weights: F32, margin: float = 1.0, most: int = _LOST_PARTS - 1) -> list[_Measured]:
    """What a mix does to the channels of each of some blocks.

    Args:
        products: from `_products_of`.
        weights: of the mix `(C,)`.
        margin: factor by which the mix must exceed the limits.
        most: in how many stretches a channel may be lost.
    """
    mixed, alone = products @ weights, np.diagonal(products, axis1=2, axis2=3)
    power, sounds = mixed @ weights, alone > _FLOOR
    loudest = alone[:, :-2].max(axis=2)
    lost = (loudest > _FLOOR) & (power[:, :-2] < margin * LOST * loudest)
    # The share of a channel in the mix is the square of its correlation with it.
    least = margin * DROWNED * np.maximum(alone[:, -2:] * power[:, -2:, None], 1e-20)
    drowned = sounds[:, -2:] & (np.square(mixed[:, -2:]) < least)
    silent = ~sounds[:, :-2].any(axis=(1, 2))
    flags = np.stack([silent, lost.sum(axis=1) > most, drowned.any(axis=(1, 2))], axis=1)
    return [_Measured(*of_one) for of_one in flags.tolist()]


def _even(channels: int) -> F32:
    return np.full(channels, 1 / channels, np.float32)


@functools.lru_cache(maxsize=64)
def _mixing_rule(layout: str, channels: int) -> F32 | None:
    """The weights with which FFmpeg mixes a layout to mono `(C,)`; None where it has no rule for it."""
    # One channel sounds at each sample, so the output is its weight.
    alone = AudioFrame.from_ndarray(np.eye(channels, dtype=np.float32).reshape(1, -1), format="flt", layout=layout)
    alone.sample_rate = SAMPLING_RATE_HZ
    try:
        graph = _Graph(alone, SAMPLING_RATE_HZ, 1)
        rule = np.concatenate([*graph.push([alone]), *graph.flush()])
    except (av.FFmpegError, ValueError):
        return None
    return rule if len(rule) == channels else None


def _samples(frame: AudioFrame) -> F32:
    """The samples of a frame `(C, T)`, within -8 to 8."""
    samples = np.empty((frame.layout.nb_channels, frame.samples), np.float32)
    _copier(frame)(frame, 0, samples)
    _scale(samples, frame.format.packed.name)
    return samples


def _copier(like: AudioFrame) -> Callable[[AudioFrame, int, F32], None]:
    """A function that fills `(C, T)` with unscaled samples of a frame of this shape, from a given one on."""
    kind, channels = like.format.packed.name, like.layout.nb_channels
    dtype = _DTYPES[kind]

    def packed(frame: AudioFrame, start: int, samples: F32) -> None:
        plane = memoryview(frame.planes[0])
        length = samples.shape[1]
        there = np.frombuffer(plane, dtype, length * channels, start * channels * dtype.itemsize)
        samples[:] = there.reshape(-1, channels).T

    def planar(frame: AudioFrame, start: int, samples: F32) -> None:
        offset, length = start * dtype.itemsize, samples.shape[1]
        for channel, plane in enumerate(frame.planes):
            samples[channel] = np.frombuffer(memoryview(plane), dtype, length, offset)

    def many_planes(frame: AudioFrame, start: int, samples: F32) -> None:
        [frame] = AudioResampler(kind, frame.layout.name, frame.sample_rate).resample(frame)
        packed(frame, start, samples)

    if not like.format.is_planar:
        return packed
    return many_planes if channels >= _UNSAFE_PLANES else planar


def _scale(samples: F32, kind: str) -> None:
    """Scales samples of FFmpeg's format `kind` to a full scale of 1."""
    if kind == "u8":
        samples -= np.float32(128.0)
        samples *= np.float32(1 / 128)
    elif kind in ("s16", "s32", "s64"):
        samples *= np.float32(2.0 ** (1 - 8 * _DTYPES[kind].itemsize))
    # Damage makes floats of any size, and their squares must stay finite; comparisons with NaN are false.
    elif samples.size and not (samples.max() < _LOUDEST and samples.min() > -_LOUDEST):
        np.nan_to_num(samples, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
        samples.clip(-_LOUDEST, _LOUDEST, out=samples)


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
        # Without this a mix of equal channels is louder than they are, and clips.
        mix = graph.add("aresample", rematrix_maxval="1.0")
        wanted = graph.add("aformat", sample_rates=str(rate_hz), sample_fmts="flt", channel_layouts="mono")
        self._sink = graph.add("abuffersink")
        graph.link_nodes(self._source, mix, wanted, self._sink).configure()
        if samples_at_once > 1:
            graph.set_audio_frame_size(_CHUNK_S * rate_hz)
        self._graph = graph
        self._at_once = samples_at_once
        self._waiting = 0

    def push(self, frames: Sequence[AudioFrame]) -> list[F32]:
        for frame in frames:
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
    # NaN and infinity both come from damage, and neither may reach the models.
    if not np.isfinite(samples).all():
        samples = np.nan_to_num(samples, nan=0.0, posinf=0.0, neginf=0.0)
    return samples.clip(-1.0, 1.0)
