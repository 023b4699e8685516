"""The sound of a microphone as it comes, message by message, to samples at the encoder's rate."""

from __future__ import annotations

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from numpy.typing import NDArray

from cluster.serve.problems import Refusal
from s2i_core.audio.features import SAMPLING_RATE_HZ
from s2i_core.audio.mix import MonoMixer

_OPUS_RATE_HZ = 48_000
_OPUS_STEREO = 0x04
"""The bit of a packet's first byte that says that it holds two channels (RFC 6716, 3.1)."""


class Pcm:
    """16-bit little-endian mono PCM to float32 at 16 kHz; a sample may be split between messages."""

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._left = b""
        self._resampler = _resampler() if rate_hz != SAMPLING_RATE_HZ else None

    def __call__(self, data: bytes) -> NDArray[np.float32]:
        """The samples of a message."""
        raw = self._left + data
        whole = len(raw) // 2 * 2
        self._left = raw[whole:]
        samples = np.frombuffer(raw[:whole], "<i2").astype(np.float32) / np.float32(32768)
        if self._resampler is None or not len(samples):
            return samples
        frame = AudioFrame.from_ndarray(samples[None], format="flt", layout="mono")
        frame.sample_rate = self._rate_hz
        return _joined(self._resampler.resample(frame))

    def finish(self) -> NDArray[np.float32]:
        """The samples that are left; nothing may follow."""
        return _joined([] if self._resampler is None else self._resampler.resample(None))


class Opus:
    """Opus packets (RFC 6716), one a message, to float32 mono at 16 kHz.

    Two channels are mixed as those of a file are, so what they hold comes up to half a second later.
    """

    def __init__(self) -> None:
        context = av.CodecContext.create("opus", "r")
        assert isinstance(context, AudioCodecContext)
        context.sample_rate = _OPUS_RATE_HZ
        context.layout = "stereo"
        context.thread_count = 1
        self._context = context
        self._mixer = MonoMixer(SAMPLING_RATE_HZ, samples_at_once=1)

    def __call__(self, data: bytes) -> NDArray[np.float32]:
        """The samples of a packet."""
        try:
            frames = self._context.decode(av.Packet(data))
            if not data[0] & _OPUS_STEREO:
                frames = [_first_channel(frame) for frame in frames]
            return _concatenated([part for frame in frames for part in self._mixer.push(frame)])
        # ValueError where a packet changes what the ones before it had.
        except (av.FFmpegError, ValueError):
            raise Refusal(422, "undecodable", "This is no Opus packet.", "Send one Opus packet a message.") from None

    def finish(self) -> NDArray[np.float32]:
        """The samples that are left; nothing may follow."""
        return _concatenated(self._mixer.flush())


def _resampler() -> AudioResampler:
    return AudioResampler(format="flt", layout="mono", rate=SAMPLING_RATE_HZ)


def _joined(frames: list[AudioFrame]) -> NDArray[np.float32]:
    joined = _concatenated([np.asarray(frame.to_ndarray(), np.float32).reshape(-1) for frame in frames])
    return np.asarray(joined.clip(-1, 1), np.float32)


def _concatenated(parts: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    return np.concatenate([*parts, np.zeros(0, np.float32)])


def _first_channel(frame: AudioFrame) -> AudioFrame:
    """A mono packet, which comes out of a decoder for two channels as two that are equal."""
    mono = AudioFrame.from_ndarray(frame.to_ndarray()[:1].astype(np.float32), format="flt", layout="mono")
    mono.sample_rate = frame.sample_rate
    return mono
