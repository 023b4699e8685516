"""Judges of pictures: two small networks, trained on composed scenes alone, that say what a picture shows.

They share nothing with the model that they judge: no weights, no text teacher, no shared space. The `namer` looks at
the places where things are to be and says which stand there, and in which colour; with the places, that tells how many
there are and where one stands to another. `scenery` looks at the whole picture and names its setting.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from s2i_core.config import Settings
from s2i_core.corpus.backgrounds import SETTING_NAMES
from s2i_core.corpus.compose import SpriteBook, render
from s2i_core.corpus.spec import SceneSpec
from s2i_core.errors import ConfigError, ModelError
from s2i_core.evaluation.native import namer as naming
from s2i_core.evaluation.native import scenery as looking
from s2i_core.evaluation.native.composed import scenes, test_scenes
from s2i_core.evaluation.native.namer import COLOUR_NAMES, PICTURE_PX, Namer, NamerConfig
from s2i_core.evaluation.native.scenery import Scenery, SceneryConfig
from s2i_core.identity import files_digest
from s2i_core.models.decoders.native.reference import Slot

ASPECTS = ("object", "setting", "colour", "number", "relation")
RELATIONS = ("left", "right", "above", "front")
_WEIGHTS = ("scenery.safetensors", "namer.safetensors")
_CARD = "judge.json"
_TRAIN = "Train one for this library: `python -m s2i_core.evaluation judges`."


class JudgesConfig(Settings):
    """How much and how long."""

    scenes: int = Field(16_000, gt=0, description="Composed scenes to learn from.")
    tests: int = Field(400, gt=0, description="Composed scenes of unseen combinations to be tested on.")
    seed: int = Field(13, ge=0, description="Seed of the scenes.")
    scenery: SceneryConfig = Field(default_factory=SceneryConfig, description="Training of the judge of settings.")
    namer: NamerConfig = Field(default_factory=NamerConfig, description="Training of the namer.")


class Judges:
    """The trained judges with their list of things.

    Args:
        scenery: sees whole pictures.
        namer: sees the places of things.
        concepts: the things they know, in their order.
    """

    def __init__(self, scenery: Scenery, namer: Namer, concepts: Sequence[str]) -> None:
        self.scenery = scenery.eval()
        self.namer = namer.eval()
        self.concepts = tuple(concepts)

    @classmethod
    def load(cls, folder: Path, concepts: Sequence[str]) -> Judges:
        """The judges that `train` left in a folder.

        Args:
            folder: of the judges.
            concepts: the things of the library whose pictures are judged.

        Raises:
            ConfigError: there are none, or they know other things than the library has.
            ModelError: a file is damaged.
        """
        card = folder / _CARD
        if not card.exists():
            raise ConfigError(str(folder), "no judge is trained here", _TRAIN)
        try:
            known = json.loads(card.read_text(encoding="utf-8"))["concepts"]
            judges = cls._read(folder, known)
        except (OSError, SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
            raise ModelError(str(folder), f"not a judge: {error}", _TRAIN) from error
        if different := sorted(set(known) ^ set(concepts)):
            raise ConfigError(
                str(folder),
                f"the judge knows {len(known)} things and the library has {len(set(concepts))}; "
                f"not in both: {', '.join(different[:5])}{', ...' if len(different) > 5 else ''}",
                _TRAIN,
            )
        return judges

    @classmethod
    def _read(cls, folder: Path, concepts: Sequence[str]) -> Judges:
        scenery, namer = Scenery(len(concepts)), Namer(len(concepts))
        for name, module in zip(_WEIGHTS, (scenery, namer), strict=True):
            module.load_state_dict(load_file(folder / name))
        return cls(scenery, namer, concepts)

    def features(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """One vector a picture `(B, 2 D)`, the space of FID and its like."""
        return np.asarray(looking.summarise(self.scenery, pictures).numpy(), dtype=np.float32)

    @torch.inference_mode()
    def right(
        self, pictures: NDArray[np.uint8], specs: Sequence[SceneSpec], slots: Sequence[Sequence[Slot]]
    ) -> dict[str, list[bool]]:
        """For each picture whether it shows what its spec tells; only the scenes that tell of it are in a list.

        object: every thing that the scene names stands in some place; number: the thing stands in as many places as
        the scene says; colour and relation: of the places that look most like the things; setting: where it is named.

        Args:
            pictures: `(B, S, S, 3)`.
            specs: what was asked for.
            slots: the places where a picture has something, by its layout.
        """
        place = {concept: n for n, concept in enumerate(self.concepts)}
        settings = self.scenery.setting(looking.summarise(self.scenery, pictures)).argmax(1).tolist()
        looks = naming.look(self.namer, pictures, slots)
        found: dict[str, list[bool]] = {name: [] for name in ASPECTS}
        for spec, seen, setting in zip(specs, looks, settings, strict=True):
            named = [place[group.concept] for group in spec.groups]
            found["object"].append(all(seen.count(concept) for concept in named))
            for group, concept in zip(spec.groups, named, strict=True):
                if group.colour:
                    found["colour"].append(seen.colour(concept) == COLOUR_NAMES.index(group.colour))
                if group.count > 1:
                    found["number"].append(seen.count(concept) == group.count)
            if spec.told_setting:
                found["setting"].append(SETTING_NAMES[setting] == spec.setting)
            if spec.relation in RELATIONS and len(named) == 2:
                found["relation"].append(seen.stand(named[0], named[1], spec.relation))
        return found


def shipped() -> Path:
    """Folder of the judges that the package carries."""
    return Path(str(resources.files("s2i_core.evaluation.native"))) / "judge"


def judge_digest(folder: Path) -> str:
    """Name of the judges in a folder: the digest of their weights; of nothing where there are none."""
    return files_digest((folder / name for name in _WEIGHTS if (folder / name).exists()), folder)


def train(folder: Path, book: SpriteBook, config: JudgesConfig, tell: Callable[[str], None] = lambda _: None) -> Judges:
    """Train the judges in `folder`; goes on where it was cut off, and returns at once where they are trained."""
    if (folder / _CARD).exists():
        return Judges.load(folder, book.library.concepts)
    concepts = book.library.concepts
    specs, pictures = scenes(folder / "scenes", book, config.scenes, PICTURE_PX, config.seed, tell)
    namer = naming.train(folder, book, specs, pictures, config.namer, tell)
    scenery = looking.train(folder, concepts, specs, pictures, config.scenery, tell)
    for name, module in zip(_WEIGHTS, (scenery, namer), strict=True):
        # Half the bytes: the judges ship with the package.
        save_file({key: _half(value).contiguous() for key, value in module.state_dict().items()}, folder / name)
    judges = Judges._read(folder, concepts)
    tested = test_scenes(book, config.tests, config.seed)
    drawn = np.stack([render(spec, book, PICTURE_PX)[0] for spec in tested])
    right = judges.right(drawn, tested, [spec.slots for spec in tested])
    card = {
        "steps": {"scenery": config.scenery.steps, "namer": config.namer.steps},
        "digest": judge_digest(folder),
        "accuracy": {name: {"n": len(found), "right": sum(found)} for name, found in right.items()},
        "concepts": concepts,
    }
    # Last, for its being there says that the rest is.
    lines = [f"{json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}" for name, value in card.items()]
    (folder / _CARD).write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    return judges


def _half(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.half() if tensor.is_floating_point() else tensor
