"""The recipe of a model: every setting of its data and its training, and the steps in their order."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from diffusers import ConfigMixin, FlowMatchEulerDiscreteScheduler
from pydantic import Field
from safetensors.numpy import load_file

from s2i_core.config import Settings, changed
from s2i_core.corpus.backgrounds import SETTING_NAMES
from s2i_core.corpus.folder import PARTS, STYLES_FOLDER
from s2i_core.corpus.sources import efficientnet, whisper
from s2i_core.corpus.teacher import WIDTH
from s2i_core.errors import ConfigError
from s2i_core.learning import checkpoint
from s2i_core.models.decoders.native.denoiser import Denoiser
from s2i_core.models.decoders.native.grounds import Grounds
from s2i_core.models.decoders.native.layout import LayoutPredictor
from s2i_core.models.decoders.native.library import SpriteLibrary
from s2i_core.models.decoders.native.places import TIMES
from s2i_core.models.image_encoder import ImageEncoder
from s2i_core.models.speech import grounding
from s2i_core.models.speech.projection import QueryTransformer
from s2i_core.models.speech.whisper import SpeechEncoder
from s2i_core.pipeline import SpeechToImagePipeline
from s2i_core.training.data import build, card
from s2i_core.training.data.config import DataConfig
from s2i_core.training.trainers import align, diffuse, finetune, grounds, pictures, place
from s2i_core.training.trainers.align import AlignConfig
from s2i_core.training.trainers.diffuse import DiffuseConfig
from s2i_core.training.trainers.finetune import FinetuneConfig
from s2i_core.training.trainers.pictures import PicturesConfig
from s2i_core.training.trainers.place import PlaceConfig
from s2i_core.training.trainers.takeover import take_over
from s2i_core.weights import GROUNDS_FOLDER, LIBRARY_FOLDER

M = TypeVar("M", bound=torch.nn.Module)
_ALIGNED = "aligned"
_ENCODER = "speech_encoder"
_LAYOUT_PROJECTION = "layout_projection"
NUM_QUERIES = 16


class Recipe(Settings):
    """All of it."""

    data: DataConfig = DataConfig()
    pictures: PicturesConfig = PicturesConfig()
    align: AlignConfig = AlignConfig()
    place: PlaceConfig = PlaceConfig()
    diffuse: DiffuseConfig = DiffuseConfig()
    finetune: FinetuneConfig = FinetuneConfig()
    denoiser_widths: tuple[int, ...] = Field((128, 256), description="Channels of the denoiser's resolutions.")
    denoiser_patch: int = Field(16, gt=0, description="Side in pixels of what one position of the denoiser draws.")


def cpu_afternoon() -> Recipe:
    """What the shipped weights are made by on two CPU cores; docs/training.md says how they differ from one pass."""
    return Recipe()


def gpu() -> Recipe:
    """For GPUs with 40 GB or more: larger batches, many times the steps, a wider denoiser, four times the speech."""
    return Recipe(
        data=DataConfig(scenes=60_000, wordings=2, words=40_000, examples=40_000, definitions=30_000, neural=20_000),
        pictures=PicturesConfig(device="cuda", batch=384, steps=6_000),
        align=AlignConfig(device="cuda", batch=768, bank=16_384, steps=12_000),
        place=PlaceConfig(device="cuda", batch=768, steps=12_000),
        diffuse=DiffuseConfig(device="cuda", batch=128, steps=40_000, lr=3e-4, ema=0.9995),
        finetune=FinetuneConfig(device="cuda", batch=256, bank=16_384, steps=8_000),
        denoiser_widths=(192, 384),
        denoiser_patch=8,
    )


RECIPES: dict[str, Callable[[], Recipe]] = {"cpu": cpu_afternoon, "gpu": gpu}


def recipe(name: str, settings: Mapping[str, Any] | None = None) -> Recipe:
    """The recipe of that name, with some settings replaced, such as `{"align.steps": 3000}`.

    Raises:
        ConfigError: there is no such recipe or setting.
    """
    if name not in RECIPES:
        raise ConfigError(f"recipe {name!r}", "there is no such recipe", f"Choose of: {', '.join(RECIPES)}.")
    return changed(RECIPES[name](), settings or {})


def new_projection() -> QueryTransformer:
    """The projection before training: Whisper's decoder layers under new queries and heads."""
    torch.manual_seed(0)
    return whisper.query_transformer(whisper.tiny_en(), NUM_QUERIES, token_width=WIDTH, embedding_width=WIDTH)


def build_data(
    folder: Path, recipe: Recipe, parts: Sequence[str] = PARTS, workers: int = 1, start: Path | None = None
) -> None:
    """Step 1: the data, or some parts of its speech; `start` is a checkpoint whose encoder makes the frames."""
    build.build(folder, recipe.data, _encoder(None, start), parts, workers)
    card.write(folder)


def new_image_encoder() -> ImageEncoder:
    """The image encoder before training: EfficientNet-Lite's layers under a new head."""
    torch.manual_seed(0)
    return efficientnet.image_encoder(efficientnet.lite0(), embedding_width=WIDTH)


def train_pictures(folder: Path, out: Path, recipe: Recipe, start: Path | None = None) -> None:
    """Step 2: the image encoder; `start` is a checkpoint whose own it goes on from."""
    encoder = _from(start, "image_encoder", ImageEncoder) if start else new_image_encoder()
    pictures.train(folder, out, recipe.pictures, encoder)


def train_align(folder: Path, out: Path, recipe: Recipe, start: Path | None = None) -> None:
    """Step 3: the projection and the layout predictor; `start` is a checkpoint whose weights they go on from."""
    projection = _from(start, "projection", QueryTransformer) if start else new_projection()
    layout = _from(start, "layout", LayoutPredictor) if start else None
    layout = align.train(folder, out, projection, recipe.align, layout)
    projection.save_pretrained(out / _ALIGNED / "projection")
    layout.save_pretrained(out / _ALIGNED / "layout")


def train_place(folder: Path, out: Path, recipe: Recipe, start: Path | None = None) -> None:
    """Step 4: the layout's own projection and its predictor; `start` is a checkpoint whose parts they go on from.

    Raises:
        ConfigError: they shall go back to weights that `start` does not have.
    """
    share = recipe.place.go_back
    if share and start is None:
        raise ConfigError("place.go_back", "there are no weights to go back to", "Name them by `--start`.")
    hearing = _aligned(out, start, "projection", QueryTransformer)
    known = [place for place in (out / _ALIGNED, start) if place and (place / _LAYOUT_PROJECTION).is_dir()]
    projection = _from(known[0], _LAYOUT_PROJECTION, QueryTransformer) if known else copy.deepcopy(hearing)
    layout = align.new_layout(projection, own_tokens=projection.config.num_queries)
    layout.load_state_dict(_aligned(out, start, "layout", LayoutPredictor).state_dict())
    place.train(folder, out, hearing, projection, layout, recipe.place)
    if share and start:
        # Those of `start`, not those it began with here: a second run finds them in `out`, gone back already.
        place.go_back(projection, _from(start, _LAYOUT_PROJECTION, QueryTransformer), share)
        place.go_back(layout, _from(start, "layout", LayoutPredictor), share)
    projection.save_pretrained(out / _ALIGNED / _LAYOUT_PROJECTION)
    layout.save_pretrained(out / _ALIGNED / "layout")


def train_diffuse(folder: Path, out: Path, recipe: Recipe, start: Path | None = None) -> None:
    """Step 5: the denoiser, on the tokens of the trained projection.

    `start` is a checkpoint whose denoiser it goes on from, and whose projection it takes where none was trained here.
    """
    denoiser = _denoiser(recipe)
    if start:
        take_over(denoiser, _from(start, "denoiser", Denoiser))
    diffuse.train(folder, out, _aligned(out, start, "projection", QueryTransformer), recipe.diffuse, denoiser)


def finetune_encoder(folder: Path, out: Path, recipe: Recipe, start: Path) -> None:
    """Step 6, of a complete model: its speech encoder, and its projection with it; `start` is its checkpoint."""
    encoder = _from(start, _ENCODER, SpeechEncoder)
    projection = _from(start, "projection", QueryTransformer)
    own = _from(start, _LAYOUT_PROJECTION, QueryTransformer) if (start / _LAYOUT_PROJECTION).is_dir() else None
    finetune.train(folder, out, encoder, projection, own, recipe.finetune)
    encoder.save_pretrained(out / _ALIGNED / _ENCODER)
    projection.save_pretrained(out / _ALIGNED / "projection")


def export(folder: Path, out: Path, target: Path, recipe: Recipe, start: Path | None = None) -> SpeechToImagePipeline:
    """Step 7: put the parts together in diffusers' folder layout, float16 on disk, with the library.

    Parts that were not trained here are those of the checkpoint `start`.
    """
    if start and not (out / pictures.CHECKPOINT).exists():
        image_encoder = _from(start, "image_encoder", ImageEncoder)
    else:
        image_encoder = ImageEncoder()
        _trained(out / pictures.CHECKPOINT, {"encoder": image_encoder})
        pictures.fit_head(image_encoder, folder, recipe.pictures)
    if start and not (out / diffuse.CHECKPOINT).exists():
        average = _from(start, "denoiser", Denoiser)
    else:
        average = _denoiser(recipe)
        _trained(out / diffuse.CHECKPOINT, {"denoiser": _denoiser(recipe), "average": average})
    layout = _aligned(out, start, "layout", LayoutPredictor)
    own = _aligned(out, start, _LAYOUT_PROJECTION, QueryTransformer) if layout.config.own_tokens else None
    pipeline = SpeechToImagePipeline(
        speech_encoder=_encoder(out, start),
        projection=_aligned(out, start, "projection", QueryTransformer),
        image_encoder=image_encoder.eval(),
        layout=layout,
        layout_projection=own,
        denoiser=average.eval(),
        scheduler=FlowMatchEulerDiscreteScheduler(),
    )
    pipeline.with_library(_library(folder, average.config.styles, start))
    pipeline.grounds = _grounds(average.config.styles, start)
    # A grounding listens to the frames of one encoder, and is trained for itself.
    if start and not (out / _ALIGNED / _ENCODER).is_dir() and (known := grounding.load(start, "cpu", torch.float32)):
        pipeline.register_modules(grounding=known[0])
        pipeline.vocabulary = known[1]
    pipeline.to(torch.float16).save_pretrained(target)
    (target / "recipe.json").write_text(json.dumps(recipe.model_dump(mode="json"), indent=1) + "\n", encoding="utf-8")
    return SpeechToImagePipeline.from_pretrained(target)


def _encoder(out: Path | None, start: Path | None) -> SpeechEncoder:
    """The one that was fine-tuned here, else that of the checkpoint `start`, else Whisper's."""
    for folder in (out / _ALIGNED if out else None, start):
        if folder and (folder / _ENCODER).is_dir():
            return _from(folder, _ENCODER, SpeechEncoder).eval()
    return whisper.speech_encoder(whisper.tiny_en())


def _denoiser(recipe: Recipe) -> Denoiser:
    torch.manual_seed(recipe.diffuse.seed)
    return Denoiser(
        token_width=WIDTH,
        embedding_width=WIDTH,
        styles=recipe.data.styles,
        patch=recipe.denoiser_patch,
        widths=recipe.denoiser_widths,
        place_width=len(SETTING_NAMES) + len(TIMES),
        sample_size=recipe.diffuse.size_px,
        light=True,
    )


def _library(folder: Path, styles: Sequence[str], start: Path | None) -> SpriteLibrary:
    """The sprites of all styles, with what the layout predictor learned to ask for.

    That of the checkpoint `start` if it has the same sprites: vectors made on another machine differ in their last
    bits, and the model would get another name for nothing. Other drawings are embedded by the image encoder.
    """
    own = SpriteLibrary.load(folder / "library")
    vectors = load_file(folder / "teacher.safetensors")["sprites"]
    others = [SpriteLibrary.load(folder / STYLES_FOLDER)] if len(styles) > 1 else []
    library = SpriteLibrary.joined([own, *others])
    if start and (known := SpriteLibrary.load(start / LIBRARY_FOLDER)).infos == library.infos:
        return known
    library.vectors = vectors[[own.members(info.concept)[0] for info in library.infos]]
    return library


def _grounds(styles: Sequence[str], start: Path | None) -> Grounds:
    """The coarse grounds of all styles; those of the checkpoint `start` if it has the same places."""
    painted = grounds.paint_all(styles)
    known = Grounds.load(start / GROUNDS_FOLDER) if start else None
    return known if known is not None and np.array_equal(known.keys, painted.keys) else painted


def _from(checkpoint_folder: Path, name: str, part: type[M]) -> M:
    """A part of a checkpoint, in float32.

    Raises:
        ConfigError: there is none, or it is of another version.
    """
    folder = checkpoint_folder / name
    if not folder.is_dir():
        raise ConfigError(str(folder), "the checkpoint to start from has no such part", "Name a checkpoint's folder.")
    made, found = part.from_pretrained(folder, low_cpu_mem_usage=False, output_loading_info=True)  # type: ignore[attr-defined]
    if found["missing_keys"] or found["unexpected_keys"]:
        # Both libraries would fill what is missing with random weights, and go on.
        raise ConfigError(str(folder), "its weights are not those of this version", "Start from another, or afresh.")
    made = made.float()
    if isinstance(made, ConfigMixin):
        made.register_to_config(_name_or_path=name)  # not the folder of this machine, which a checkpoint would tell
    return made  # type: ignore[no-any-return]


def _aligned(out: Path, start: Path | None, name: str, part: type[M]) -> M:
    folder = out / _ALIGNED
    if (folder / name).is_dir():
        return _from(folder, name, part).eval()
    if start is None:
        raise ConfigError(str(folder), f"the {name} is not trained yet", "Run the step `align` first.")
    return _from(start, name, part).eval()


def _trained(path: Path, modules: dict[str, torch.nn.Module]) -> None:
    if checkpoint.resume(path, modules) == 0:
        raise ConfigError(str(path), "this part is not trained yet", "Run its training step first.")
