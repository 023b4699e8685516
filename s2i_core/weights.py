"""Where a model's files lie and how it is named by them; needs no torch, so that a driver can do without."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from s2i_core.config import ModelConfig
from s2i_core.errors import ModelError
from s2i_core.identity import digest, files_digest

LIBRARY_FOLDER = "library"
GROUNDS_FOLDER = "grounds"
_DECISIVE = {".safetensors", ".json"}


def shipped_checkpoint() -> Path:
    """Folder of the weights that the package carries."""
    return Path(str(resources.files("s2i_core"))) / "checkpoints" / "s2i-native"


def checkpoint_folder(config: ModelConfig) -> Path:
    """Folder of the settings' checkpoint.

    Raises:
        ModelError: there is none.
    """
    folder = Path(config.checkpoint) if config.checkpoint else shipped_checkpoint()
    if not (folder / "model_index.json").is_file():
        raise ModelError(str(folder), "there is no saved pipeline here", "Name a folder that save_pretrained made.")
    return folder


def folder_digest(folder: Path) -> str:
    """Name of a checkpoint or a library: the digest of the files that decide what it does."""
    return files_digest((path for path in folder.rglob("*") if path.is_file() and path.suffix in _DECISIVE), folder)


def model_digest(config: ModelConfig) -> str:
    """Name of the model that draws under these settings: of its checkpoint, and of its library where that is another.

    Raises:
        ModelError: there is no checkpoint, or no library.
    """
    name = folder_digest(checkpoint_folder(config))
    if not config.library:
        return name
    library = Path(config.library)
    if not (library / "sprites.json").is_file():
        raise ModelError(str(library), "there is no library here", "Make one: s2i library build.")
    return digest("library", name, folder_digest(library))
