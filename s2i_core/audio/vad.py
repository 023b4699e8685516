"""Voice activity: a stream of audio → segments of speech and the gaps between them, in bounded memory."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from s2i_core.config import AudioConfig
from s2i_core.errors import ModelError
from s2i_core.records import Gap, Segment, Skip

SAMPLING_RATE_HZ = 16_000
WINDOW = 512
WINDOW_S = WINDOW / SAMPLING_RATE_HZ
CONTEXT = 64
"""Samples before each window that the model sees as well."""

HYSTERESIS = 0.15
"""Speech goes on while its probability stays above the threshold less this."""
SILENCE_DBFS = -50.0
"""Quieter than this, a gap is silence; louder, it is sound without speech."""
STILL = 1e-4
"""A window without a louder sample counts as still: -80 dBFS, a few steps of 16-bit audio."""
STILL_WINDOWS = 32
"""How many windows at the start of a still stretch still go through the network."""
MIN_GAP_PART_S = 1.0
"""Shorter alternations of silence and sound do not divide a gap."""

_VERSION = "Install silero-vad==6.2.3."


State = tuple[NDArray[np.float32], NDArray[np.float32]]


class SileroVAD:
    """Silero VAD v6 at 16 kHz: https://github.com/snakers4/silero-vad (MIT); weights from its package.

    A short-time spectrum and four convolutions describe each window of 512 samples by itself, and an LSTM carries on
    what came before. So the windows of a chunk go through the convolutions as one batch, many times faster than one by
    one. Its layers are too small for threads, so it is written in numpy: a worker that only decodes never loads torch.

    Args:
        weights: by name, in the layout of PyTorch's layers.

    Raises:
        KeyError: weights are missing.
        ValueError: weights have another shape.
    """

    def __init__(self, weights: Mapping[str, NDArray[np.float32]]) -> None:
        def of(name: str, *shape: int) -> NDArray[np.float32]:
            if weights[name].shape != shape:
                raise ValueError(f"{name} has shape {weights[name].shape}, not {shape}")
            return np.asarray(weights[name], dtype=np.float32)

        def taps(name: str, outputs: int, inputs: int) -> NDArray[np.float32]:
            return of(f"{name}.weight", outputs, inputs, 3).transpose(2, 1, 0).reshape(3 * inputs, outputs)

        self._spectrum = of("stft_conv.weight", 258, 1, 256)[:, 0].T
        self._convolutions = [
            (taps("conv1", 128, 129), of("conv1.bias", 128), 1),
            (taps("conv2", 64, 128), of("conv2.bias", 64), 2),
            (taps("conv3", 64, 64), of("conv3.bias", 64), 2),
            (taps("conv4", 128, 64), of("conv4.bias", 128), 1),
        ]
        gates = np.concatenate([of("lstm_cell.weight_ih", 512, 128), of("lstm_cell.weight_hh", 512, 128)], axis=1)
        # In parts: see `_convolve`.
        self._gates = gates.reshape(16, 32, 256)
        self._gates_bias = of("lstm_cell.bias_ih", 512) + of("lstm_cell.bias_hh", 512)
        self._output = of("final_conv.weight", 1, 128, 1)[0, :, 0]
        self._output_bias = of("final_conv.bias", 1)[0]

    def __call__(self, windows: NDArray[np.float32], state: State | None = None) -> tuple[NDArray[np.float32], State]:
        """Probabilities of speech.

        Args:
            windows: consecutive windows, each after its context `(N, 64 + 512)`.
            state: what the call before returned; None at the start of a stream.

        Returns:
            Probabilities `(N,)` and the state for the next call.
        """
        mirrored = np.concatenate([windows, windows[:, -2 : -2 - CONTEXT : -1]], axis=1)
        frames = np.lib.stride_tricks.sliding_window_view(mirrored, 256, axis=1)[:, ::128]
        real, imaginary = np.split(frames @ self._spectrum, 2, axis=2)
        features = np.sqrt(np.square(real) + np.square(imaginary))
        for kernel, bias, stride in self._convolutions:
            features = np.maximum(_convolve(features, kernel, stride) + bias, 0.0)

        hidden, cell = state or (np.zeros(128, np.float32), np.zeros(128, np.float32))
        outputs = np.empty((len(windows), 128), dtype=np.float32)
        for index in range(len(windows)):
            seen = np.concatenate([features[index, 0], hidden])
            enter, keep, update, emit = ((self._gates @ seen).reshape(-1) + self._gates_bias).reshape(4, 128)
            cell = _sigmoid(keep) * cell + _sigmoid(enter) * np.tanh(update)
            hidden = _sigmoid(emit) * np.tanh(cell)
            outputs[index] = hidden
        return _sigmoid(np.maximum(outputs, 0.0) @ self._output + self._output_bias), (hidden, cell)


def _convolve(values: NDArray[np.float32], kernel: NDArray[np.float32], stride: int) -> NDArray[np.float32]:
    """Convolution of width 3 over time, zeros beyond the ends: `(N, T, C)` and `(3 C, O)` to `(N, T / stride, O)`.

    One product per window, as everywhere in this network: each is too small for BLAS to wake its threads. On a busy
    machine, waiting for a second core takes ten times as long as the work.
    """
    padded = np.pad(values, ((0, 0), (1, 1), (0, 0)))
    taken = np.lib.stride_tricks.sliding_window_view(padded, 3, axis=1)[:, ::stride]
    rows = taken.transpose(0, 1, 3, 2).reshape(*taken.shape[:2], len(kernel))
    return np.asarray(rows @ kernel, dtype=np.float32)


def _sigmoid(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * values), dtype=np.float32)


@functools.cache
def load_vad() -> SileroVAD:
    """The network with its weights, loaded once per process; it keeps no state of a stream.

    Raises:
        ModelError: the package `silero-vad` is missing or of another version.
    """
    # Importing the package would load torch, and set its number of threads for the whole process.
    spec = importlib.util.find_spec("silero_vad")
    folders = list(spec.submodule_search_locations or []) if spec else []
    path = Path(folders[0]) / "data" / "silero_vad_16k.safetensors" if folders else None
    if path is None or not path.is_file():
        raise ModelError("silero-vad", "its weights are not installed", _VERSION)
    try:
        return SileroVAD(load_file(path))
    except (KeyError, ValueError) as error:
        raise ModelError(str(path), f"its weights are of another version ({error})", _VERSION) from error


class SpeechProbabilities:
    """Probability of speech for each window of 512 samples of one stream.

    What is still for longer than a second is not speech and does not go through the network: a file of a few kilobytes
    can hold hours of nothing. The network's state waits meanwhile, so speech after that is found some windows sooner
    than by a network that saw all of the stillness.
    """

    def __init__(self) -> None:
        self._model = load_vad()
        self._state: State | None = None
        self._context = np.zeros(CONTEXT, dtype=np.float32)
        self._still = 0

    def __call__(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Continues the stream.

        Args:
            samples: `(N * 512,)` float32, 16 kHz.

        Returns:
            `(N,)`, 0 to 1.
        """
        if not len(samples):
            return np.zeros(0, dtype=np.float32)
        stream = np.concatenate([self._context, samples])
        self._context = stream[-CONTEXT:].copy()
        windows = np.lib.stride_tricks.sliding_window_view(stream, CONTEXT + WINDOW)[::WINDOW]
        heard = self._heard(samples)
        probabilities = np.zeros(len(windows), dtype=np.float32)
        if heard.any():
            probabilities[heard], self._state = self._model(windows[heard], self._state)
        return probabilities

    def _heard(self, samples: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Which of the windows `(N,)` go through the network."""
        numbers = np.arange(len(samples) // WINDOW)
        loud = np.abs(samples).reshape(-1, WINDOW).max(1) > STILL
        # The last loud window up to each; the still stretch may have begun in an earlier call.
        last = np.maximum.accumulate(np.where(loud, numbers, -1 - self._still))
        stretch = numbers - last
        self._still = int(stretch[-1])
        return np.asarray(stretch <= STILL_WINDOWS)


def segment(chunks: Iterable[NDArray[np.float32]], config: AudioConfig) -> Iterator[Segment | Gap]:
    """Divides a recording into speech and gaps, in order and without holes.

    A segment starts where the probability reaches `speech_threshold`, ends at a pause of `min_silence_s`, and keeps a
    margin of `pad_s`. Speech without such a pause is cut before `max_segment_s`, where its probability, averaged over
    three windows, is lowest; the two parts then meet. Gaps distinguish silence from sound without speech. Holds no more
    than one segment and one chunk.

    Args:
        chunks: float32 `(T,)`, any lengths, mono, 16 kHz.
        config: thresholds and lengths.
    """
    segmenter = Segmenter(config)
    for chunk in chunks:
        yield from segmenter.push(chunk)
    yield from segmenter.finish()


class Segmenter:
    """State machine over windows, for a stream that is pushed; `segment` is the same for one that is pulled.

    Positions are counted in windows, or in samples where the name says so.
    """

    def __init__(self, config: AudioConfig) -> None:
        self._enter = config.speech_threshold
        self._leave = max(config.speech_threshold - HYSTERESIS, 0.01)
        self._min_silence = max(1, round(config.min_silence_s / WINDOW_S))
        self._min_speech = max(1, round(config.min_speech_s / WINDOW_S))
        # Two margins fit into the shortest pause, so that neighbours cannot overlap.
        self._pad_samples = round(min(config.pad_s, config.min_silence_s / 2) * SAMPLING_RATE_HZ)
        self._longest = int(config.max_segment_s / WINDOW_S - 2 * self._pad_samples / WINDOW)

        self._probability = SpeechProbabilities()
        self._unread = np.zeros(0, dtype=np.float32)
        self._now = 0
        self._buffer = np.zeros(0, dtype=np.float32)
        """Samples that a segment may still need, …"""
        self._buffer_from_sample = 0
        """… and the position of the first of them."""
        self._told_until_sample = 0
        """Everything before this is in a segment or gap that was already yielded."""
        self._loud = bytearray()
        """For each window from `_told_until_sample` on: 1 if it is louder than silence, else 0."""

        self._start: int | None = None
        """First window of the current speech; None in a gap."""
        self._speech_end = 0
        """End of its last window with speech."""
        self._history: list[float] = []
        """Its probabilities since `_start`."""
        self._after_cut = False

    @property
    def speaking_from_s(self) -> float | None:
        """Start of the current speech, once it is long enough to count; None in a gap."""
        if self._start is None or not (self._after_cut or self._speech_end - self._start >= self._min_speech):
            return None
        start_sample = max(self._told_until_sample, self._start * WINDOW - self._pad_samples)
        return start_sample / SAMPLING_RATE_HZ

    def push(self, chunk: NDArray[np.float32]) -> Iterator[Segment | Gap]:
        """Continues the stream by `(T,)` samples; yields what is complete."""
        samples = np.concatenate([self._unread, chunk])
        whole = len(samples) // WINDOW * WINDOW
        self._unread = samples[whole:]
        yield from self._windows(samples[:whole])

    def finish(self) -> Iterator[Segment | Gap]:
        """Ends the stream; yields what was open."""
        total = self._now * WINDOW + len(self._unread)
        yield from self._windows(np.pad(self._unread, (0, -len(self._unread) % WINDOW)))
        if self._start is not None:
            yield from self._end_speech(min(total, self._speech_end * WINDOW + self._pad_samples))
        yield from self._gaps(total)

    def _windows(self, samples: NDArray[np.float32]) -> Iterator[Segment | Gap]:
        self._buffer = np.concatenate([self._buffer, samples])
        self._loud += (_level_dbfs(samples.reshape(-1, WINDOW)) > SILENCE_DBFS).tobytes()
        for probability in self._probability(samples).tolist():
            if self._start is None and probability >= self._enter:
                self._start, self._history, self._after_cut = self._now, [], False
            self._now += 1
            if self._start is None:
                continue
            self._history.append(probability)
            if probability >= self._leave:
                self._speech_end = self._now
            elif self._now - self._speech_end >= self._min_silence:
                yield from self._end_speech(self._speech_end * WINDOW + self._pad_samples)
                continue
            if len(self._history) >= self._longest:
                yield from self._cut_speech()
        self._forget()

    def _end_speech(self, end_sample: int) -> Iterator[Segment | Gap]:
        assert self._start is not None
        # What a cut leaves over is speech, however short.
        if self._after_cut or self._speech_end - self._start >= self._min_speech:
            yield from self._segment(end_sample)
        self._start = None

    def _cut_speech(self) -> Iterator[Segment | Gap]:
        assert self._start is not None
        smooth = np.convolve(self._history, np.full(3, 1 / 3), mode="same")
        first, last = len(smooth) // 2, len(smooth) - self._min_speech
        lowest = first + int(np.argmin(smooth[first : max(last, first + 1)]))
        yield from self._segment((self._start + lowest) * WINDOW + WINDOW // 2)
        self._start += lowest
        self._history = self._history[lowest:]
        self._after_cut = True
        if self._speech_end <= self._start:
            self._start = None

    def _segment(self, end_sample: int) -> Iterator[Segment | Gap]:
        assert self._start is not None
        start_sample = max(self._told_until_sample, self._start * WINDOW - self._pad_samples)
        yield from self._gaps(start_sample)
        waveform = self._buffer[start_sample - self._buffer_from_sample : end_sample - self._buffer_from_sample].copy()
        self._tell(end_sample)
        yield Segment(start_sample / SAMPLING_RATE_HZ, end_sample / SAMPLING_RATE_HZ, waveform)

    def _gaps(self, end_sample: int) -> Iterator[Gap]:
        """Yields what lies between the last segment and here, divided where silence and sound alternate slowly."""
        start_sample = self._told_until_sample
        if end_sample <= start_sample:
            return
        count = -(-end_sample // WINDOW) - start_sample // WINDOW
        runs = _long_runs(np.frombuffer(bytes(self._loud[:count]), dtype=np.bool_), round(MIN_GAP_PART_S / WINDOW_S))
        self._tell(end_sample)
        for index, (first, loud) in enumerate(runs):
            part_start = start_sample + first * WINDOW
            part_end = start_sample + runs[index + 1][0] * WINDOW if index + 1 < len(runs) else end_sample
            yield Gap(
                part_start / SAMPLING_RATE_HZ, part_end / SAMPLING_RATE_HZ, Skip.NO_SPEECH if loud else Skip.SILENCE
            )

    def _tell(self, end_sample: int) -> None:
        del self._loud[: end_sample // WINDOW - self._told_until_sample // WINDOW]
        self._told_until_sample = end_sample

    def _forget(self) -> None:
        wanted = self._now if self._start is None else self._start
        first = max(self._buffer_from_sample, wanted * WINDOW - self._pad_samples)
        self._buffer = self._buffer[first - self._buffer_from_sample :].copy()
        self._buffer_from_sample = first


def _long_runs(values: NDArray[np.bool_], shortest: int) -> list[tuple[int, bool]]:
    """Runs of equal values as (first index, value); a run shorter than `shortest` joins the one before it."""
    starts = np.flatnonzero(np.diff(values, prepend=not values[0])).tolist()
    ends = [*starts[1:], len(values)]
    runs: list[tuple[int, bool]] = []
    for start, end in zip(starts, ends, strict=True):
        if end - start < shortest and len(starts) > 1:
            continue
        if not runs or runs[-1][1] != values[start]:
            runs.append((start if runs else 0, bool(values[start])))
    return runs or [(0, bool(2 * values.sum() > len(values)))]


def level_dbfs(waveform: NDArray[np.float32]) -> float:
    """Root mean square of `(T,)` in decibels of full scale; -120 for digital silence."""
    return float(_level_dbfs(waveform[None])[0]) if len(waveform) else -120.0


def _level_dbfs(windows: NDArray[np.float32]) -> NDArray[np.float32]:
    power = np.mean(np.square(windows), axis=1)
    return np.asarray(10 * np.log10(np.maximum(power, 1e-12)), dtype=np.float32)
