"""From a file to utterances and to what is known of the recording, on the sample archive."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
from audio_files import tone, wav

from s2i_core.audio.features import log_mel, padded_samples
from s2i_core.audio.listen import Heard, Utterance, listen
from s2i_core.config import AudioConfig
from s2i_core.errors import DecodeError, LimitExceeded
from s2i_core.records import Skip

SAMPLES = Path(__file__).parents[2] / "samples"


def heard(path: Path) -> tuple[list[Utterance], Heard]:
    with path.open("rb") as file:
        listening = listen(file, path.name, AudioConfig())
        utterances = list(listening)
        assert not file.closed
    return utterances, listening.result


@pytest.mark.parametrize(
    ("name", "codec", "channels", "rate_hz"),
    [
        ("transport-over-the-telephone.wav", "pcm_s16le", 1, 8_000),
        ("zoo-podcast.ogg", "opus", 2, 48_000),
        ("music-lesson.mp3", "mp3", 2, 22_050),
    ],
)
def test_every_sentence_is_an_utterance(name: str, codec: str, channels: int, rate_hz: int) -> None:
    script = json.loads((SAMPLES / "transcripts.json").read_text())[name]
    sentences = [event for event in script["events"] if event["kind"] == "speech"]
    utterances, result = heard(SAMPLES / name)
    assert (result.info.codec, result.info.channels, result.info.sampling_rate_hz) == (codec, channels, rate_hz)
    assert len(utterances) == len(sentences)
    for utterance, sentence in zip(utterances, sentences, strict=True):
        assert utterance.start_s <= sentence["start_s"] + 0.02
        assert utterance.end_s >= sentence["end_s"] - 0.02
        assert utterance.duration_s < sentence["end_s"] - sentence["start_s"] + 0.4
        assert utterance.features.shape == (80, padded_samples(round(utterance.duration_s * 16_000)) // 160)
        assert utterance.features.dtype == np.float16
        assert -40 < utterance.level_dbfs < -10


def test_the_result_is_consistent() -> None:
    path = SAMPLES / "music-lesson.mp3"
    utterances, result = heard(path)
    assert result.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert result.size_bytes == path.stat().st_size
    assert result.damage is None
    assert result.speech_s == pytest.approx(sum(each.duration_s for each in utterances))
    assert result.speech_s + sum(gap.duration_s for gap in result.gaps) == pytest.approx(result.duration_s)
    long = [gap.kind for gap in result.gaps if gap.duration_s > 4]
    assert long == [Skip.NO_SPEECH, Skip.SILENCE, Skip.NO_SPEECH]


def test_features_are_those_of_the_clip_alone() -> None:
    path = SAMPLES / "transport-over-the-telephone.wav"
    utterances, _ = heard(path)
    from s2i_core.audio.decode import decode

    with path.open("rb") as file:
        audio = np.concatenate(list(decode(file, path.name, AudioConfig())))
    for each in utterances[:3]:
        clip = audio[round(each.start_s * 16_000) : round(each.end_s * 16_000)]
        np.testing.assert_array_equal(each.features, log_mel(clip))


def test_the_broken_samples_fail_with_a_reason() -> None:
    with pytest.raises(DecodeError, match="cut off"):
        heard(SAMPLES / "truncated-lecture.m4a")
    with pytest.raises(DecodeError, match="not in an audio or video format"):
        heard(SAMPLES / "not-audio.mp3")


def test_without_speech_there_are_only_gaps() -> None:
    for audio, kind in ((tone(6, 16_000), Skip.NO_SPEECH), (0 * tone(6, 16_000), Skip.SILENCE)):
        listening = listen(io.BytesIO(wav(audio, 16_000)), "x", AudioConfig())
        assert list(listening) == []
        assert [(gap.start_s, gap.end_s, gap.kind) for gap in listening.result.gaps] == [(0, 6, kind)]
        assert listening.result.speech_s == 0


def test_the_result_waits_for_the_end_and_limits_hold() -> None:
    data = wav(tone(6, 16_000), 16_000)
    listening = listen(io.BytesIO(data), "x", AudioConfig())
    with pytest.raises(RuntimeError, match="take all utterances"):
        _ = listening.result
    with pytest.raises(LimitExceeded):
        list(listen(io.BytesIO(data), "x", AudioConfig(max_duration_s=5)))
