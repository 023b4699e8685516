"""Any container and codec that FFmpeg reads → mono float32 at 16 kHz, as a stream in bounded memory."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import BinaryIO, Self

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition
from numpy.typing import NDArray

from s2i_core.audio import mp4, timeline, tracks
from s2i_core.audio.links import Link, first_link, next_link
from s2i_core.audio.mix import MonoMixer
from s2i_core.audio.sniff import SNIFF_BYTES, format_of
from s2i_core.audio.source import AudioSource, Contents
from s2i_core.audio.timeline import Timeline
from s2i_core.audio.vad import SAMPLING_RATE_HZ, WINDOW, SpeechProbabilities
from s2i_core.config import AudioConfig
from s2i_core.errors import DecodeError, LimitExceeded

CHUNK_S = 2
"""Length of the chunks that a `Decoder` yields; the last may be shorter."""

MIN_SALVAGED_S = 1.0
FREE_S = 600
MIN_BITS_PER_S = 50
"""Beyond `FREE_S`, a file with fewer bits than this per second of its audio is refused. Digital silence takes 1,500
bits per second in FLAC, 1,800 in Opus, and 55 in WavPack at 8 kHz."""
SAMPLING_RATES_HZ = (2_000, 1_000_000)
"""Plausible rates: outside them a header is damaged, and the resampler's filter would exhaust memory."""
MAX_DAMAGED_SHARE = 0.1

# Only formats that hold their own data: a playlist (HLS, DASH, concat) could make FFmpeg open other files or hosts.
_FORMATS = (
    "aac,ac3,aiff,amr,amrnb,ape,asf,au,avi,caf,dsf,eac3,flac,flv,matroska,mov,mp3,mpeg,mpegts,ogg,tta,voc,w64,wav,wv"
)
_LATE = {"mpegts", "mpeg"}
"""Demuxers that find a track only once its sound begins, which may be long after the picture does."""
_LOOK_FAR = {"analyzeduration": str(3600 * 1_000_000), "probesize": str(64 << 20)}
_MAX_FRAME_SAMPLES = 1 << 22
_LARGE_BYTES = 32 << 20
_MOST_SKEW_S = 60
"""How long tracks that sound together wait for one that delivers nothing."""
_SPEECH = 0.5
_MOST_REMARKS = 8
_CLAIMING = {"mov", "matroska", "flac", "wav", "aiff", "w64"}
"""Demuxers that read the length from a header."""
_CLAIM_S, _CLAIM_SHARE = 1.0, 0.02
"""A smaller difference is no loss: lengths are rounded, and codecs have delays."""
#: The remedy for a file that cannot be read.
UNREADABLE = "Check the file with a player; upload it again, or keep it out of the archive."


@dataclass(frozen=True)
class AudioInfo:
    """What the container says of its audio track."""

    codec: str
    channels: int
    sampling_rate_hz: int


class Decoder:
    """Iterate once: float32 `(T,)` chunks of 2 s, mono, 16 kHz, finite, within -1 to 1; time is counted in samples.

    Channels and tracks are mixed so that no speech is lost (`mix.py`, `tracks.py`); recordings that were put together
    follow each other (`links.py`); silence stands where the container's clock says so (`timeline.py`).

    Damage is treated as players do: a packet that cannot be decoded becomes silence, and where the data end early, so
    does the audio; `damage` says so. It is an error if less than one second could be saved, or if more than a tenth
    of the packets is damaged.

    Iterating raises:
        DecodeError: no audio, or too damaged.
        LimitExceeded: more than `max_duration_s` of audio (decoded, whatever the header claims), more than so
            small a file can hold, or more than `max_decode_s` of work.
        Exception: whatever the file's own `read` raised, unchanged.
    """

    def __init__(
        self, source: AudioSource, container: InputContainer, link: Link | None, edits: bool, config: AudioConfig
    ) -> None:
        self.source = source
        self.samples = 0
        """Samples yielded so far, at 16 kHz."""
        self.damage: str | None = None
        """What was wrong with a file that was usable nevertheless, and where; complete after the last chunk."""
        self.tracks: str | None = None
        """What each of several audio tracks holds, and which were used; None if there is only one."""
        self._container = container
        self._link = link
        self._edits = edits
        self._config = config
        self._rate_hz = config.sampling_rate_hz
        self._silent = 0
        """Samples of silence that were put in for gaps in the time stamps."""
        self._packets = self._damaged = 0
        self._decoded_s = 0.0
        self._first_damage_s = 0.0
        self._ends: list[str] = []
        self._remarks: list[str] = []
        self._streams = self._chosen_streams()
        context = self._streams[0].codec_context
        self.info = AudioInfo(
            codec=context.codec.canonical_name, channels=context.channels, sampling_rate_hz=context.sample_rate
        )

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        self.source.resume_clock()
        try:
            for chunk in _chunked(self._mono(), CHUNK_S * self._rate_hz):
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
        sound_s = length_s - self._silent / self._rate_hz
        if sound_s > FREE_S + 8 * self.source.size_bytes / MIN_BITS_PER_S:
            raise LimitExceeded(
                self.source.name,
                f"its {self.source.size_bytes} bytes unpack to more than {int(sound_s)} s of audio, as no speech does",
                "Keep it out of the archive: it is damaged, or made to exhaust its reader.",
            )

    # ------------------------------------------------------------------------------------------------------- tracks

    def _chosen_streams(self) -> list[AudioStream]:
        streams = _audio_streams(self._container, self.source.name)
        if len(streams) == 1:
            return streams
        found = self._listened_to(streams)
        taken = tracks.chosen(found, self._config.tracks)
        note = tracks.note(found, taken)
        self.tracks = note if self.tracks in (None, note) else f"{self.tracks}; then {note}"
        # Opened again: in some formats a demuxer that has reached its end does not behave like a new one.
        self._container.close()
        self._container = _opened(self.source, self._link, self._edits, self._head())
        wanted = {track.index for track in taken}
        return [stream for stream in _audio_streams(self._container, self.source.name) if stream.index in wanted]

    def _listened_to(self, streams: Sequence[AudioStream]) -> list[tracks.Track]:
        """Listens to all of these tracks to their ends."""
        voices = {stream.index: self._voice(stream, SAMPLING_RATE_HZ) for stream in streams}
        ears = {stream.index: _Ear() for stream in streams}
        demuxed = self._container.demux(*streams)
        with contextlib.suppress(av.FFmpegError):
            for packet in demuxed:
                voice = voices[packet.stream.index]
                with contextlib.suppress(av.FFmpegError):
                    for frame in packet.decode():
                        if isinstance(frame, AudioFrame) and _is_plausible(frame.sample_rate):
                            for part in voice.push(frame):
                                ears[packet.stream.index].hear(part)
                self.source.check_time()
                if max(voice.timeline.position_s for voice in voices.values()) > self._config.max_duration_s:
                    break
            for index, voice in voices.items():
                for part in voice.flush():
                    ears[index].hear(part)
        self._reraise_read_error()
        found = []
        for number, stream in enumerate(streams, 1):
            language, title = tracks.facts(stream.metadata)
            flags = [flag.name for flag in Disposition if flag.name and flag in stream.disposition]
            heard = ears[stream.index]
            found.append(
                tracks.Track(
                    number=number,
                    index=stream.index,
                    language=language,
                    title=title,
                    default=Disposition.default in stream.disposition,
                    beside=tracks.is_beside(title, flags),
                    speech_s=heard.speech_s,
                    spoken=heard.spoken(),
                )
            )
        return found

    # ------------------------------------------------------------------------------------------------------ samples

    def _mono(self) -> Iterator[NDArray[np.float32]]:
        try:
            while True:
                yield from self._of_streams()
                if not self._open_next():
                    break
        except av.FFmpegError as error:
            _reraise_memory_error(error)
            raise DecodeError(
                self.source.name,
                f"its audio cannot be converted to mono ({error.strerror})",
                "Convert it to FLAC or WAV.",
            ) from error
        self._sum_up()

    def _open_next(self) -> bool:
        """Opens the next of several recordings in the file; False where there is none."""
        while self._link is not None:
            self._link = next_link(self.source, self._link)
            self._reraise_read_error()
            if self._link is None:
                return False
            self._container.close()
            try:
                self._container = _opened(self.source, self._link, self._edits, self._head())
                self._streams = self._chosen_streams()
            except DecodeError as error:
                self._ends.append(f"what follows after {self._decoded_s:.1f} s cannot be read ({error.reason})")
                continue
            return True
        return False

    def _head(self) -> bytes:
        self.source.seek(0)
        return self.source.read(SNIFF_BYTES)

    def _of_streams(self) -> Iterator[NDArray[np.float32]]:
        """The sound of the open container."""
        voices = {stream.index: self._voice(stream, self._rate_hz) for stream in self._streams}
        mixed = _Together(list(voices), self._rate_hz)
        alone = voices[self._streams[0].index] if len(voices) == 1 else None
        demuxed = self._container.demux(*self._streams)
        while (packet := self._next(demuxed)) is not None:
            voice = alone or voices[packet.stream.index]
            frames = self._frames(packet)
            if frames is None:
                for part in voice.lose():
                    yield from mixed.add(packet.stream.index, part)
                continue
            for frame in frames:
                for part in voice.push(frame):
                    yield from mixed.add(packet.stream.index, part)
        for index, voice in voices.items():
            for part in voice.flush():
                yield from mixed.add(index, part)
        yield from mixed.rest()
        for voice in voices.values():
            self._silent += voice.silent
            self._remarks += [
                f"its time stamps jump by {jump_s:.1f} s after {at_s:.1f} s, which is left out"
                for at_s, jump_s in voice.timeline.left_out[:_MOST_REMARKS]
            ]
        self._compare_with_claim(voices)

    def _frames(self, packet: av.Packet) -> Sequence[AudioFrame] | None:
        """The frames of a packet; None where it is damaged."""
        self._packets += packet.size > 0
        try:
            frames = packet.decode()
        except av.FFmpegError as error:
            self._reraise_read_error()
            _reraise_memory_error(error)
            self._count_damaged()
            return None
        whole: list[AudioFrame] = []
        for frame in frames:
            assert isinstance(frame, AudioFrame)
            samples, rate_hz = frame.samples, frame.sample_rate
            if not _is_plausible(rate_hz):
                self._count_damaged()
            elif samples:
                self._decoded_s += samples / rate_hz
                whole.append(frame)
        return whole

    def _count_damaged(self) -> None:
        if not self._damaged:
            self._first_damage_s = self._decoded_s
        self._damaged += 1

    def _voice(self, stream: AudioStream, rate_hz: int) -> _Voice:
        container = self._container
        start_s, claimed_s = (
            None if value is None else value / av.time_base for value in (container.start_time, container.duration)
        )
        line = timeline.begin(container.format.name, start_s, claimed_s, self._config.max_duration_s)
        if container.format.name == "ogg":
            line.origin_s = None if stream.start_time is None else float(stream.start_time * (stream.time_base or 0))
        return _Voice(line, rate_hz)

    def _next(self, demuxed: Iterator[av.Packet]) -> av.Packet | None:
        try:
            packet = next(demuxed, None)
        except av.FFmpegError as error:
            self._reraise_read_error()
            _reraise_memory_error(error)
            # FFmpeg takes every end of a WavPack recording for damage, except at the end of the whole file.
            if not (self._container.format.name == "wv" and self._link and self._link.next_start == self._link.at):
                self._ends.append(f"the data end early ({error.strerror}), after {self._decoded_s:.1f} s")
            return None
        if self.source.error is not None:
            raise self.source.error
        return packet

    def _reraise_read_error(self) -> None:
        if self.source.error is not None:
            raise self.source.error

    # ------------------------------------------------------------------------------------------------------- damage

    def _compare_with_claim(self, voices: Mapping[int, _Voice]) -> None:
        """Some formats say how long they are: a decoder that stops long before that has lost something."""
        kind = self._container.format.name.partition(",")[0]
        # A length that FFmpeg derives from the size of the file is that of all recordings in it.
        of_size = kind in ("wav", "w64") and self._link is not None
        # Matroska only states the length of the longest track.
        of_another = kind == "matroska" and len(self._container.streams) > 1
        if kind not in _CLAIMING or self._ends or of_size or of_another:
            return
        for stream in self._streams:
            if stream.duration is not None and stream.time_base is not None:
                claimed_s = float(stream.duration * stream.time_base)
            elif kind == "matroska" and self._container.duration is not None:
                claimed_s = self._container.duration / av.time_base
            else:
                continue
            heard_s = voices[stream.index].timeline.position_s
            if heard_s < claimed_s - max(_CLAIM_S, _CLAIM_SHARE * claimed_s):
                self._remarks.append(f"it ends after {heard_s:.1f} s, though its header says {claimed_s:.1f} s")

    def _sum_up(self) -> None:
        damage = list(self._ends)
        if self._damaged:
            damage.insert(
                0,
                f"{self._damaged} of {self._packets} packets cannot be decoded, the first after "
                f"{self._first_damage_s:.1f} s",
            )
        if not self._decoded_s and not damage:
            raise DecodeError(self.source.name, "its audio track holds no samples", UNREADABLE)
        if damage and (self._decoded_s < MIN_SALVAGED_S or self._damaged > MAX_DAMAGED_SHARE * self._packets):
            raise DecodeError(self.source.name, f"the audio is damaged: {'; '.join(damage)}", UNREADABLE)
        self.damage = "; ".join([*damage, *self._remarks][:_MOST_REMARKS]) or None


class _Voice:
    """One track: its frames, mixed to mono and put on its clock."""

    def __init__(self, timeline: Timeline, rate_hz: int) -> None:
        self.timeline = timeline
        self.silent = 0
        """Samples of silence that were put in for gaps."""
        self._rate_hz = rate_hz
        self._mixer = MonoMixer(rate_hz)
        self._given = 0
        self._last_s: float | None = None

    def push(self, frame: AudioFrame) -> Iterable[NDArray[np.float32]]:
        """The samples that are ready after a frame; take them before pushing the next one."""
        self._last_s = last_s = frame.samples / frame.sample_rate
        line = self.timeline
        if line.origin_s is None:
            line.position_s += last_s
        elif line.gap_before(frame.time, last_s):
            return self._after_gap(frame)
        ready = self._mixer.push(frame)
        for part in ready:
            self._given += len(part)
        return ready

    def _after_gap(self, frame: AudioFrame) -> Iterator[NDArray[np.float32]]:
        before = self._given
        yield from self._silence_until(self.timeline.position_s - frame.samples / frame.sample_rate)
        self.silent += self._given - before
        for part in self._mixer.push(frame):
            self._given += len(part)
            yield part

    def lose(self) -> Iterator[NDArray[np.float32]]:
        """A packet that cannot be decoded is silence, as long as the one before."""
        if self._last_s is not None:
            self.timeline.gap_before(None, self._last_s)
            yield from self._silence_until(self.timeline.position_s)

    def flush(self) -> Iterator[NDArray[np.float32]]:
        for part in self._mixer.flush():
            self._given += len(part)
            yield part

    def _silence_until(self, until_s: float) -> Iterator[NDArray[np.float32]]:
        yield from self.flush()
        until = round(until_s * self._rate_hz)
        while self._given < until:
            some = np.zeros(min(CHUNK_S * self._rate_hz, until - self._given), np.float32)
            self._given += len(some)
            yield some


class _Together:
    """Mixes tracks that sound together; a single one passes unchanged."""

    def __init__(self, indices: Sequence[int], rate_hz: int) -> None:
        self._waiting: dict[int, NDArray[np.float32]] = {index: np.zeros(0, np.float32) for index in indices}
        self._late = dict.fromkeys(indices, 0)
        """Samples of a track that are still to come, and for which the others did not wait."""
        self._step = CHUNK_S * rate_hz
        self._most = _MOST_SKEW_S * rate_hz

    def add(self, index: int, part: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
        if len(self._waiting) == 1:
            yield part
            return
        late = min(self._late[index], len(part))
        self._late[index] -= late
        self._waiting[index] = np.concatenate([self._waiting[index], part[late:]])
        lengths = [len(samples) - self._late[each] for each, samples in self._waiting.items()]
        ready = max(min(lengths), max(lengths) - self._most)
        if ready >= self._step:
            yield self._mix(ready)

    def rest(self) -> Iterator[NDArray[np.float32]]:
        if length := max(len(samples) for samples in self._waiting.values()):
            yield self._mix(length)

    def _mix(self, length: int) -> NDArray[np.float32]:
        mixed = np.zeros(length, np.float32)
        for index, samples in self._waiting.items():
            there = samples[:length]
            mixed[: len(there)] += there
            self._late[index] += length - len(there)
            self._waiting[index] = samples[length:]
        # Voices that speak in turn keep nearly all of their level, and those that overlap are hardly clipped.
        return np.asarray((mixed / np.sqrt(len(self._waiting))).clip(-1.0, 1.0), np.float32)


class _Ear:
    """Finds where somebody speaks on a track."""

    def __init__(self) -> None:
        self.speech_s = 0.0
        self._probabilities = SpeechProbabilities()
        self._rest = np.zeros(0, np.float32)
        self._heard: list[NDArray[np.bool_]] = []

    def hear(self, part: NDArray[np.float32]) -> None:
        samples = np.concatenate([self._rest, part])
        whole = len(samples) // WINDOW * WINDOW
        self._rest = samples[whole:]
        speech = self._probabilities(samples[:whole]) >= _SPEECH
        self.speech_s += float(speech.sum()) * WINDOW / SAMPLING_RATE_HZ
        self._heard.append(speech)

    def spoken(self) -> NDArray[np.bool_]:
        """Whether somebody speaks, for each half second."""
        heard = np.concatenate([*self._heard, np.zeros(0, np.bool_)])
        return np.asarray(np.pad(heard, (0, -len(heard) % 16)).reshape(-1, 16).any(axis=1))


def decode(file: BinaryIO, name: str, config: AudioConfig) -> Decoder:
    """Opens a recording, or the sound of a video; if there are several audio tracks, they are listened to now.

    Args:
        file: seekable, read in pieces; stays open.
        name: URI or path, for messages.
        config: rate and limits.

    Raises:
        DecodeError: the file is empty, not audio, cut off before its index, or has no audio track.
        LimitExceeded: it is larger than `max_size_bytes`.
        Exception: whatever the file's own `read` raised, unchanged.
    """
    source = AudioSource(file, name, config)
    head = source.read(SNIFF_BYTES)
    # For large files only: finding out takes some reads, and the index of a small file is small anyway.
    large = head[4:8] == b"ftyp" and source.size_bytes >= _LARGE_BYTES
    edits = not (large and mp4.plays_whole(source, source.size_bytes))
    link = first_link(source, head)
    try:
        container = _opened(source, link, edits, head)
        try:
            return Decoder(source, container, link, edits, config)
        except BaseException:
            container.close()
            raise
    finally:
        source.pause_clock()


def _opened(source: AudioSource, link: Link | None, edits: bool, head: bytes) -> InputContainer:
    options = {"format_whitelist": _FORMATS, "protocol_whitelist": "none"}
    if not edits:
        options["advanced_editlist"] = "0"
    file: AudioSource | Link = source if link is None else link
    # Tags in old encodings are not a reason to refuse the audio.
    how = {"metadata_errors": "replace"}
    try:
        file.seek(0)
        container: InputContainer = av.open(file, "r", options=options, **how)
        if container.format.name in _LATE and all(map(_why_unusable, container.streams.audio)):
            container.close()
            file.seek(0)
            container = av.open(file, "r", options=options | _LOOK_FAR, **how)
        return container
    except Exception as error:
        if source.error is not None:
            raise source.error from None
        if not isinstance(error, av.FFmpegError):
            raise
        _reraise_memory_error(error)
        raise DecodeError(source.name, _why_unreadable(head), UNREADABLE) from error


def _audio_streams(container: InputContainer, name: str) -> list[AudioStream]:
    """The audio tracks that can be decoded, set up for it; for Ogg only the best, as links have the others in turn."""
    best = container.streams.best("audio")
    if not isinstance(best, AudioStream):
        raise DecodeError(name, "it has no audio track", "Give a recording with sound, or keep it out of the archive.")
    usable = [stream for stream in container.streams.audio if _why_unusable(stream) is None]
    if not usable:
        why, remedy = _why_unusable(best) or ("", "")
        raise DecodeError(name, why, remedy)
    if container.format.name == "ogg":
        usable = [best] if best in usable else usable[:1]
    for stream in usable:
        stream.codec_context.thread_count = 1
        stream.codec_context.options = {"max_samples": str(_MAX_FRAME_SAMPLES)}
    return usable


def _why_unusable(stream: AudioStream) -> tuple[str, str] | None:
    """What is wrong with a track, and what to do; None where it can be decoded."""
    context = stream.codec_context
    if context is None:
        return "its audio is in a codec that FFmpeg cannot decode", "Convert it to FLAC or WAV."
    if not context.sample_rate or not context.channels:
        return "no audio can be found behind its header", UNREADABLE
    if not _is_plausible(context.sample_rate):
        return f"its header claims a sampling rate of {context.sample_rate} Hz", UNREADABLE
    return None


def _reraise_memory_error(error: av.FFmpegError) -> None:
    """Not the file's fault, or a fault that the memory limit stopped: either way the caller must know."""
    if isinstance(error, MemoryError):
        raise error


def _why_unreadable(head: bytes) -> str:
    kind = format_of(head)
    if kind is None:
        return "it is not in an audio or video format that can be read"
    if kind == "MP4":
        return "it starts as an MP4 or M4A file, but its index (moov) is missing or damaged: it was cut off"
    return f"it starts as {kind} does, but the rest is missing or damaged"


def _is_plausible(rate_hz: int) -> bool:
    return SAMPLING_RATES_HZ[0] <= rate_hz <= SAMPLING_RATES_HZ[1]


def _chunked(parts: Iterator[NDArray[np.float32]], length: int) -> Iterator[NDArray[np.float32]]:
    """The same samples in chunks of this length; the last may be shorter."""
    waiting: list[NDArray[np.float32]] = []
    count = 0
    for part in parts:
        if not waiting and len(part) == length:
            yield part
            continue
        waiting.append(part)
        count += len(part)
        if count >= length:
            joined = np.concatenate(waiting)
            whole = count // length * length
            yield from np.split(joined[:whole], whole // length)
            waiting, count = [joined[whole:]], count - whole
            if not count:
                waiting = []
    if count:
        yield np.concatenate(waiting)
