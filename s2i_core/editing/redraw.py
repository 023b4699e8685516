"""A picture drawn once more: from its row alone, pixel for pixel, or otherwise as an editor asks."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from pydantic import ValidationError
from safetensors.numpy import load as arrays_of
from safetensors.numpy import save

from s2i_core import identity, steps
from s2i_core.config import ImageConfig, RunConfig
from s2i_core.errors import ConfigError, ModelError
from s2i_core.identity import MAX_SEED
from s2i_core.models.contracts import F16, Model, ThingHearer
from s2i_core.publish.images import encode_image
from s2i_core.records import NAMED, SHOWN_THINGS, ImageSample
from s2i_core.scenes import MOST_THINGS
from s2i_core.steps import Picture, Planned
from s2i_core.storage.artifacts import image_key

_MOST_STEPS = 100
_LIKE = 8
"""Names that an error proposes."""


class Artist(Protocol):
    """Draws scenes: a model of this process, or one behind a service."""

    @property
    def encoder_digest(self) -> str:
        """Digest of the encoder whose scenes it can draw."""

    @property
    def decoder_digest(self) -> str:
        """Digest that names its pictures."""

    @property
    def device(self) -> str:
        """Where it draws."""

    def check(self, image: ImageConfig) -> None:
        """Raise `ConfigError` where it can't draw so."""

    def vectors(self, titles: Sequence[str]) -> F16:
        """Vectors `(n, E)` of things by what they are called; raises `ConfigError` for one that it does not know."""

    def draw(self, scene: Planned, seed: int, image: ImageConfig) -> Picture:
        """The picture of a scene."""


class ModelArtist:
    """An `Artist` over a model of this process."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self.encoder_digest = model.encoder_digest
        self.decoder_digest = model.decoder_digest
        self.device = model.device

    def check(self, image: ImageConfig) -> None:
        """Raise `ConfigError` where it can't draw so."""
        self._model.decoder.info.check(image)

    def vectors(self, titles: Sequence[str]) -> F16:
        """Vectors `(n, E)` of things."""
        return thing_vectors(self._model, titles)

    def draw(self, scene: Planned, seed: int, image: ImageConfig) -> Picture:
        """The picture of a scene."""
        return steps.draw_batch([scene], [seed], image, self._model)[0]


def thing_vectors(model: Model, titles: Sequence[str]) -> F16:
    """Vectors `(n, E)` of things by what the encoder's vocabulary calls them; capitals do not matter.

    Raises:
        ConfigError: it knows no such thing, or no things at all.
    """
    encoder = model.encoder
    if not isinstance(encoder, ThingHearer) or encoder.grounding is None:
        raise ConfigError("things", "this model hears no single things", "Choose a checkpoint that has a grounding.")
    vocabulary = encoder.grounding[1]
    places = {title.casefold(): place for place, title in reversed(list(enumerate(vocabulary.titles)))}
    for title in titles:
        if title.casefold() not in places:
            like = sorted(each for each in places if title.casefold() in each or each in title.casefold())[:_LIKE]
            hint = f"Try {', '.join(like)}." if like else 'See them: s2i query "SELECT DISTINCT thing FROM things".'
            raise ConfigError(f"thing {title!r}", "the model can't draw it under this name", hint)
    return np.stack([vocabulary.vectors[places[title.casefold()]] for title in titles]).astype(np.float16)


@dataclass(frozen=True)
class Wish:
    """How a picture is to be drawn otherwise; None for as it was.

    Attributes:
        seed: of the noise and the composition; None for one that the scene had not yet.
        things: titles of what it is to show instead of what was heard.
    """

    seed: int | None = None
    style: str | None = None
    steps: int | None = None
    things: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.seed is not None and not 0 <= self.seed <= MAX_SEED:
            raise ConfigError(f"seed {self.seed}", f"a seed is 0 to {MAX_SEED}", "Choose another.")
        if self.steps is not None and not 1 <= self.steps <= _MOST_STEPS:
            raise ConfigError(f"steps {self.steps}", f"steps are 1 to {_MOST_STEPS}", "Choose another number.")
        if self.things is not None and not 1 <= len(self.things) <= MOST_THINGS:
            raise ConfigError(
                f"{len(self.things)} things", f"a picture shows one to {MOST_THINGS}", "Name the most important ones."
            )


@dataclass(frozen=True)
class Recipe:
    """All that a picture is drawn from, beside the model and the row of its scene."""

    seed: int
    image: ImageConfig
    things: tuple[str, ...] | None = None

    def wished(self, wish: Wish, seed: int) -> Recipe:
        """With the changes of a wish; `seed` is taken where it names none."""
        told = {name: value for name, value in (("style", wish.style), ("steps", wish.steps)) if value is not None}
        return Recipe(
            seed if wish.seed is None else wish.seed,
            self.image.model_copy(update=told),
            self.things if wish.things is None else wish.things,
        )


def recipe(row: Mapping[str, Any], config: RunConfig) -> Recipe:
    """What the picture of a row of `images` was drawn from.

    Args:
        row: it may be of a version of before, which did not write its settings down.
        config: fills in what such a row lacks; its digest tells whether that is right.

    Raises:
        ConfigError: the row's settings can't be read, or these are not the settings of such an old row.
    """
    if row["settings"]:
        try:
            image, things = steps.settings_of(row["settings"])
        except (ValueError, KeyError, TypeError, ValidationError) as error:
            raise ConfigError(
                f"image {row['image_id']}", f"its settings can't be read ({error})", "Use the version that drew it."
            ) from error
        return Recipe(row["seed"], image, None if things is None else tuple(things))
    told = {name: row[name] for name in ("style", "steps", "guidance", "format")} | {"variant": row["variant"] or 0}
    image = config.image.model_copy(update=told | {"size_px": max(row["width_px"], row["height_px"])})
    if _named(config, image) != row["image_digest"]:
        raise ConfigError(
            f"image {row['image_id']}",
            "it was drawn by a version that did not write its settings down, and not with these",
            "Name the preset and the settings of its run with --preset and --set.",
        )
    return Recipe(row["seed"], image)


def image_digest(config: RunConfig, of: Recipe, scene_id: str) -> str:
    """The digest that names pictures of this recipe: that of a run, where a run would draw the same."""
    own = _named(config, of.image)
    if of.things is None and of.seed == identity.seed(scene_id, of.image.variant):
        return own
    return identity.digest(own, of.seed, *(of.things or ()))


def _named(config: RunConfig, image: ImageConfig) -> str:
    return config.model_copy(update={"image": image}).image_digest


def drawn(of: Recipe, scene: Planned, artist: Artist) -> tuple[Picture, bytes]:
    """The picture, and its file.

    Raises:
        ConfigError: the model can't draw so.
        ModelError: the scene was planned with another encoder's vectors.
    """
    artist.check(of.image)
    picture = artist.draw(scene if of.things is None else with_things(scene, of.things, artist), of.seed, of.image)
    return picture, encode_image(picture.pixels, of.image, picture.contents)


def with_things(scene: Planned, titles: Sequence[str], artist: Artist) -> Planned:
    """The scene, as if these things had been named in it for certain, when it begins.

    Raises:
        ConfigError: the model knows no such thing.
    """
    extras = dict(arrays_of(scene.focus_extras)) if scene.focus_extras else {}
    extras[SHOWN_THINGS] = artist.vectors(titles)
    extras[NAMED] = np.array([(1.0, scene.start_s)] * len(titles), np.float32)
    return replace(scene, focus_extras=save({name: np.ascontiguousarray(each) for name, each in extras.items()}))


def redrawn(row: Mapping[str, Any], scene: Planned, config: RunConfig, artist: Artist) -> bytes:
    """The file of a row of `images`, drawn again from nothing but that row and its scene's.

    Raises:
        ConfigError: the row's settings can't be had.
        ModelError: it was drawn with another decoder or library.
    """
    if row["model_digest"] != artist.decoder_digest:
        raise ModelError(
            f"image {row['image_id']}",
            f"decoder {row['model_digest']} drew it, and this one is {artist.decoder_digest}",
            "Name its checkpoint and its library: --checkpoint, --library.",
        )
    return drawn(recipe(row, config), scene, artist)[1]


def image_of(
    of: Recipe, scene: Planned, picture: Picture, data: bytes, artist: Artist, config: RunConfig, prefix: str, edit: str
) -> ImageSample:
    """The row of a picture that an editor asked for.

    Args:
        prefix: of the destination in its bucket.
        edit: id of the edit; what draws it is called by it, too.
    """
    digest = image_digest(config, of, scene.scene_id)
    image_id = identity.image_id(scene.scene_id, artist.decoder_digest, digest)
    key = image_key(prefix, scene.recording_id, round(scene.start_s * 1000), image_id, of.image.format)
    return steps.image_row(
        scene,
        picture,
        data,
        key,
        image=of.image,
        model=artist,
        image_digest=digest,
        run_id=f"edit-{edit[:12]}",
        things=of.things,
        edit_id=edit,
    )


def told(row: Mapping[str, Any]) -> dict[str, Any]:
    """What was asked for in the picture of a row of `images`, for people and programs."""
    settings = json.loads(row["settings"]) if row["settings"] else {}
    return {"seed": str(row["seed"]), "style": row["style"], "steps": row["steps"], "things": settings.get("things")}
