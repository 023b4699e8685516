"""A model from settings: parts that do not fit are refused where they are loaded, with both sides named."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from tiny import tiny_pipeline

from s2i_core import presets
from s2i_core.config import ModelConfig, NativeDecoderConfig, WhisperEncoderConfig, changed
from s2i_core.errors import ConfigError, ModelError
from s2i_core.models import registry
from s2i_core.models.contracts import DecoderInfo


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A checkpoint, and one of another encoder and decoder with the same widths."""
    made = [tmp_path_factory.mktemp(f"seed-{seed}") for seed in (0, 1)]
    for seed, folder in enumerate(made):
        tiny_pipeline(seed).save_pretrained(folder)
    return str(made[0]), str(made[1])


def test_an_unknown_kind_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(ConfigError, match=r"decoder.*'native', 'collage'"):
        changed(presets.cpu(), {"model.decoder.kind": "photograph"})
    with pytest.raises(ConfigError, match=r"encoder.*'whisper'"):
        changed(presets.cpu(), {"model.encoder.kind": "ear"})


def test_settings_of_another_decoder_are_refused() -> None:
    with pytest.raises(ConfigError, match="no such setting"):
        changed(presets.cpu(), {"model.decoder.kind": "collage", "model.decoder.guidance": "3"})
    with pytest.raises(ConfigError, match="no such setting"):
        changed(presets.cpu(), {"model.decoder.grain": "3"})


def test_a_kind_takes_its_own_settings_whatever_their_order() -> None:
    changes = {"model.decoder.library": "house", "model.decoder.kind": "collage"}
    decoder = changed(presets.cpu(), changes).model.decoder
    assert (decoder.kind, decoder.library) == ("collage", "house")


def test_other_widths_are_refused_with_both_named(folders: tuple[str, str]) -> None:
    model = registry.load(ModelConfig(checkpoint=folders[0], device="cpu"))
    wide = replace(model.decoder.info, token_width=64, embedding_width=512)

    class Wide:
        info: DecoderInfo = wide

    said = r"it reads tokens of width 64 and vectors of 512, the encoder A says tokens of width 8 and vectors of 8"
    with pytest.raises(ModelError, match=said):
        registry.check_fit(model.encoder, Wide(), "decoder B", "encoder A")  # type: ignore[arg-type]
    Wide.info = replace(model.decoder.info, extras=("depth",))
    with pytest.raises(ModelError, match="reads tokens for the depth, which the encoder A does not say"):
        registry.check_fit(model.encoder, Wide(), "decoder B", "encoder A")  # type: ignore[arg-type]


def test_a_decoder_of_another_encoder_is_refused(folders: tuple[str, str]) -> None:
    mixed = ModelConfig(checkpoint=folders[0], decoder=NativeDecoderConfig(checkpoint=folders[1]), device="cpu")
    with pytest.raises(ModelError, match=r"its decoder was trained with encoder \w+, not \w+"):
        registry.load(mixed)
    mixed = ModelConfig(
        encoder=WhisperEncoderConfig(checkpoint=folders[0]), decoder=NativeDecoderConfig(checkpoint=folders[0]),
        checkpoint=folders[1], device="cpu",
    )  # fmt: skip
    assert registry.load(mixed).encoder_digest == registry.load(ModelConfig(checkpoint=folders[0])).encoder_digest


def test_checkpoints_of_the_version_before_are_read_and_newer_ones_refused(
    folders: tuple[str, str], tmp_path: Path
) -> None:
    for version, told in {"before": {"format_version": 2}, "newer": {"format_version": 4}, "other": {}}.items():
        folder = tmp_path / version
        shutil.copytree(folders[0], folder)
        (folder / "s2i.json").write_text(json.dumps(told))
        config = ModelConfig(checkpoint=str(folder), device="cpu")
        if version == "before":
            # Its index names modules that have moved since.
            index = json.loads((folder / "model_index.json").read_text())
            index["denoiser"] = ["s2i_core.models.denoiser", "Denoiser"]
            (folder / "model_index.json").write_text(json.dumps(index))
            made = registry.load(config)
            assert made.space.min_confidence == 0.27
            now = registry.load(ModelConfig(checkpoint=folders[0], device="cpu"))
            assert (made.encoder_digest, made.decoder_digest) == (now.encoder_digest, now.decoder_digest)
        elif version == "newer":
            with pytest.raises(ModelError, match=r"version 4, this s2i reads versions 2 to 3") as error:
                registry.load(config)
            assert error.value.remedy == "Install a newer s2i."
        else:
            with pytest.raises(ModelError, match=r"s2i\.json is missing or damaged"):
                registry.load(config)
