"""One recording → the features of its utterances, as a stream; afterwards what else is known about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from s2i_core.audio.decode import AudioInfo, Decoder, decode
from s2i_core.audio.features import LogMel
from s2i_core.audio.isolated import Decode, IsolatedDecoder
from s2i_core.audio.vad import level_dbfs, segment
from s2i_core.config import AudioConfig
from s2i_core.models.contracts import Frontend
from s2i_core.records import Gap, Segment


@dataclass(frozen=True)
class Utterance:
    """A stretch of speech, ready for the speech encoder.

    `features`: float16, as the frontend of the encoder gives them. `level_dbfs`: root mean square of the speech.
    """

    start_s: float
    end_s: float
    features: NDArray[np.float16]
    level_dbfs: float

    @property
    def duration_s(self) -> float:
        """Length of the speech in seconds, without the padding of the features."""
        return self.end_s - self.start_s


@dataclass(frozen=True)
class Heard:
    """What is known about a recording once it was listened to up to its end."""

    info: AudioInfo
    sha256: str
    """Digest of the object's bytes, in hexadecimal."""
    size_bytes: int
    duration_s: float
    speech_s: float
    gaps: list[Gap]
    """All stretches without speech, in order; together with the utterances they cover the recording."""
    damage: str | None
    """What was wrong with a file that was usable nevertheless, and where."""
    tracks: str | None = None
    """What each of several audio tracks holds, and which were used; None if there is only one."""


class Listening:
    """Iterate once for the `Utterance`s, in order and without overlap; then `result` is known."""

    def __init__(self, decoder: Decoder | IsolatedDecoder, config: AudioConfig, frontend: Frontend) -> None:
        self.info = decoder.info
        self._decoder = decoder
        self._config = config
        self._frontend = frontend
        self._result: Heard | None = None

    def __iter__(self) -> Iterator[Utterance]:
        gaps: list[Gap] = []
        speech_s = 0.0
        for part in segment(self._decoder, self._config):
            if isinstance(part, Segment):
                speech_s += part.duration_s
                yield Utterance(part.start_s, part.end_s, self._frontend(part.waveform), level_dbfs(part.waveform))
            else:
                gaps.append(part)
        contents = self._decoder.contents()
        self._result = Heard(
            info=self.info,
            sha256=contents.sha256,
            size_bytes=contents.size_bytes,
            duration_s=self._decoder.samples / self._config.sampling_rate_hz,
            speech_s=speech_s,
            gaps=gaps,
            damage=self._decoder.damage,
            tracks=self._decoder.tracks,
        )

    @property
    def result(self) -> Heard:
        """What is known about the whole recording.

        Raises:
            RuntimeError: the utterances were not taken to their end.
        """
        if self._result is None:
            raise RuntimeError("take all utterances before you ask for the result")
        return self._result


def listen(
    file: BinaryIO,
    name: str,
    config: AudioConfig,
    decode: Decode = decode,
    frontend: Frontend = LogMel(),  # noqa: B008 -- it has no state
) -> Listening:
    """Opens a recording and finds its speech.

    Args:
        file: seekable, read as the utterances are taken; stays open, and its owner closes it.
        name: URI or path, for messages.
        config: limits, thresholds and lengths.
        frontend: of the speech encoder that gets the features.
        decode: a decoder in this process, or `DecoderProcess.decode` for files that are not trusted.

    Raises (here, or while the utterances are taken):
        DecodeError: the bytes are not audio that can be decoded.
        LimitExceeded: the recording is larger or longer than allowed, or takes too long.
        Exception: whatever the file's own `read` raised, unchanged.
    """
    return Listening(decode(file, name, config), config, frontend)
