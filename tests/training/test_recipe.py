"""The steps put together: what a fine-tuning trained is what `export` writes, beside what it did not touch."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tiny import tiny_pipeline

from s2i_core.corpus.speech_set import Utterance, build_speech_set
from s2i_core.errors import ConfigError
from s2i_core.training import recipe as recipes
from s2i_core.training.recipe import Recipe
from s2i_core.training.trainers.finetune import FinetuneConfig
from s2i_core.training.trainers.place import PlaceConfig


class Hum:
    def say(self, text: str) -> tuple[np.ndarray, int]:
        return np.sin(np.arange(8000 + 100 * len(text)) / 10).astype(np.float32) / 2, 16_000


def test_a_fine_tuned_encoder_is_exported_with_the_rest_of_the_model_it_began_from(
    folder: Path, tmp_path: Path
) -> None:
    for part in ("train", "voices"):
        utterances = [Utterance(text, "m" * text, "hum") for text in range(4)]
        build_speech_set(utterances, folder / f"speech-{part}", voice_of=lambda _: Hum())  # type: ignore[arg-type, return-value]
    start, out, target = tmp_path / "start", tmp_path / "out", tmp_path / "target"
    tiny_pipeline().save_pretrained(start)
    settings = Recipe(finetune=FinetuneConfig(steps=2, batch=4, warmup=1, lr_encoder=0.01, dtype="float32"))
    recipes.finetune_encoder(folder, out, settings, start)
    made = recipes.export(folder, out, target, settings, start)
    assert made.encode_speech([np.zeros(16_000, np.float32)], 16_000).pooled.isfinite().all()

    def weights(checkpoint: Path, part: str) -> dict[str, torch.Tensor]:
        (file,) = (checkpoint / part).glob("*.safetensors")
        return {name: tensor.half() for name, tensor in load_file(file).items()}

    for part, trained in {"speech_encoder": True, "projection": True, "layout": False, "denoiser": False}.items():
        before, after = weights(start, part), weights(target, part)
        assert before.keys() == after.keys()
        assert any(not torch.equal(before[name], after[name]) for name in before) is trained, part
    for config in target.rglob("*.json"):
        assert str(tmp_path) not in config.read_text(), "a checkpoint says nothing of the machine that it was made on"


def test_nothing_is_fine_tuned_without_a_model(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="speech_encoder"):
        recipes.finetune_encoder(folder, tmp_path, Recipe(), tmp_path / "nowhere")


def test_a_layout_that_begins_afresh_has_nothing_to_go_back_to(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--start"):
        recipes.train_place(folder, tmp_path, Recipe(place=PlaceConfig(go_back=0.5)))


def test_a_part_of_another_version_is_refused(folder: Path, tmp_path: Path) -> None:
    tiny_pipeline().save_pretrained(tmp_path / "start")
    settings = tmp_path / "start" / "image_encoder" / "config.json"
    older = json.loads(settings.read_text()) | {"stages": [[3, 2, 2, 2, 8]]}
    settings.write_text(json.dumps(older))
    with pytest.raises(ConfigError, match=r"image_encoder: its weights are not those of this version"):
        recipes.train_pictures(folder, tmp_path / "out", Recipe(), tmp_path / "start")
