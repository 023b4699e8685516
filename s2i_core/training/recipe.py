"""The recipe of a model: every setting of its data and its training, and the steps in their order."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from pydantic import Field

from s2i_core.config import Settings
from s2i_core.errors import ConfigError
from s2i_core.models.denoiser import Denoiser
from s2i_core.models.image_encoder import ImageEncoder
from s2i_core.models.layout import LayoutPredictor
from s2i_core.models.library import SpriteLibrary
from s2i_core.models.projection import QueryTransformer
from s2i_core.pipeline import SpeechToImagePipeline
from s2i_core.training import align, checkpoint, data, diffuse, pictures
from s2i_core.training.align import AlignConfig
from s2i_core.training.data import DataConfig
from s2i_core.training.diffuse import DiffuseConfig
from s2i_core.training.pictures import PicturesConfig
from s2i_core.training.sources import whisper
from s2i_core.training.teacher import WIDTH

_ALIGNED = "aligned"
NUM_QUERIES = 16


class Recipe(Settings):
    """All of it."""

    data: DataConfig = DataConfig()
    pictures: PicturesConfig = PicturesConfig()
    align: AlignConfig = AlignConfig()
    diffuse: DiffuseConfig = DiffuseConfig()
    denoiser_widths: tuple[int, ...] = Field((128, 256), description="Channels of the denoiser's resolutions.")


def cpu_afternoon() -> Recipe:
    """What made the first shipped weights: under an hour and a half on two CPU cores."""
    return Recipe()


def new_projection() -> QueryTransformer:
    """The projection before training: Whisper's decoder layers under new queries and heads."""
    torch.manual_seed(0)
    return whisper.query_transformer(whisper.tiny_en(), NUM_QUERIES, token_width=WIDTH, embedding_width=WIDTH)


def build_data(folder: Path, recipe: Recipe) -> None:
    """Step 1: the data."""
    data.build(folder, recipe.data, whisper.speech_encoder(whisper.tiny_en()))


def train_pictures(folder: Path, out: Path, recipe: Recipe) -> None:
    """Step 2: the image encoder."""
    pictures.train(folder, out, recipe.pictures)


def train_align(folder: Path, out: Path, recipe: Recipe) -> None:
    """Step 3: the projection and the layout predictor."""
    projection = new_projection()
    layout = align.train(folder, out, projection, recipe.align)
    projection.save_pretrained(out / _ALIGNED / "projection")
    layout.save_pretrained(out / _ALIGNED / "layout")


def train_diffuse(folder: Path, out: Path, recipe: Recipe) -> None:
    """Step 4: the denoiser, on the tokens of the trained projection."""
    diffuse.train(folder, out, _aligned_projection(out), recipe.diffuse, _denoiser(recipe))


def export(folder: Path, out: Path, target: Path, recipe: Recipe) -> SpeechToImagePipeline:
    """Step 5: put the parts together in diffusers' folder layout, float16 on disk, with the library's vectors."""
    image_encoder = ImageEncoder()
    _trained(out / pictures.CHECKPOINT, {"encoder": image_encoder})
    pictures.fit_head(image_encoder, folder, recipe.pictures)
    denoiser, average = _denoiser(recipe), _denoiser(recipe)
    _trained(out / diffuse.CHECKPOINT, {"denoiser": denoiser, "average": average})
    pipeline = SpeechToImagePipeline(
        speech_encoder=whisper.speech_encoder(whisper.tiny_en()),
        projection=_aligned_projection(out),
        image_encoder=image_encoder.eval(),
        layout=LayoutPredictor.from_pretrained(out / _ALIGNED / "layout").eval(),
        denoiser=average.eval(),
        scheduler=FlowMatchEulerDiscreteScheduler(),
    )
    library = SpriteLibrary.load(folder / "library")
    library.vectors = None
    pipeline.with_library(library)
    pipeline.to(torch.float16).save_pretrained(target)
    (target / "recipe.json").write_text(json.dumps(recipe.model_dump(mode="json"), indent=1) + "\n", encoding="utf-8")
    return SpeechToImagePipeline.from_pretrained(target)


def _denoiser(recipe: Recipe) -> Denoiser:
    torch.manual_seed(recipe.diffuse.seed)
    return Denoiser(token_width=WIDTH, embedding_width=WIDTH, styles=recipe.data.styles, widths=recipe.denoiser_widths)


def _aligned_projection(out: Path) -> QueryTransformer:
    folder = out / _ALIGNED / "projection"
    if not folder.is_dir():
        raise ConfigError(str(folder), "the projection is not trained yet", "Run the step `align` first.")
    return QueryTransformer.from_pretrained(folder).eval()  # type: ignore[no-any-return]


def _trained(path: Path, modules: dict[str, torch.nn.Module]) -> None:
    if checkpoint.resume(path, modules) == 0:
        raise ConfigError(str(path), "this part is not trained yet", "Run its training step first.")
