"""Speech is found, nothing of it is lost, and memory stays bounded. Speech comes from the sample archive."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from s2i_core.audio.decode import decode
from s2i_core.audio.vad import SileroVAD, SpeechProbabilities, level_dbfs, load_vad, segment
from s2i_core.config import AudioConfig
from s2i_core.errors import ModelError
from s2i_core.records import Gap, Segment, Skip

RATE = 16_000
SAMPLES = Path(__file__).parents[2] / "samples"


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    """Half a minute of a lecture over the telephone."""
    with (SAMPLES / "transport-over-the-telephone.wav").open("rb") as file:
        return np.concatenate(list(decode(file, file.name, AudioConfig())))[: 30 * RATE]


def silence(seconds: float) -> np.ndarray:
    return np.zeros(round(seconds * RATE), dtype=np.float32)


def music(seconds: float) -> np.ndarray:
    """Notes of a pentatonic scale that fade, two a second."""
    time_s = np.arange(RATE // 2) / RATE
    notes = [220.0, 261.6, 293.7, 329.6, 392.0]
    bars = [
        sum(np.sin(2 * np.pi * notes[i * 3 % 5] * h * time_s) / h for h in (1, 2, 3)) * np.exp(-2 * time_s)
        for i in range(round(2 * seconds))
    ]
    return (0.1 * np.concatenate(bars)).astype(np.float32)


def parts_of(waveform: np.ndarray, chunk: int = 2 * RATE, **settings: float) -> list[Segment | Gap]:
    chunks = (waveform[start : start + chunk] for start in range(0, len(waveform), chunk))
    return list(segment(chunks, AudioConfig(**settings)))


def segments_of(waveform: np.ndarray, **settings: float) -> list[Segment]:
    return [part for part in parts_of(waveform, **settings) if isinstance(part, Segment)]


def assert_covers(parts: list[Segment | Gap], waveform: np.ndarray) -> None:
    end_s = 0.0
    for part in parts:
        assert part.start_s == end_s
        assert part.end_s > part.start_s
        end_s = part.end_s
        if isinstance(part, Segment):
            span = slice(round(part.start_s * RATE), round(part.end_s * RATE))
            np.testing.assert_array_equal(part.waveform, waveform[span])
    assert end_s == len(waveform) / RATE


def test_the_network_is_the_published_one(speech: np.ndarray) -> None:
    threads = torch.get_num_threads()
    from silero_vad import load_silero_vad

    published = load_silero_vad()
    theirs = {name: tensor.numpy() for name, tensor in published._model.state_dict().items()}
    names = {
        "stft_conv.weight": "stft.forward_basis_buffer",
        "final_conv.weight": "decoder.decoder.2.weight",
        "final_conv.bias": "decoder.decoder.2.bias",
    }
    for kind in ("weight", "bias"):
        for side in ("ih", "hh"):
            names[f"lstm_cell.{kind}_{side}"] = f"decoder.rnn.{kind}_{side}"
        for layer in range(4):
            names[f"conv{layer + 1}.{kind}"] = f"encoder.{layer}.reparam_conv.{kind}"
    ours = SileroVAD({name: theirs[theirs_name] for name, theirs_name in names.items()})
    audio = speech[: 200 * 512]
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(audio, (64, 0)), 576)[::512]
    with torch.inference_mode():
        expected = [published(torch.from_numpy(part), RATE).item() for part in audio.reshape(-1, 512)]
    np.testing.assert_allclose(ours(windows)[0], expected, atol=1e-4)
    assert max(expected) > 0.9
    assert min(expected) < 0.1
    # The import had set it to one for the whole process.
    torch.set_num_threads(threads)


def test_missing_weights_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    load_vad.cache_clear()
    monkeypatch.setattr("s2i_core.audio.vad.importlib.util.find_spec", lambda name: None)
    with pytest.raises(ModelError, match="not installed"):
        load_vad()


def test_probabilities_do_not_depend_on_the_chunks(speech: np.ndarray) -> None:
    audio = speech[: 300 * 512]
    whole = SpeechProbabilities()(audio)
    stream = SpeechProbabilities()
    pieces = np.concatenate([stream(audio[start : start + 7 * 512]) for start in range(0, len(audio), 7 * 512)])
    np.testing.assert_allclose(whole, pieces, atol=1e-4)


def test_long_stillness_is_not_put_through_the_network(speech: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    audio = np.concatenate([speech[: 10 * RATE], silence(60), speech[10 * RATE : 20 * RATE], silence(3)])
    audio = audio[: len(audio) // 512 * 512]
    network, put_through = load_vad(), []

    class Counting:
        def __call__(self, windows, state):
            put_through.append(len(windows))
            return network(windows, state)

    monkeypatch.setattr("s2i_core.audio.vad.load_vad", Counting)
    quick = SpeechProbabilities()(audio)
    assert 20 * RATE / 512 <= sum(put_through) <= 22.1 * RATE / 512, "of 63 still seconds two, and all the others"
    stream = SpeechProbabilities()
    pieces = [stream(audio[start : start + 7 * 512]) for start in range(0, len(audio), 7 * 512)]
    np.testing.assert_allclose(np.concatenate(pieces), quick, atol=1e-4)
    stream_all = np.concatenate([np.zeros(64, np.float32), audio])
    windows = np.lib.stride_tricks.sliding_window_view(stream_all, 64 + 512)[::512]
    thorough, _ = network(windows)
    assert ((quick > 0.5) != (thorough > 0.5)).sum() <= 6, "at most a fifth of a second, where speech sets in"


def test_segments_do_not_depend_on_the_chunks(speech: np.ndarray) -> None:
    whole = parts_of(speech, chunk=len(speech))
    for chunk in (1_000, 512 * 9, 12_345):
        pieces = parts_of(speech, chunk=chunk)
        assert [(part.start_s, part.end_s) for part in pieces] == [(part.start_s, part.end_s) for part in whole]


def test_the_parts_cover_the_recording(speech: np.ndarray) -> None:
    for waveform in (speech, speech[: 10 * RATE + 77], np.concatenate([silence(3), speech, music(5)]), silence(0.01)):
        assert_covers(parts_of(waveform), waveform)
    assert parts_of(silence(0)) == []


def test_gaps_tell_silence_from_music(speech: np.ndarray) -> None:
    waveform = np.concatenate([silence(5), speech[: 10 * RATE], silence(6), music(8), silence(4)])
    parts = parts_of(waveform)
    assert_covers(parts, waveform)
    long = [part for part in parts if isinstance(part, Gap) and part.duration_s > 2]
    assert [gap.kind for gap in long] == [Skip.SILENCE, Skip.SILENCE, Skip.NO_SPEECH, Skip.SILENCE]
    assert [gap.duration_s for gap in long] == pytest.approx([5, 6, 8, 4], abs=1.0)


def test_a_click_does_not_divide_silence_and_is_no_speech() -> None:
    waveform = silence(10)
    waveform[80_000:80_800] = 0.5
    (gap,) = parts_of(waveform)
    assert isinstance(gap, Gap)
    assert (gap.end_s, gap.kind) == (10, Skip.SILENCE)


def test_long_speech_is_cut_at_its_pauses(speech: np.ndarray) -> None:
    # Pauses of 0.1 s are too short to end a segment, but are the places to cut at.
    sentences = [each.waveform[1600:-1600] for each in segments_of(speech)]
    waveform = np.concatenate([part for sentence in sentences for part in (sentence, silence(0.1))])
    segments = segments_of(waveform, max_segment_s=6)
    assert len(segments) < len(sentences)
    assert sum(each.duration_s for each in segments) > 0.97 * len(waveform) / RATE
    for each in segments:
        assert each.duration_s <= 6
    for each in segments[:-1]:
        cut = round(each.end_s * RATE)
        assert level_dbfs(waveform[cut - 400 : cut + 400]) < level_dbfs(waveform) - 20


def test_speech_that_never_pauses_is_cut_all_the_same() -> None:
    with (SAMPLES / "castle-tale.mp3").open("rb") as file:
        audio = np.concatenate(list(decode(file, file.name, AudioConfig())))
    words = np.concatenate([each.waveform for each in segments_of(audio)])
    voiced = words.reshape(-1)[: len(words) // 512 * 512].reshape(-1, 512)
    loud = voiced[np.sqrt(np.mean(voiced**2, axis=1)) > 0.02].reshape(-1)
    segments = segments_of(loud, max_segment_s=3, speech_threshold=0.1)
    assert max(each.duration_s for each in segments) <= 3
    assert sum(each.duration_s for each in segments) > 0.8 * len(loud) / RATE


def test_memory_does_not_grow_with_the_length(speech: np.ndarray) -> None:
    def chunks() -> Iterator[np.ndarray]:
        for _ in range(60):
            yield silence(2)
        for start in range(0, 20 * RATE, 2 * RATE):
            yield speech[start : start + 2 * RATE]

    load_vad()
    tracemalloc.start()
    segments = sum(isinstance(part, Segment) for part in segment(chunks(), AudioConfig()))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert segments > 3
    assert peak < 3_000_000


def test_level() -> None:
    assert level_dbfs(np.ones(100, np.float32)) == 0
    assert level_dbfs(np.full(100, 0.1, np.float32)) == pytest.approx(-20)
    assert level_dbfs(silence(0)) == -120
    assert level_dbfs(silence(1)) == pytest.approx(-120)
