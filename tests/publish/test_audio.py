"""Sound for pages."""

import io

import av
import numpy as np
import pytest

from publish.recordings import tone, wav
from s2i_core.audio.decode import decode
from s2i_core.audio.isolated import DecoderProcess
from s2i_core.config import AudioConfig, DecoderConfig
from s2i_core.errors import DecodeError
from s2i_core.publish.audio import levels, web_audio


def test_it_is_small_opus_in_webm_of_the_same_length_and_on_the_same_clock():
    click = np.zeros(16_000)
    click[8_000:8_160] = 0.9
    data, kind = web_audio(io.BytesIO(wav(*[click] * 20)))
    with av.open(io.BytesIO(data)) as container:
        assert container.streams.audio[0].codec_context.name == "opus"
        assert container.duration / 1e6 == pytest.approx(20, abs=0.05)
    assert kind == "audio/webm"
    assert len(data) < 20 * 32_000 / 8 * 1.3
    heard = np.concatenate(list(decode(io.BytesIO(data), "web", AudioConfig())))
    for second in range(20):
        loudest = int(np.abs(heard[second * 16_000 : (second + 1) * 16_000]).argmax())
        assert loudest == pytest.approx(8_000, abs=400)


def test_equal_audio_gives_equal_bytes():
    source = wav(tone(2))
    assert web_audio(io.BytesIO(source)) == web_audio(io.BytesIO(source))


def test_a_decoder_of_its_own_gives_the_same_and_is_ready_for_the_next():
    source = wav(tone(2))
    with DecoderProcess(DecoderConfig()) as decoder:
        for _ in range(2):
            assert web_audio(io.BytesIO(source), decode=decoder.decode) == web_audio(io.BytesIO(source))
            child = decoder.pid
            with pytest.raises(DecodeError, match="no audio"):
                web_audio(io.BytesIO(b"no audio at all" * 99), "no audio", decode=decoder.decode)
        assert decoder.pid == child, "a file that is no audio is no reason to start another"


def test_what_is_no_audio_is_refused_by_name():
    with pytest.raises(DecodeError, match=r"s3://a/b\.mp3"):
        web_audio(io.BytesIO(b"no audio at all" * 99), "s3://a/b.mp3")


def test_levels_follow_the_loudness():
    loud, quiet, silent = tone(2, 0.8), tone(2, 0.05), np.zeros(32_000)
    bars = levels(wav(loud, quiet, silent), 30)
    assert len(bars) == 30
    assert min(bars[1:9]) > 0.95
    assert 0.1 < max(bars[11:19]) < 0.7
    assert max(bars[21:]) < 0.1


def test_levels_of_silence_are_none_and_short_audio_has_all_bars():
    assert set(levels(wav(np.zeros(16_000)), 10)) == {0.0}
    assert len(levels(wav(tone(0.1)), 200)) == 200
