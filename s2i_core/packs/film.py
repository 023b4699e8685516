"""The episode as a film: an MP4 whose picture changes with the sound.

It has one frame a picture, at a variable frame rate: what stands still is stored once. Every frame can be sought to.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import av
from av.audio.stream import AudioStream
from av.video.stream import VideoStream
from PIL import Image

from s2i_core.errors import DecodeError
from s2i_core.packs.episode import Picture

SIZE_PX = 1024
"""Longer side of the film: what platforms take for a film of good quality."""
_CLOCK = Fraction(1, 1000)
_COPIED = {"aac", "mp3", "mp3float"}
_BITS_PER_S = 64_000
_RATE_HZ = 44_100
_PAPER = (0, 0, 0)
_X264 = {"preset": "veryfast", "tune": "stillimage", "crf": "26", "threads": "2", "bf": "0", "forced-idr": "1"}


def film(
    source: BinaryIO,
    target: Path,
    pictures: Sequence[Picture],
    duration_s: float,
    size_px: int = SIZE_PX,
    name: str = "the recording",
) -> None:
    """Write an MP4 (H.264, with the recording's own sound where it is AAC or MP3, else AAC) that any player plays.

    Args:
        source: the recording; seekable.
        target: the file to write.
        pictures: in order of time; one stays until the next begins. The first is seen from the start.
        duration_s: of the recording.
        size_px: longer side of the film; pictures of other proportions stand on black.
        name: of the recording, for messages.

    Raises:
        DecodeError: there is no picture, or the recording can't be read.
    """
    if not pictures:
        raise DecodeError(name, "it has no picture", "Illustrate it first.")
    source.seek(0)
    try:
        with (
            av.open(source, "r") as given,
            # What a player needs first comes first.
            av.open(str(target), "w", format="mp4", options={"movflags": "+faststart"}) as made,
        ):
            seen = _video(made, pictures[0], size_px)
            frames = _frames(pictures, duration_s, seen)
            heard = given.streams.audio[0]
            copied = heard.codec_context.name in _COPIED
            sound = _copied(given, made, heard) if copied else _encoded(given, made, heard)
            _interleave(made, seen, frames, sound)
    except (av.FFmpegError, ValueError) as error:
        raise DecodeError(name, f"no film can be made of it: {error}", "Check that it can be played.") from error


def _video(made: av.container.OutputContainer, first: Picture, size_px: int) -> VideoStream:
    longer = max(first.width_px, first.height_px)
    stream: VideoStream = made.add_stream("libx264", rate=1000, options=_X264)
    stream.width = max(2, round(first.width_px * size_px / longer) // 2 * 2)
    stream.height = max(2, round(first.height_px * size_px / longer) // 2 * 2)
    stream.pix_fmt = "yuv420p"
    stream.codec_context.time_base = _CLOCK
    stream.codec_context.gop_size = 1
    return stream


def _frames(pictures: Sequence[Picture], duration_s: float, stream: VideoStream) -> Iterator[av.VideoFrame]:
    """The frames with their times; the last is shown once more at the end, which gives the film its length."""
    last = pictures[-1]
    starts = [0.0, *(picture.start_s for picture in pictures[1:])]
    times = [*zip(starts, pictures, strict=True)]
    if duration_s - starts[-1] > 0.04:
        times.append((duration_s - 0.02, last))
    before = -1
    for start_s, picture in times:
        at = max(before + 1, round(start_s / _CLOCK))
        frame = av.VideoFrame.from_image(_fitted(picture, stream.width, stream.height))
        frame.pts, frame.time_base = at, _CLOCK
        before = at
        yield frame


def _fitted(picture: Picture, width: int, height: int) -> Image.Image:
    with Image.open(picture.file) as opened:
        image = opened.convert("RGB")
    scale = min(width / image.width, height / image.height)
    size = (round(image.width * scale), round(image.height * scale))
    image = image.resize(size, Image.Resampling.LANCZOS)
    if size == (width, height):
        return image
    framed = Image.new("RGB", (width, height), _PAPER)
    framed.paste(image, ((width - size[0]) // 2, (height - size[1]) // 2))
    return framed


def _copied(
    given: av.container.InputContainer, made: av.container.OutputContainer, heard: AudioStream
) -> Iterator[av.Packet]:
    track = made.add_stream_from_template(heard)
    return _renamed(given, heard, track)


def _renamed(given: av.container.InputContainer, heard: AudioStream, track: AudioStream) -> Iterator[av.Packet]:
    for packet in given.demux(heard):
        if packet.dts is not None:
            packet.stream = track
            yield packet


def _encoded(
    given: av.container.InputContainer, made: av.container.OutputContainer, heard: AudioStream
) -> Iterator[av.Packet]:
    track = made.add_stream("aac", rate=_RATE_HZ, layout="mono", options={"aac_coder": "fast"})
    track.bit_rate = _BITS_PER_S
    return _as_aac(given, heard, track)


def _as_aac(given: av.container.InputContainer, heard: AudioStream, track: AudioStream) -> Iterator[av.Packet]:
    resampler = av.AudioResampler("fltp", "mono", _RATE_HZ, frame_size=1024)
    position = 0
    for frame in given.decode(heard):
        for piece in resampler.resample(frame):
            piece.pts, piece.time_base = position, Fraction(1, _RATE_HZ)
            position += piece.samples
            yield from track.encode(piece)
    for piece in resampler.resample(None):
        piece.pts, piece.time_base = position, Fraction(1, _RATE_HZ)
        position += piece.samples
        yield from track.encode(piece)
    yield from track.encode(None)


def _interleave(
    made: av.container.OutputContainer,
    seen: VideoStream,
    frames: Iterator[av.VideoFrame],
    sound: Iterator[av.Packet],
) -> None:
    """Write frames and sound in the order of their times."""
    following = next(frames, None)
    for packet in sound:
        assert packet.time_base is not None
        at_s = float((packet.pts or 0) * packet.time_base)
        while following is not None and float((following.pts or 0) * _CLOCK) <= at_s:
            made.mux(seen.encode(following))
            following = next(frames, None)
        made.mux(packet)
    while following is not None:
        made.mux(seen.encode(following))
        following = next(frames, None)
    made.mux(seen.encode(None))
