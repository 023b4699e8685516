"""Nothing that is said is lost: channels, tracks, recordings put together, and clocks that jump, each by `listen`."""

from __future__ import annotations

import functools
import hashlib
import io
from pathlib import Path

import numpy as np
import pytest
from audio_files import encoded, stamped, tone, wav

from s2i_core.audio.decode import decode
from s2i_core.audio.isolated import DecoderProcess
from s2i_core.audio.listen import Heard, listen
from s2i_core.audio.timeline import begin
from s2i_core.config import AudioConfig, DecoderConfig
from s2i_core.publish.audio import web_audio

SAMPLES = Path(__file__).parents[2] / "samples"
RATE = 16_000


@functools.cache
def speech(seconds: int = 8) -> np.ndarray:
    with (SAMPLES / "farm-morning.mp3").open("rb") as file:
        sound = np.concatenate(list(decode(file, "farm", AudioConfig())))
    return sound[round(9.8 * RATE) :][: seconds * RATE]


def heard(data: bytes, **settings: object) -> Heard:
    listening = listen(io.BytesIO(data), "s3://archive/talk", AudioConfig(**settings))
    utterances = list(listening)
    result = listening.result
    covered = sorted([(one.start_s, one.end_s) for one in (*utterances, *result.gaps)])
    assert covered[0][0] == 0
    assert covered[-1][1] == pytest.approx(result.duration_s)
    assert [start for start, _ in covered[1:]] == pytest.approx([end for _, end in covered[:-1]])
    return result


def samples(data: bytes, **settings: object) -> np.ndarray:
    return np.concatenate(list(decode(io.BytesIO(data), "x", AudioConfig(**settings))))


def delayed(sound: np.ndarray, count: int) -> np.ndarray:
    return np.concatenate([np.zeros(count, np.float32), sound[:-count]])


# ---------------------------------------------------------------------------------------------------------- channels

S = speech()
NOTHING = np.zeros_like(S)
HALF = np.where(np.arange(len(S)) < len(S) // 2, 1, -1)
NOISE = np.random.default_rng(0).normal(size=len(S)) * 0.3
HUM = 0.6 * np.sin(2 * np.pi * 50 * np.arange(len(S)) / RATE)

LAYOUTS = {
    "antiphase": [S, -S],
    "antiphase, 0.5 ms late": [S, -delayed(S, 8)],
    "antiphase, 5 ms late": [S, -delayed(S, 80)],
    "antiphase at first": [S, -HALF * S],
    "antiphase at last": [S, HALF * S],
    "left silent": [NOTHING, S],
    "noise on the right": [0.3 * S, NOISE],
    "hum on the left": [HUM, 0.1 * S],
    "quad, front against back": [S, NOTHING, -S, NOTHING],
    "5.0, centre": [NOTHING, NOTHING, S, NOTHING, NOTHING],
    "5.1, on the bass channel": [NOTHING, NOTHING, NOTHING, S, NOTHING, NOTHING],
    "7.1, in pairs": [S, -S] * 4,
    "7.1, quiet": [0.05 * S, *[NOTHING] * 7],
    "nine, as of ambisonics": [S, -0.6 * S, -0.6 * S, 0.1 * S, *[NOTHING] * 5],
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_no_channel_loses_its_speech(name: str) -> None:
    alone = heard(wav(S[:, None], RATE)).speech_s
    data = wav(np.stack(LAYOUTS[name], axis=1).clip(-1, 1), RATE)
    assert heard(data).speech_s == pytest.approx(alone, rel=0.1)
    # The sound of the page is the same.
    assert np.abs(samples(web_audio(io.BytesIO(data))[0])).max() > 0.02


def test_ordinary_stereo_is_mixed_as_ever() -> None:
    room = np.random.default_rng(0).normal(size=(2, len(S))) * 0.0005
    for left, right in ((S, S), (S, 0.5 * S), (S + room[0], 0.8 * delayed(S, 24) + room[1]), (S, NOTHING)):
        data = wav(np.stack([left, right], axis=1), RATE)
        mono = wav(np.stack([left, right], axis=1).mean(axis=1, keepdims=True), RATE)
        np.testing.assert_allclose(samples(data), samples(mono), atol=2e-4)


def test_cancelling_channels_without_speech_are_sound() -> None:
    music = tone(4, RATE)[:, 0]
    result = heard(wav(np.stack([music, -music], axis=1), RATE))
    assert {gap.kind.value for gap in result.gaps} == {"no_speech"}


def test_channels_are_chosen_alike_however_the_file_is_read() -> None:
    data = encoded(np.stack(LAYOUTS["antiphase at last"], axis=1), RATE, "flac", "flac")

    class Slow(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return super().read(min(777, size or 0))

    whole = samples(data)
    np.testing.assert_array_equal(np.concatenate(list(decode(Slow(data), "x", AudioConfig()))), whole)
    with DecoderProcess(DecoderConfig()) as process:
        isolated = np.concatenate(list(process.decode(io.BytesIO(data), "x", AudioConfig())))
    np.testing.assert_array_equal(isolated, whole)


# ------------------------------------------------------------------------------------------------------------ tracks


def turns(count: int) -> np.ndarray:
    """A speaker a track, by turns."""
    sound = speech(16)
    turn = np.arange(len(sound)) // (2 * RATE) % count
    return np.stack([np.where(turn == number, sound, 0) for number in range(count)])


@pytest.mark.parametrize(("container", "codec"), [("mp4", "aac"), ("matroska", "aac"), ("mpegts", "aac")])
def test_a_silent_first_track_and_a_speaker_a_track(container: str, codec: str) -> None:
    alone = heard(stamped(S[None], RATE, container, codec)).speech_s
    silent = heard(stamped(np.stack([NOTHING, S]), RATE, container, codec, tracks=({}, {"language": "deu"})))
    assert silent.speech_s == pytest.approx(alone, rel=0.05)
    assert silent.tracks is not None
    assert silent.tracks.startswith("1: 0 s of speech, left out; 2")
    both = heard(stamped(turns(2), RATE, container, codec, tracks=({}, {})))
    assert both.speech_s == pytest.approx(heard(wav(speech(16)[:, None], RATE)).speech_s, rel=0.15)
    assert both.tracks is not None
    assert both.tracks.count("taken") == 2


def test_which_tracks_are_taken() -> None:
    def taken(data: bytes, **settings: object) -> list[bool]:
        tracks = heard(data, **settings).tracks
        assert tracks is not None
        return ["taken" in part for part in tracks.split("; ")]

    same = stamped(np.stack([S, delayed(S, 800)]), RATE, "matroska", "flac", tracks=({}, {}))
    assert taken(same) == [True, False]
    assert taken(same, tracks="all") == [True, True]
    other = ({"language": "eng"}, {"language": "deu"})
    dubbed = stamped(turns(2), RATE, "matroska", "flac", tracks=other)
    assert taken(dubbed) == [True, False]
    assert "1 (eng)" in str(heard(dubbed).tracks)
    commented = stamped(turns(2), RATE, "matroska", "flac", tracks=({"title": "Director's commentary"}, {}))
    assert taken(commented) == [False, True]
    assert taken(commented, tracks="one").count(True) == 1
    assert taken(stamped(np.stack([NOTHING] * 2), RATE, "matroska", "flac", tracks=({}, {}))) == [True, False]


# ------------------------------------------------------------------------------------------------------------- links


@pytest.mark.parametrize(
    ("container", "codec", "rates_hz"),
    [
        ("ogg", "libopus", (48_000, 48_000)),
        ("adts", "aac", (44_100, 22_050)),
        ("mp3", "libmp3lame", (44_100, 16_000)),
        ("flac", "flac", (44_100, 16_000)),
        ("wav", "pcm_s16le", (16_000, 8_000)),
        ("matroska", "libopus", (48_000, 48_000)),
        ("matroska", "aac", (44_100, 22_050)),
        ("mpegts", "aac", (48_000, 24_000)),
        ("mp4", "aac", (48_000, 24_000)),
        ("mov", "pcm_s16le", (44_100, 16_000)),
        ("flv", "aac", (44_100, 22_050)),
        ("aiff", "pcm_s16be", (44_100, 16_000)),
        ("caf", "pcm_s16le", (44_100, 16_000)),
        ("au", "pcm_s16be", (44_100, 16_000)),
        ("w64", "pcm_s16le", (44_100, 16_000)),
        ("tta", "tta", (44_100, 16_000)),
        ("wv", "wavpack", (44_100, 16_000)),
    ],
)
def test_recordings_put_together_are_all_heard(container: str, codec: str, rates_hz: tuple[int, int]) -> None:
    first, second = rates_hz
    parts = [encoded(tone(2, first, 1), first, container, codec), encoded(tone(3, second, 2), second, container, codec)]
    data = b"".join([*parts, parts[0]])
    decoder = decode(io.BytesIO(data), "x", AudioConfig())
    sound = np.concatenate(list(decoder))
    assert len(sound) / RATE == pytest.approx(7, abs=0.3)
    for second_s in (1, 3, 6):
        assert np.sqrt(2 * np.mean(np.square(sound[second_s * RATE :][: RATE // 2]))) == pytest.approx(0.3, rel=0.15)
    assert decoder.damage is None
    assert decoder.contents().sha256 == hashlib.sha256(data).hexdigest()


def test_a_recorder_that_crashed_and_a_tag_with_a_picture_in_between() -> None:
    crashed = bytearray(wav(tone(3, RATE), RATE))
    crashed[4:8] = crashed[40:44] = bytes(4)
    assert len(samples(bytes(crashed))) == 3 * RATE
    assert len(samples(bytes(crashed) + wav(tone(2, 8_000), 8_000))) == 5 * RATE
    mp3 = encoded(tone(3, 44_100), 44_100, "mp3", "libmp3lame")
    size = 200_000
    picture = np.random.default_rng(0).bytes(size - 20) + b"ID3\x03\x00\x00\x00\x00\x00\x00" + bytes(10)
    tag = b"ID3\x04\x00\x00" + bytes([size >> 21, size >> 14 & 127, size >> 7 & 127, size & 127]) + picture
    for data in (mp3 + tag + mp3, tag + mp3 + tag + tag + mp3):
        decoder = decode(io.BytesIO(data), "x", AudioConfig())
        assert len(np.concatenate(list(decoder))) / RATE == pytest.approx(6, abs=0.1)
        assert decoder.damage is None


def test_a_link_that_cannot_be_read_is_damage() -> None:
    ogg = encoded(tone(3, 48_000), 48_000, "ogg", "libopus")
    broken = ogg[:60].replace(b"OpusHead\x01", b"OpusHead\xff") + ogg[60:200]
    decoder = decode(io.BytesIO(ogg + broken + ogg), "x", AudioConfig())
    assert len(np.concatenate(list(decoder))) / RATE == pytest.approx(6, abs=0.1)
    assert "what follows after 3.0 s cannot be read" in str(decoder.damage)


@pytest.mark.parametrize(("container", "codec"), [("matroska", "libopus"), ("flac", "flac")])
def test_a_file_that_ends_before_its_header_says_is_damage(container: str, codec: str) -> None:
    data = encoded(tone(10, 48_000), 48_000, container, codec)
    decoder = decode(io.BytesIO(data[: len(data) // 2]), "x", AudioConfig())
    for _ in decoder:
        pass
    assert "its header says 10.0 s" in str(decoder.damage)


# ------------------------------------------------------------------------------------------------------------- clocks


@pytest.mark.parametrize(
    ("container", "codec"), [("webm", "libopus"), ("matroska", "aac"), ("mp4", "aac"), ("flv", "aac")]
)
def test_a_jump_is_a_gap(container: str, codec: str) -> None:
    rate_hz = 48_000
    sound = np.repeat(0.3 * np.sin(2 * np.pi * 300 * np.arange(6 * rate_hz) / rate_hz)[None], 1, axis=0)
    loud = np.abs(samples(stamped(sound, rate_hz, container, codec, starts_s=(0, 63)))) > 0.05
    assert len(loud) / RATE == pytest.approx(66, abs=0.2)
    assert np.flatnonzero(loud[4 * RATE :])[0] / RATE + 4 == pytest.approx(63, abs=0.1)
    assert not loud[round(3.2 * RATE) : round(62.8 * RATE)].any()


def test_sound_that_begins_late_and_clocks_that_stand_anywhere() -> None:
    for container, late_s in (("matroska", 30), ("mp4", 30), ("mpegts", 0)):
        length_s = len(samples(stamped(S[None], RATE, container, "aac", starts_s=(30,)))) / RATE
        assert length_s == pytest.approx(late_s + 8, abs=0.3), container
    for container, codec in (("matroska", "aac"), ("mpegts", "aac"), ("mpeg", "mp2"), ("flv", "aac")):
        data = stamped(S[None], RATE, container, codec, starts_s=(30,), video=True)
        assert len(samples(data)) / RATE == pytest.approx(38, abs=0.3), container


def test_where_the_sound_lies_on_a_clock() -> None:
    line = begin("mpegts", 5.0, None, 1000.0)
    assert line.gap_before(35.0, 1.0) == 30.0  # the picture began at 5 s
    assert line.gap_before(36.1, 1.0) == 0.0  # jitter
    assert line.gap_before(97.1, 1.0) == pytest.approx(60.1)
    assert line.gap_before(5.0, 1.0) == 0.0  # the clock of another recording …
    assert line.gap_before(8.0, 1.0) == pytest.approx(2.0)  # … on which this is a gap
    assert line.gap_before(9.0 + 26.5 * 3600, 1.0) == 0.0  # and a third
    assert line.position_s == pytest.approx(30 + 1 + 1 + 60.1 + 1 + 1 + 2 + 1 + 1 - 0.1 + 0.1)
    assert [round(at_s) for at_s, _ in line.left_out] == [97]


def test_a_clock_that_cannot_be_is_left_out_and_told() -> None:
    for starts_s in ((0, 30 * 3600), (0, 3, 30 * 3600 + 6)):
        result = heard(stamped(S[None], RATE, "matroska", "flac", starts_s=starts_s))
        assert result.duration_s == pytest.approx(8, abs=0.5)
        assert "time stamps jump by" in str(result.damage)
