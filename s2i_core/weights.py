"""Where a model's files lie, and the digests that name its parts; needs no torch, so that a driver can do without."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from s2i_core.config import ModelConfig, PartConfig, RunConfig, SceneConfig, SpeechEncoderConfig
from s2i_core.errors import ModelError
from s2i_core.identity import Digests, config_digest, digest, files_digest

FORMAT_VERSION = 3
"""Version 2 had the confidence limit in the settings, and one digest for all parts."""
LIBRARY_FOLDER = "library"
GROUNDS_FOLDER = "grounds"
GROUNDING_FOLDER = "grounding"
LEAST_KEPT = 0.3
"""Things that are less probable are not kept."""
ANCHORS = Path("space") / "anchors.safetensors"
"""The vectors that confidence is measured against, if they are not those of the checkpoint's own library."""
FACTS = "s2i.json"
_DECISIVE = {".safetensors", ".json"}
DEFAULT_MIN_CONFIDENCE = 0.27
"""The confidence limit of all checkpoints of format 2."""
_SHIPPED_WITH_0_1 = "b566d1606a80ba058b50e17182c74b02"
_NAMED_BEFORE = {
    "8273c9ae0c58a2c3428d70e57e6c5af1": _SHIPPED_WITH_0_1,  # encoder and space
    "cb084e8baf2d788b685b4f2013528e63": _SHIPPED_WITH_0_1,  # the same, with each of its anchors once
    "faf7d09c8aef4a9da13271b48631963d": _SHIPPED_WITH_0_1,  # native decoder
}
"""The names that tables have for parts that were shipped when a model had one digest: nothing of theirs is redone."""


@dataclass(frozen=True)
class Facts:
    """What `s2i.json` says about a checkpoint."""

    format_version: int
    min_confidence: float


def shipped_checkpoint() -> Path:
    """Folder of the weights that the package carries."""
    return Path(str(resources.files("s2i_core"))) / "checkpoints" / "s2i-native"


def checkpoint_folder(checkpoint: str) -> Path:
    """Folder of a checkpoint; of the shipped one if none is named.

    Raises:
        ModelError: there is none.
    """
    folder = Path(checkpoint) if checkpoint else shipped_checkpoint()
    if not (folder / "model_index.json").is_file():
        raise ModelError(str(folder), "there is no saved pipeline here", "Name a folder that save_pretrained made.")
    return folder


def facts(folder: Path) -> Facts:
    """What is known about a checkpoint.

    Raises:
        ModelError: it is damaged, or of a version that this s2i cannot read.
    """
    try:
        told = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        found = Facts(int(told["format_version"]), float(told.get("min_confidence", DEFAULT_MIN_CONFIDENCE)))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(
            str(folder), f"{FACTS} is missing or damaged: {error}", "Copy the checkpoint again."
        ) from error
    if not 2 <= found.format_version <= FORMAT_VERSION:
        raise ModelError(
            str(folder),
            f"its format is version {found.format_version}, this s2i reads versions 2 to {FORMAT_VERSION}",
            "Install a newer s2i." if found.format_version > FORMAT_VERSION else "Export it again.",
        )
    return found


def folder_digest(folder: Path) -> str:
    """Digest of a folder: of those files in it that decide what a model does."""
    return files_digest((path for path in folder.rglob("*") if path.is_file() and path.suffix in _DECISIVE), folder)


def part_digest(part: PartConfig, kind: str, folder: Path) -> str:
    """Digest of a part of a checkpoint: of the files that decide what it does, and of its kind.

    Raises:
        ModelError: it names a library, and there is none.
    """
    library = getattr(part, "library", "")
    own = {LIBRARY_FOLDER: library_folder(library)} if library else {}
    # What came later counts only where it is there: checkpoints without it keep their names.
    names = [*part.parts, *(name for name in part.later_parts if (folder / name).is_dir())]
    return digest(
        kind, *([part.way] if part.way else []), *(folder_digest(own.get(name, folder / name)) for name in names)
    )


def speech_digest(encoder: SpeechEncoderConfig, folder: Path) -> str:
    """Digest of the speech encoder of a checkpoint, with its own settings."""
    name = part_digest(encoder, encoder.kind, folder)
    return digest(name, config_digest(encoder.own_settings)) if encoder.own_settings else name


def space_digest(folder: Path) -> str:
    """Digest of the shared space of a checkpoint: of its image encoder, its anchors and its confidence limit."""
    path = anchors_file(folder)
    try:
        with safe_open(path, framework="np") as file:
            anchors = hashlib.sha256(file.get_tensor("vectors").tobytes()).hexdigest()
    except (OSError, SafetensorError) as error:
        raise ModelError(str(path), f"its vectors cannot be read: {error}", "Copy the checkpoint again.") from error
    return digest("space", folder_digest(folder / "image_encoder"), anchors, str(facts(folder).min_confidence))


def anchors_file(folder: Path) -> Path:
    """The file whose `vectors` are the anchors of the space: its own, otherwise the library of its checkpoint."""
    own = folder / ANCHORS
    return own if own.is_file() else folder / LIBRARY_FOLDER / "sprites.safetensors"


def scenes_named_by(encoder: str, space: str) -> str:
    """The digest that names scenes, from those of a speech encoder and its space."""
    name = digest("encoder", encoder, space)
    return _NAMED_BEFORE.get(name, name)


def encoder_digest(config: ModelConfig) -> str:
    """The digest that names scenes, together with that of the plan settings: of the speech encoder and its space.

    Raises:
        ModelError: there is no checkpoint, or it is damaged.
    """
    folder = checkpoint_folder(config.encoder.checkpoint or config.checkpoint)
    return scenes_named_by(speech_digest(config.encoder, folder), space_digest(folder))


def decoder_digest(config: ModelConfig) -> str:
    """The digest that names images, together with that of the image settings: of the chosen decoder's files alone.

    Raises:
        ModelError: there is no checkpoint, or no library.
    """
    decoder = config.decoder
    name = part_digest(decoder, decoder.kind, checkpoint_folder(decoder.checkpoint or config.checkpoint))
    return _NAMED_BEFORE.get(name, name)


def library_folder(library: str) -> Path:
    """Folder of a library.

    Raises:
        ModelError: there is none.
    """
    folder = Path(library)
    if not (folder / "sprites.json").is_file():
        raise ModelError(str(folder), "there is no library here", "Make one: s2i library build.")
    return folder


def digests(config: RunConfig) -> Digests:
    """The digests that name the scenes and images made with these settings.

    Raises:
        ModelError: there is no checkpoint, or no library.
    """
    model = config.model
    return Digests(encoder_digest(model), config.plan_digest, decoder_digest(model), config.image_digest)


def name_in_0_1(config: ModelConfig) -> str:
    """The single name that version 0.1 gave the model of these settings, for scenes and images alike.

    Raises:
        ModelError: there is no checkpoint, or no library.
    """
    library = getattr(config.decoder, "library", "")
    folder = checkpoint_folder(config.encoder.checkpoint or config.checkpoint)
    # What ships is another checkpoint by now, in the place of that one.
    name = _SHIPPED_WITH_0_1 if folder == shipped_checkpoint() else folder_digest(folder)
    return digest("library", name, folder_digest(library_folder(library))) if library else name


def scene_settings(config: RunConfig) -> SceneConfig:
    """How scenes are planned, with the confidence limit that applies: the setting, otherwise that of the space.

    Raises:
        ModelError: there is no checkpoint, or it is damaged.
    """
    if config.scenes.min_confidence is not None:
        return config.scenes
    return config.scenes.model_copy(update={"min_confidence": facts(_hears(config)).min_confidence})


def least_confidence(config: RunConfig) -> float | None:
    """How sure it must be that a thing is named for a picture to show it; None where scenes are planned without things.

    Raises:
        ModelError: there is no checkpoint, or it is damaged.
    """
    folder = _hears(config) / GROUNDING_FOLDER
    if config.scenes.precision is None or not folder.is_dir():
        return None
    try:
        told = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        return confidence_for(config.scenes.precision, told.get("limits") or ())
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ModelError(str(folder), f"its config is damaged: {error}", "Copy the checkpoint again.") from error


def least_heard(config: RunConfig) -> float | None:
    """How sure it must be that a thing is named for the table of things to have it: less than for a picture.

    Raises:
        ModelError: there is no checkpoint, or it is damaged.
    """
    least = least_confidence(config)
    return None if least is None else min(least, LEAST_KEPT)


def confidence_for(precision: float, limits: Sequence[tuple[float, float]]) -> float:
    """The confidence from which what is heard has this precision, by pairs of both that were measured.

    Between them on a line. Where nothing was measured, confidence is taken at its word, which is careful: of what is at
    least so sure, most is surer.
    """
    if not limits:
        return precision
    at, confidences = zip(*[(0.0, 0.0), *sorted(limits), (1.0, 1.0)], strict=True)
    return float(np.interp(precision, at, confidences))


def _hears(config: RunConfig) -> Path:
    return checkpoint_folder(config.model.encoder.checkpoint or config.model.checkpoint)
