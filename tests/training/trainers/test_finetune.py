"""Fine-tuning the encoder: it runs on recordings, resumes exactly, and keeps what the rest of the model reads."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import tiny_pipeline

from s2i_core.corpus.speech_set import Utterance, build_speech_set
from s2i_core.models.speech.projection import QueryTransformer
from s2i_core.models.speech.whisper import SpeechEncoder
from s2i_core.training.trainers import align, finetune
from s2i_core.training.trainers.finetune import FinetuneConfig, Recordings

QUICK = FinetuneConfig(parts=("train",), steps=4, batch=4, warmup=1, bank=8, evaluate_every=2, dtype="float32")


class Hum:
    """A voice that hums as long as its text."""

    def say(self, text: str) -> tuple[np.ndarray, int]:
        time_s = np.arange(800 * len(text)) / 16_000
        return (0.5 * np.sin(2 * np.pi * (200 + 20 * len(text)) * time_s)).astype(np.float32), 16_000


@pytest.fixture(scope="module")
def spoken(folder: Path) -> Path:
    for part, texts in (("train", range(12)), ("voices", range(4))):
        utterances = [Utterance(text, "m" * (10 + 4 * text), "hum") for text in texts]
        build_speech_set(utterances, folder / f"speech-{part}", voice_of=lambda _: Hum())  # type: ignore[arg-type, return-value]
    return folder


def parts() -> tuple[SpeechEncoder, QueryTransformer, QueryTransformer]:
    torch.manual_seed(0)
    pipeline = tiny_pipeline()
    return pipeline.speech_encoder.float(), pipeline.projection.float(), copy.deepcopy(pipeline.projection).float()


def test_recordings_come_in_batches_of_one_length_and_all_of_them_once(spoken: Path) -> None:
    recordings = Recordings(spoken / "speech-train", spoken / "speech-voices")
    assert len(recordings) == 16
    found = [(len(waveforms), texts) for waveforms, texts in recordings.batches(3)]
    assert all(count == len(texts) <= 3 for count, texts in found)
    assert sorted(np.concatenate([texts for _, texts in found]).tolist()) == sorted([*range(12), *range(4)])
    assert len(Recordings(spoken / "speech-train", longest_s=2.0)) == 8
    waveforms, texts = recordings.batch(np.random.default_rng(0), 64)
    assert finetune.features(waveforms).shape[:2] == (len(texts), 80)


def test_a_run_cut_off_ends_like_one_that_was_not_and_leaves_the_layouts_projection(
    spoken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = parts()
    finetune.train(spoken, tmp_path / "whole", *whole, QUICK)

    class Cut(Exception):
        pass

    def evaluate_once(*_: object) -> dict[str, float]:
        raise Cut

    with monkeypatch.context() as patch, pytest.raises(Cut):
        patch.setattr(align, "evaluate", evaluate_once)
        finetune.train(spoken, tmp_path / "cut", *parts(), QUICK)
    resumed = parts()
    finetune.train(spoken, tmp_path / "cut", *resumed, QUICK)
    before = parts()
    for one, other, first, changes in zip(whole, resumed, before, (True, True, False), strict=True):
        a, b, start = (part.state_dict() for part in (one, other, first))
        for name in a:
            torch.testing.assert_close(a[name], b[name])
        assert any(not torch.equal(a[name], start[name]) for name in a) is changes
    for kept in ("conv1.weight", "conv2.weight", "embed_positions.weight"):
        assert torch.equal(whole[0].state_dict()[kept], before[0].state_dict()[kept])


def test_tokens_move_less_where_they_are_held(spoken: Path, tmp_path: Path) -> None:
    moved = []
    for weight in (0.0, 100.0):
        config = QUICK.model_copy(update={"steps": 20, "evaluate_every": 20, "keep_tokens": weight, "lr_encoder": 1e-3})
        encoder, projection, _ = parts()
        waveforms, _ = Recordings(spoken / "speech-voices").batch(np.random.default_rng(0), 4)
        features = finetune.features(waveforms)
        with torch.no_grad():
            before = projection(QueryTransformer.halve_rate(encoder(features)))[0]
        finetune.train(spoken, tmp_path / str(weight), encoder, projection, None, config)
        with torch.no_grad():
            after = projection(QueryTransformer.halve_rate(encoder(features)))[0]
        moved.append(float((after - before).square().mean()))
    assert moved[1] < moved[0] / 2
