"""Ids of recordings, scenes and images, and seeds: pure functions of what they identify."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ID_HEX = 32
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Digests:
    """What identifies the scenes and the images of a run: digests of the weights and settings that make each.

    Attributes:
        encoder: of the speech encoder and its space; `model_digest` of `recordings` and `scenes`.
        plan: of the settings of audio and scenes.
        decoder: of the image decoder; `model_digest` of `images`.
        image: of the settings that the decoder reads.
    """

    encoder: str
    plan: str
    decoder: str
    image: str

    @property
    def model(self) -> str:
        """Name of the whole model."""
        return self.encoder if self.encoder == self.decoder else digest("model", self.encoder, self.decoder)

    def named(self) -> dict[str, str]:
        """All of them, by the names that they have in reports of runs."""
        return {f"{name}_digest": value for name, value in (vars(self) | {"model": self.model}).items()}


def digest(*parts: str | int) -> str:
    """First 32 hex digits of the SHA-256 of the parts; where one part ends and the next begins matters."""
    return hashlib.sha256(json.dumps([str(part) for part in parts]).encode()).hexdigest()[:ID_HEX]


def config_digest(settings: Mapping[str, Any]) -> str:
    """Digest of plain settings, whatever the order of their keys."""
    return digest(json.dumps(settings, sort_keys=True, separators=(",", ":"), ensure_ascii=True))


def recording_id(sha256_hex: str) -> str:
    """Id of a recording from the SHA-256 of the object's bytes: the same audio under two keys is one recording."""
    return sha256_hex[:ID_HEX]


def scene_id(recording: str, start_ms: int, end_ms: int, model_digest: str, plan_digest: str) -> str:
    """Id of the scene `[start_ms, end_ms)` of a recording, as this model and these plan settings see it."""
    return digest("scene", recording, start_ms, end_ms, model_digest, plan_digest)


def thing_id(recording: str, start_ms: int, title: str, model_digest: str, plan_digest: str) -> str:
    """Id of a thing that is named in a recording from there on."""
    return digest("thing", recording, start_ms, title, model_digest, plan_digest)


def image_id(scene: str, model_digest: str, image_digest: str) -> str:
    """Id of the image of a scene: another decoder or other image settings make another image beside the old one."""
    return digest("image", scene, model_digest, image_digest)


MAX_SEED = (1 << 63) - 1


def seed(scene: str, variant: int = 0) -> int:
    """Seed of a scene's image: the low 63 bits of the scene id; of another variant, one made from it."""
    return variation(int(scene, 16) & MAX_SEED, variant)


def variation(seed: int, variant: int) -> int:
    """Seed of a variant of the picture with this seed; of the first, that very one."""
    return int(digest("variation", seed, variant), 16) & MAX_SEED if variant else seed


def files_digest(paths: Iterable[Path], root: Path) -> str:
    """Digest of a set of files: of their names relative to `root` and their bytes."""
    entries: list[str] = []
    for path in sorted(paths):
        sha = hashlib.sha256()
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                sha.update(chunk)
        entries.append(f"{path.relative_to(root).as_posix()}={sha.hexdigest()}")
    return digest("files", *entries)
