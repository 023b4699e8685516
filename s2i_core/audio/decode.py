"""Any container and codec that FFmpeg reads → mono float32 at 16 kHz, as a stream in bounded memory."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import BinaryIO, Self

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.filter import Graph
from numpy.typing import NDArray

from s2i_core.audio import mp4
from s2i_core.audio.sniff import SNIFF_BYTES, format_of
from s2i_core.audio.source import AudioSource, Contents
from s2i_core.config import AudioConfig
from s2i_core.errors import DecodeError, LimitExceeded

CHUNK_S = 2
"""Length of the chunks that a `Decoder` yields; the last may be shorter."""

MIN_SALVAGED_S = 1.0
FREE_S = 600
MIN_BITS_PER_S = 50
"""Past `FREE_S`, a file that holds less than this for each second of its audio is refused. Digital silence takes 1,500
bits a second in FLAC, 1,800 in Opus, and 55 in WavPack at 8 kHz."""
SAMPLING_RATES_HZ = (2_000, 1_000_000)
"""Rates that can be: outside, a header is damaged, and the resampler's filter would take all memory."""
MAX_DAMAGED_SHARE = 0.1

# Only formats that hold their own data: a playlist (HLS, DASH, concat) could make FFmpeg open other files or hosts.
_FORMATS = (
    "aac,ac3,aiff,amr,amrnb,ape,asf,au,avi,caf,dsf,eac3,flac,flv,matroska,mov,mp3,mpeg,mpegts,ogg,tta,voc,w64,wav,wv"
)
_MAX_FRAME_SAMPLES = 1 << 22
_LARGE_BYTES = 32 << 20
_SAMPLES_AT_ONCE = 1 << 15
#: The remedy for a file that cannot be read.
UNREADABLE = "Check the file with a player; upload it again, or keep it out of the archive."


@dataclass(frozen=True)
class AudioInfo:
    """What the container says of its audio track."""

    codec: str
    channels: int
    sampling_rate_hz: int


class Decoder:
    """Iterate once: float32 `(T,)` chunks of 2 s, mono, 16 kHz, finite and within -1 to 1; time is counted in samples.

    Damage is treated as players do: a packet that cannot be decoded becomes silence, and where the data end early, so
    does the audio; `damage` tells. It is an error when less than one second could be saved, or when more than a tenth
    of the packets is damaged.

    Iterating raises:
        DecodeError: no audio, or too damaged.
        LimitExceeded: more than `max_duration_s` of audio (decoded, whatever the header claims), more than such a
            small file can hold, or more than `max_decode_s` of work.
        Exception: whatever the file's own `read` raised, unchanged.
    """

    def __init__(
        self, source: AudioSource, container: InputContainer, stream: AudioStream, config: AudioConfig
    ) -> None:
        self.source = source
        self.info = AudioInfo(
            codec=stream.codec_context.codec.canonical_name,
            channels=stream.codec_context.channels,
            sampling_rate_hz=stream.codec_context.sample_rate,
        )
        self.samples = 0
        """Samples yielded so far, at 16 kHz."""
        self.damage: str | None = None
        """What was wrong with a file that could be used all the same; complete after the last chunk."""
        self._container = container
        self._stream = stream
        self._config = config
        self._rate_hz = config.sampling_rate_hz

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        self.source.resume_clock()
        try:
            for frame in self._resampled():
                chunk = _within_bounds(frame)
                self.samples += len(chunk)
                self._check_length()
                self.source.check_time()
                self.source.pause_clock()
                yield chunk
                self.source.resume_clock()
        finally:
            self.source.pause_clock()
            self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Frees the decoder; the file stays open."""
        self._container.close()

    def contents(self) -> Contents:
        """Digest and size of all the file's bytes; those that did not pass in order are read now.

        Raises:
            LimitExceeded: the time is up.
        """
        return self.source.contents()

    def _check_length(self) -> None:
        length_s = self.samples / self._rate_hz
        if length_s > self._config.max_duration_s:
            raise LimitExceeded(
                self.source.name,
                f"it holds more than {self._config.max_duration_s:g} s of audio",
                "Split the recording, or raise audio.max_duration_s.",
            )
        if length_s > FREE_S + 8 * self.source.size_bytes / MIN_BITS_PER_S:
            raise LimitExceeded(
                self.source.name,
                f"its {self.source.size_bytes} bytes unpack to more than {int(length_s)} s of audio, as no speech does",
                "Keep it out of the archive: it is damaged, or made to exhaust its reader.",
            )

    def _resampled(self) -> Iterator[AudioFrame]:
        resampler = _MonoResampler(self._rate_hz)
        try:
            for frame in self._frames():
                yield from resampler.push(frame)
            yield from resampler.flush()
        except av.FFmpegError as error:
            _reraise_memory_error(error)
            raise DecodeError(
                self.source.name,
                f"its audio cannot be converted to mono ({error.strerror})",
                "Convert it to FLAC or WAV.",
            ) from error

    def _frames(self) -> Iterator[AudioFrame]:
        packets = damaged = 0
        decoded_s = 0.0
        last: AudioFrame | None = None
        lowest_hz, highest_hz = SAMPLING_RATES_HZ
        demuxed = self._container.demux(self._stream)
        while (packet := self._next(demuxed)) is not None:
            packets += packet.size > 0
            try:
                frames = packet.decode()
            except av.FFmpegError as error:
                self._reraise_read_error()
                _reraise_memory_error(error)
                damaged += 1
                if last is not None:
                    yield _silence_like(last)
                continue
            for frame in frames:
                samples, rate_hz = frame.samples, frame.sample_rate
                if not lowest_hz <= rate_hz <= highest_hz:
                    damaged += 1
                elif samples:
                    decoded_s += samples / rate_hz
                    last = frame
                    yield frame
        if damaged:
            self.damage = f"{damaged} of {packets} packets cannot be decoded" + (
                f"; {self.damage}" if self.damage else ""
            )
        if not decoded_s and not self.damage:
            raise DecodeError(self.source.name, "its audio track holds no samples", UNREADABLE)
        if self.damage and (decoded_s < MIN_SALVAGED_S or damaged > MAX_DAMAGED_SHARE * packets):
            raise DecodeError(self.source.name, f"the audio is damaged: {self.damage}", UNREADABLE)

    def _next(self, demuxed: Iterator[av.Packet]) -> av.Packet | None:
        try:
            packet = next(demuxed, None)
        except av.FFmpegError as error:
            self._reraise_read_error()
            _reraise_memory_error(error)
            self.damage = f"the data end early ({error.strerror})"
            return None
        if self.source.error is not None:
            raise self.source.error
        return packet

    def _reraise_read_error(self) -> None:
        if self.source.error is not None:
            raise self.source.error


def decode(file: BinaryIO, name: str, config: AudioConfig) -> Decoder:
    """Opens a recording; its best audio track is taken, also out of a video.

    Args:
        file: seekable, read in pieces; stays open.
        name: URI or path, for messages.
        config: rate and limits.

    Raises:
        DecodeError: the file is empty, no audio format, cut off before its index, or has no audio track.
        LimitExceeded: it is larger than `max_size_bytes`.
        Exception: whatever the file's own `read` raised, unchanged.
    """
    source = AudioSource(file, name, config)
    head = source.read(SNIFF_BYTES)
    options = {"format_whitelist": _FORMATS, "protocol_whitelist": "none"}
    # Asked of large files only: it takes some reads, and the index of a small one is small.
    if head[4:8] == b"ftyp" and source.size_bytes >= _LARGE_BYTES and mp4.plays_whole(source, source.size_bytes):
        options["advanced_editlist"] = "0"
    source.seek(0)
    try:
        container = av.open(
            source,
            "r",
            options=options,
            # Tags in old encodings are not a reason to refuse the audio.
            metadata_errors="replace",
        )
    except Exception as error:
        if source.error is not None:
            raise source.error from None
        if not isinstance(error, av.FFmpegError):
            raise
        _reraise_memory_error(error)
        raise DecodeError(name, _why_unreadable(head), UNREADABLE) from error
    try:
        return Decoder(source, container, _audio_stream(container, name), config)
    except BaseException:
        container.close()
        raise
    finally:
        source.pause_clock()


def _audio_stream(container: InputContainer, name: str) -> AudioStream:
    stream = container.streams.best("audio")
    if not isinstance(stream, AudioStream):
        raise DecodeError(name, "it has no audio track", "Give a recording with sound, or keep it out of the archive.")
    context = stream.codec_context
    if context is None:
        raise DecodeError(name, "its audio is in a codec that FFmpeg cannot decode", "Convert it to FLAC or WAV.")
    if not context.sample_rate or not context.channels:
        raise DecodeError(name, "no audio can be found behind its header", UNREADABLE)
    if not SAMPLING_RATES_HZ[0] <= context.sample_rate <= SAMPLING_RATES_HZ[1]:
        raise DecodeError(name, f"its header claims a sampling rate of {context.sample_rate} Hz", UNREADABLE)
    context.thread_count = 1
    context.options = {"max_samples": str(_MAX_FRAME_SAMPLES)}
    return stream


def _reraise_memory_error(error: av.FFmpegError) -> None:
    """No fault of the file's, or a fault that a limit on memory has stopped: either way the caller must know."""
    if isinstance(error, MemoryError):
        raise error


def _why_unreadable(head: bytes) -> str:
    kind = format_of(head)
    if kind is None:
        return "it is not in an audio or video format that can be read"
    if kind == "MP4":
        return "it starts as an MP4 or M4A file, but its index (moov) is missing or damaged: it was cut off"
    return f"it starts as {kind} does, but the rest is missing or damaged"


class _MonoResampler:
    """Mixes and resamples frames, also when rate or layout change within a file, as in chained Ogg streams."""

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._graph: _Graph | None = None
        self._shape: tuple[str, str, int] | None = None
        self._own_mix = False

    def push(self, frame: AudioFrame) -> Sequence[AudioFrame]:
        # Positions are counted in samples: jumps in damaged time stamps must not reach the filter.
        frame.pts = None
        shape = (frame.format.name, frame.layout.name, frame.sample_rate)
        if shape == self._shape and self._graph is not None:
            return self._graph.push(self._mixed(frame) if self._own_mix else frame)
        before = self.flush()
        self._shape, self._own_mix = shape, False
        try:
            self._graph = _Graph(frame, self._rate_hz)
            return [*before, *self._graph.push(frame), *self._graph.pull()]
        except av.FFmpegError:
            # FFmpeg has no mixing rule for this number of channels.
            self._own_mix = True
            mixed = self._mixed(frame)
            self._graph = _Graph(mixed, self._rate_hz)
            return [*before, *self._graph.push(mixed)]

    def flush(self) -> Sequence[AudioFrame]:
        graph, self._graph = self._graph, None
        return graph.flush() if graph else ()

    def _mixed(self, frame: AudioFrame) -> AudioFrame:
        samples = frame.to_ndarray()
        if not frame.format.is_planar:
            samples = samples.reshape(-1, len(frame.layout.channels)).T
        scaled = samples.astype(np.float32)
        if frame.format.packed.name == "u8":
            scaled = (scaled - 128.0) / 128.0
        elif frame.format.packed.name in ("s16", "s32", "s64"):
            scaled /= 2.0 ** (8 * samples.itemsize - 1)
        mono = AudioFrame.from_ndarray(scaled.mean(axis=0, keepdims=True), format="flt", layout="mono")
        mono.sample_rate = frame.sample_rate
        return mono


class _Graph:
    """FFmpeg's resampler for frames of one shape. PyAV's own asks for output after each frame, which costs more time
    than decoding it; this one lets some frames gather first."""

    def __init__(self, like: AudioFrame, rate_hz: int) -> None:
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
        graph.set_audio_frame_size(CHUNK_S * rate_hz)
        self._graph = graph
        self._waiting = 0

    def push(self, frame: AudioFrame) -> Sequence[AudioFrame]:
        self._source.push(frame)
        self._waiting += frame.samples
        return self.pull() if self._waiting >= _SAMPLES_AT_ONCE else ()

    def pull(self) -> Sequence[AudioFrame]:
        self._waiting = 0
        ready: list[AudioFrame] = []
        with contextlib.suppress(av.BlockingIOError, av.EOFError):
            while True:
                frame = self._sink.pull()
                assert isinstance(frame, AudioFrame)
                ready.append(frame)
        return ready

    def flush(self) -> Sequence[AudioFrame]:
        self._source.push(None)
        return self.pull()


def _within_bounds(frame: AudioFrame) -> NDArray[np.float32]:
    samples: NDArray[np.float32] = np.frombuffer(memoryview(frame.planes[0]), np.float32)[: frame.samples]
    # Infinity is no loud sample either: both come from damage, and neither may reach the models.
    if not np.isfinite(samples).all():
        samples = np.nan_to_num(samples, nan=0.0, posinf=0.0, neginf=0.0)
    return samples.clip(-1.0, 1.0)


def _silence_like(frame: AudioFrame) -> AudioFrame:
    silence = AudioFrame(format=frame.format.name, layout=frame.layout.name, samples=frame.samples)
    silence.sample_rate = frame.sample_rate
    for plane in silence.planes:
        plane.update(bytes([0x80 if frame.format.packed.name == "u8" else 0]) * plane.buffer_size)
    return silence
