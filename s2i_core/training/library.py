"""Fill up the library of a checkpoint: everything in every style."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from s2i_core.corpus.folder import title_vectors
from s2i_core.corpus.sources import icons
from s2i_core.english.vocabulary import english
from s2i_core.errors import ModelError
from s2i_core.models.decoders.native.library import SpriteLibrary
from s2i_core.weights import ANCHORS, LIBRARY_FOLDER


def complete(checkpoint: Path) -> SpriteLibrary:
    """Give the library of a checkpoint what `icons.completed` makes of it; what was made before is made anew.

    The vectors of what it has stay as they are, and so do the anchors of confidence: what counts as drawable is
    measured against the things that the projection was trained with.

    Raises:
        ModelError: the library has no vectors, or no large drawings.
        PackageError: a set of icons cannot be fetched.
    """
    folder = checkpoint / LIBRARY_FOLDER
    emoji = SpriteLibrary.load(folder).kept(lambda info: not info.redrawing)
    known = emoji.vectors
    if known is None:
        raise ModelError(str(folder), "the library has no vectors", "Export the checkpoint again.")
    first = {info.concept: place for place, info in reversed(list(enumerate(emoji.infos)))}
    vectors: dict[str, NDArray[np.float32]] = {concept: known[place] for concept, place in first.items()}
    new = [concept.name for concept in english().concepts.values() if concept.drawing]
    vectors |= dict(zip(new, title_vectors(new), strict=True))
    anchors = checkpoint / ANCHORS
    if not anchors.is_file():
        anchors.parent.mkdir(exist_ok=True)
        save_file({"vectors": known[sorted(first.values())]}, anchors)
    library = icons.completed(emoji, vectors, folder)
    library.save(folder)
    return library


def told(library: SpriteLibrary) -> dict[str, Any]:
    """What is in a library, in numbers."""
    styles = list(dict.fromkeys(info.style for info in library.infos))
    return {
        "things": len(library.concepts),
        "drawings": len(library),
        "borrowed": sum(info.borrowed for info in library.infos),
        "styles": {style: len(library.styled(style).concepts) for style in styles},
    }
