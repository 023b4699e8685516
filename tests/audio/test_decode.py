"""Every kind of file that an archive may hold, the broken ones too."""

from __future__ import annotations

import hashlib
import io
import tracemalloc

import numpy as np
import pytest
from audio_files import encoded, float_wav, tone, wav

from s2i_core.audio.decode import AudioInfo, Decoder, decode
from s2i_core.config import AudioConfig
from s2i_core.errors import DecodeError, LimitExceeded, ObjectGone

RATE = 16_000


def opened(data: bytes, **settings: float) -> Decoder:
    return decode(io.BytesIO(data), "s3://archive/talk", AudioConfig(**settings))


def decoded(data: bytes, **settings: float) -> np.ndarray:
    return np.concatenate(list(opened(data, **settings)))


def assert_is_the_tone(audio: np.ndarray, seconds: float, amplitude: float = 0.3) -> None:
    assert audio.dtype == np.float32
    assert len(audio) / RATE == pytest.approx(seconds, abs=0.1)
    middle = audio[len(audio) // 4 : len(audio) // 2]
    assert np.sqrt(2 * np.mean(middle**2)) == pytest.approx(amplitude, rel=0.1)
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    assert np.argmax(spectrum) * RATE / len(middle) == pytest.approx(300, abs=3)


@pytest.mark.parametrize(
    ("channels", "rate_hz"),
    [(1, 8_000), (2, 11_025), (2, 44_100), (7, 48_000), (1, 384_000), (9, 48_000), (32, 16_000)],
)
def test_any_channel_count_and_rate(channels: int, rate_hz: int) -> None:
    data = wav(tone(3, rate_hz, channels), rate_hz)
    assert opened(data).info == AudioInfo("pcm_s16le", channels, rate_hz)
    assert_is_the_tone(decoded(data), 3)


@pytest.mark.parametrize(
    ("container", "codec", "name", "channels", "rate_hz"),
    [
        ("mp3", "libmp3lame", "mp3", 2, 44_100),
        ("mp4", "aac", "aac", 2, 48_000),
        ("mp4", "aac", "aac", 6, 48_000),
        ("adts", "aac", "aac", 1, 24_000),
        ("ogg", "libopus", "opus", 1, 48_000),
        ("flac", "flac", "flac", 1, 16_000),
    ],
)
def test_codecs(container: str, codec: str, name: str, channels: int, rate_hz: int) -> None:
    data = encoded(tone(3, rate_hz, channels), rate_hz, container, codec)
    assert opened(data).info == AudioInfo(name, channels, rate_hz)
    assert_is_the_tone(decoded(data), 3)


@pytest.mark.parametrize(("container", "codec"), [("matroska", "libopus"), ("mp4", "aac")])
def test_audio_of_a_video(container: str, codec: str) -> None:
    assert_is_the_tone(decoded(encoded(tone(3, 48_000), 48_000, container, codec, video=True)), 3)


def test_values_that_are_no_numbers_become_silence() -> None:
    samples = tone(3, RATE)[:, 0]
    samples[100:200], samples[2_000], samples[2_001] = np.nan, np.inf, -np.inf
    assert_is_the_tone(decoded(float_wav(samples, RATE)), 3)
    nothing = decoded(float_wav(np.full(RATE, np.nan), RATE))
    assert len(nothing) == RATE
    assert not nothing.any()


def test_values_out_of_range_are_clipped() -> None:
    assert np.abs(decoded(float_wav(1e20 * tone(1, RATE)[:, 0], RATE))).max() == 1.0


def _cut(data: bytes, share: float) -> bytes:
    return data[: int(len(data) * share)]


@pytest.mark.parametrize(
    ("data", "seconds"),
    [
        (_cut(encoded(tone(4, 44_100), 44_100, "mp3", "libmp3lame"), 0.5), 2.0),
        (_cut(encoded(tone(4, 48_000), 48_000, "mp4", "aac", options={"movflags": "faststart"}), 0.6), 2.4),
        (_cut(wav(tone(4, RATE), RATE), 0.5), 2.0),
    ],
    ids=["mp3", "m4a with its index in front", "wav"],
)
def test_what_is_left_of_a_truncated_file(data: bytes, seconds: float) -> None:
    audio = decoded(data)
    assert len(audio) / RATE == pytest.approx(seconds, abs=0.4)
    assert_is_the_tone(audio, len(audio) / RATE)


def test_small_damage_is_bridged_and_told() -> None:
    data = bytearray(encoded(tone(6, 44_100), 44_100, "mp4", "aac", options={"movflags": "faststart"}))
    data[len(data) // 2 : len(data) // 2 + 500] = bytes(500)
    decoder = opened(bytes(data))
    audio = np.concatenate(list(decoder))
    assert len(audio) / RATE == pytest.approx(6, abs=0.1)
    assert decoder.damage is not None
    assert "cannot be decoded" in decoder.damage


def test_great_damage_is_an_error() -> None:
    data = bytearray(encoded(tone(6, 44_100), 44_100, "mp4", "aac", options={"movflags": "faststart"}))
    half = slice(len(data) // 2, len(data))
    data[half] = np.random.default_rng(0).bytes(half.stop - half.start)
    with pytest.raises(DecodeError, match=r"damaged: \d+ of \d+ packets"):
        decoded(bytes(data))


PLAYLIST = b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:9,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"R", "not in an audio or video format"),
        (b"Meeting notes\n" * 1000, "not in an audio or video format"),
        (np.random.default_rng(0).bytes(1 << 18), "not in an audio or video format"),
        (bytes(1 << 18), "not in an audio or video format"),
        (PLAYLIST, "not in an audio or video format"),
        (wav(tone(0, RATE), RATE), "no samples"),
        (wav(tone(1, RATE), RATE)[:30], "starts as WAV does"),
        (_cut(encoded(tone(2, 48_000), 48_000, "mp4", "aac"), 0.6), "index .moov. is missing"),
        (encoded(tone(2, RATE), RATE, "flac", "flac")[:60], "starts as FLAC does"),
    ],
    ids=["empty", "one byte", "text", "random", "zeros", "playlist", "no samples", "header", "no moov", "no frames"],
)
def test_what_is_no_audio_is_named_with_a_remedy(data: bytes, reason: str) -> None:
    with pytest.raises(DecodeError, match=reason) as caught:
        decoded(data)
    assert caught.value.subject == "s3://archive/talk"
    assert caught.value.remedy
    assert not caught.value.transient


def test_a_video_without_sound() -> None:
    import av

    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as output:
        picture = output.add_stream("mpeg4", rate=10)
        picture.width = picture.height = 64
        picture.pix_fmt = "yuv420p"
        output.mux(picture.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")))
        output.mux(picture.encode(None))
    with pytest.raises(DecodeError, match="no audio track"):
        opened(buffer.getvalue())


def test_limits() -> None:
    data = bytearray(wav(tone(5, RATE), RATE))
    # A recorder that streams leaves the length at its greatest: the claim alone is no reason to refuse.
    data[4:8] = data[40:44] = b"\xff\xff\xff\xff"
    assert_is_the_tone(decoded(bytes(data), max_duration_s=6), 5)
    with pytest.raises(LimitExceeded, match="more than 3 s of audio"):
        decoded(bytes(data), max_duration_s=3)
    with pytest.raises(LimitExceeded, match="more than the limit of 1000"):
        opened(bytes(data), max_size_bytes=1000)
    with pytest.raises(LimitExceeded, match="longer than 1e-06 s"):
        decoded(bytes(data), max_decode_s=1e-6)


@pytest.mark.parametrize("rate_hz", [1, 1_999, 2_000_000_000])
def test_a_rate_that_cannot_be_is_refused(rate_hz: int) -> None:
    # Taken at its word, the first would be hours of audio, and the last needs a filter of gigabytes.
    data = bytearray(wav(tone(5, RATE), RATE))
    data[24:28] = rate_hz.to_bytes(4, "little")
    with pytest.raises(DecodeError, match=f"a sampling rate of {rate_hz} Hz"):
        opened(bytes(data))


def test_a_small_file_with_hours_in_it_is_stopped() -> None:
    def silence(seconds: int) -> bytes:
        return encoded(np.zeros((seconds * 2_000, 1), np.float32), 2_000, "wv", "wavpack")

    assert len(silence(5000)) < 10_000
    with pytest.raises(LimitExceeded, match="unpack to more than"):
        decoded(silence(5000))
    assert len(decoded(silence(500))) == 500 * RATE


def test_only_own_time_counts_against_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    clock_s = [0.0]
    monkeypatch.setattr("s2i_core.audio.source.time.monotonic", lambda: clock_s[0])
    for _ in opened(wav(tone(10, RATE), RATE), max_decode_s=5):
        clock_s[0] += 60  # a slow consumer


class Vanishing(io.BytesIO):
    """An object that is deleted while it is read."""

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell() > 100_000:
            raise ObjectGone("s3://archive/talk", "it was deleted while it was read", "Run again.")
        return super().read(size)


def test_errors_of_the_store_pass_unchanged() -> None:
    with pytest.raises(ObjectGone):
        for _ in decode(Vanishing(wav(tone(30, RATE), RATE)), "s3://archive/talk", AudioConfig()):
            pass


def test_bytes_are_hashed_whatever_the_demuxer_reads() -> None:
    # The index of this file is at its end, so that the demuxer jumps.
    data = encoded(tone(20, 48_000), 48_000, "mp4", "aac", video=True)
    decoder = opened(data)
    assert sum(len(chunk) for chunk in decoder) == decoder.samples
    contents = decoder.source.contents()
    assert contents.sha256 == hashlib.sha256(data).hexdigest()
    assert contents.size_bytes == len(data)


def test_memory_does_not_grow_with_the_length() -> None:
    data = wav(tone(600, 8_000), 8_000)
    tracemalloc.start()
    for chunk in opened(data):
        assert len(chunk) <= 2 * RATE
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4_000_000
