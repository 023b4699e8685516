import copy
import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import tiny_library, tiny_pipeline

from s2i_core.audio.decode import decode
from s2i_core.config import AudioConfig, ImageConfig, ModelConfig
from s2i_core.errors import ConfigError, ModelError
from s2i_core.models import registry
from s2i_core.models.decoders.native.layout import LayoutPredictor
from s2i_core.models.decoders.native.library import SpriteLibrary
from s2i_core.pipeline import SpeechToImagePipeline
from s2i_core.weights import shipped_checkpoint

SAMPLE = str(Path(__file__).parent.parent / "samples" / "farm-morning.mp3")


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, round(16000 * seconds)).astype(np.float32)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoint")
    tiny_pipeline().save_pretrained(folder)
    return folder


def test_saved_and_loaded_draws_the_same(saved: Path) -> None:
    waveforms = [noise(1), noise(3, 1)]
    pictures = [
        pipeline(waveforms, image=ImageConfig(size_px=64, steps=2), output_type="np")
        for pipeline in (tiny_pipeline(), SpeechToImagePipeline.from_pretrained(saved))
    ]
    assert np.abs(pictures[0].astype(int) - pictures[1].astype(int)).max() <= 1


def test_saved_and_loaded_hears_the_same_things(tmp_path: Path) -> None:
    pipeline = tiny_pipeline(grounded=True)
    pipeline.save_pretrained(tmp_path)
    with Path(SAMPLE).open("rb") as file:
        sound = np.concatenate(list(decode(file, SAMPLE, AudioConfig())))
    loaded = SpeechToImagePipeline.from_pretrained(tmp_path)
    found, again = (each.hear(sound, min_confidence=0.0) for each in (pipeline, loaded))
    assert len(found) > 3
    assert [thing.title for thing in found] == [thing.title for thing in again]
    assert loaded.hear(sound, precision=0.999) == []
    with pytest.raises(ModelError, match="no grounding"):
        tiny_pipeline().hear(sound)
    with pytest.raises(ConfigError, match="Resample"):
        pipeline.hear(sound, 8000)


def test_digest_follows_the_weights(saved: Path, tmp_path: Path) -> None:
    other = tiny_pipeline(seed=1)
    other.save_pretrained(tmp_path)
    digests = {SpeechToImagePipeline.from_pretrained(path).model_digest for path in (saved, saved, tmp_path)}
    assert len(digests) == 2


def test_no_row_depends_on_another_of_any_length() -> None:
    pipeline = tiny_pipeline()
    waveforms = [noise(0.1), noise(2.5, 1), noise(0.5, 2), noise(29, 3)]
    together = pipeline.encode_speech(waveforms, 16000)
    for row, waveform in enumerate(waveforms):
        alone = pipeline.encode_speech([waveform], 16000)
        torch.testing.assert_close(alone.tokens[0], together.tokens[row], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(alone.pooled[0], together.pooled[row], rtol=1e-4, atol=1e-5)


@torch.inference_mode()
def test_the_layout_may_hear_for_itself(tmp_path: Path) -> None:
    pipeline = tiny_pipeline()
    torch.manual_seed(3)
    own = copy.deepcopy(pipeline.projection)
    torch.nn.init.normal_(own.queries)
    layout = LayoutPredictor(token_width=8, embedding_width=8, num_slots=2, width=8, depth=1, heads=2, own_tokens=4)
    pipeline.register_modules(layout_projection=own.eval(), layout=layout.eval())
    pipeline.save_pretrained(tmp_path)
    loaded = SpeechToImagePipeline.from_pretrained(tmp_path)
    heard = loaded.encode_speech([noise(1)], 16_000)
    plain = tiny_pipeline().encode_speech([noise(1)], 16_000)
    assert {name: extra.shape for name, extra in heard.extras.items()} == {"layout": (1, 4, 8)}
    torch.testing.assert_close(heard.tokens, plain.tokens)
    torch.testing.assert_close(heard.pooled, plain.pooled)

    other = dataclasses.replace(heard, extras={"layout": heard.extras["layout"] + 1})
    predicts = loaded.model.decoder.predict
    assert (predicts(other).boxes != predicts(heard).boxes).any()
    alone = ImageConfig(size_px=64, steps=2, references=0)
    drawn = [loaded.generate(each, [1], alone) for each in (heard, other)]
    assert (drawn[0] == drawn[1]).all(), "the denoiser must not see the layout's tokens"


def test_too_long_and_other_rates_are_refused() -> None:
    pipeline = tiny_pipeline()
    with pytest.raises(ValueError, match="30 s"):
        pipeline.encode_speech([noise(31)], 16000)
    with pytest.raises(ConfigError, match="16000"):
        pipeline.encode_speech([noise(1)], 8000)


def test_confidence_is_the_cosine_to_the_nearest_anchor_whatever_the_library() -> None:
    pipeline = tiny_pipeline()
    vectors = pipeline.library.vectors
    assert vectors is not None
    space = pipeline.model.space
    torch.testing.assert_close(space.confidence(torch.from_numpy(vectors)), torch.ones(len(vectors)))
    pipeline.library = SpriteLibrary([], [])
    torch.testing.assert_close(space.confidence(torch.from_numpy(vectors)), torch.ones(len(vectors)))


def test_another_library_gets_vectors() -> None:
    library = tiny_library()
    assert library.vectors is None
    assert tiny_pipeline().with_library(library).library.vectors is not None


def test_pictures_of_the_shared_space_have_unit_length() -> None:
    images = np.random.default_rng(0).integers(0, 255, (2, 48, 48, 3), dtype=np.uint8)
    torch.testing.assert_close(tiny_pipeline().encode_images(images).norm(dim=-1), torch.ones(2))


def test_what_is_wrong_with_a_checkpoint_is_said(saved: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no saved pipeline"):
        SpeechToImagePipeline.from_pretrained(tmp_path)
    tiny_pipeline().save_pretrained(tmp_path)
    (tmp_path / "s2i.json").write_text(json.dumps({"format_version": 99}))
    with pytest.raises(ModelError, match="version 99"):
        SpeechToImagePipeline.from_pretrained(tmp_path)
    tiny_pipeline().save_pretrained(tmp_path)
    weights = tmp_path / "denoiser" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelError, match="cannot be loaded"):
        SpeechToImagePipeline.from_pretrained(tmp_path)


def test_a_device_that_is_not_there(saved: Path) -> None:
    if torch.cuda.is_available():
        assert registry.load(ModelConfig(checkpoint=str(saved), device="auto")).device == "cuda"
    else:
        assert registry.load(ModelConfig(checkpoint=str(saved), device="auto")).device == "cpu"
        with pytest.raises(ConfigError, match="no GPU"):
            registry.load(ModelConfig(checkpoint=str(saved), device="cuda"))


def test_shipped_weights_stay_within_their_bounds() -> None:
    sizes = [path.stat().st_size for path in shipped_checkpoint().rglob("*") if path.is_file()]
    assert sum(sizes) <= 200e6
    assert max(sizes) <= 90e6
    # A folder of the machine that made them would be told to everybody, and count in the digest.
    for path in shipped_checkpoint().rglob("config.json"):
        assert not Path(json.loads(path.read_text()).get("_name_or_path", "")).is_absolute(), path
    assert not [p for p in shipped_checkpoint().rglob("*") if p.suffix in {".bin", ".pt", ".pkl", ".ckpt"}]
