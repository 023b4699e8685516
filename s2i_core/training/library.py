"""Fill up the library of a checkpoint: everything in every style."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from s2i_core.config import ImageConfig
from s2i_core.corpus.folder import title_vectors
from s2i_core.corpus.sources import icons
from s2i_core.corpus.teacher import other_nouns
from s2i_core.english.vocabulary import english
from s2i_core.errors import ModelError
from s2i_core.models.decoders.native.library import SpriteLibrary
from s2i_core.models.speech.grounding import Vocabulary
from s2i_core.weights import ANCHORS, GROUNDING_FOLDER, LIBRARY_FOLDER

_LICENCES = {
    "Apache-2.0": "Apache License 2.0",
    "MIT": "MIT License",
    "ISC": "ISC License",
    "CC0-1.0": "CC0 1.0, dedicated to the public domain",
    "CC-BY-3.0": "CC BY 3.0, https://creativecommons.org/licenses/by/3.0/",
    "CC-BY-4.0": "CC BY 4.0, https://creativecommons.org/licenses/by/4.0/",
}


def complete(checkpoint: Path) -> SpriteLibrary:
    """Give the library of a checkpoint what `icons.completed` makes of it; what was made before is made anew.

    The vectors of what it has stay as they are, and so do the anchors of confidence: what counts as drawable is
    measured against the things that the projection was trained with. A grounding gets the new things to listen for.

    Raises:
        ModelError: the library has no vectors, or no large drawings.
        PackageError: a set of icons cannot be fetched.
    """
    folder = checkpoint / LIBRARY_FOLDER
    emoji = SpriteLibrary.load(folder).as_drawn
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
    if (checkpoint / GROUNDING_FOLDER).is_dir():
        to_be_heard(library).save(checkpoint / GROUNDING_FOLDER)
    return library


def to_be_heard(library: SpriteLibrary) -> Vocabulary:
    """What a grounding listens for: the things of a library in the style that is drawn by default, and other nouns."""
    shown = library.styled(ImageConfig().style)
    titles = [info.name for info in shown.infos]
    return Vocabulary(titles, np.asarray(shown.vectors, np.float32), other_nouns(set(titles)))


def credits_of(library: SpriteLibrary) -> list[str]:
    """Whom a library's redrawn icons are to be credited to, a paragraph of NOTICE for each set that it has some of."""
    used = {info.source for info in library.infos if info.redrawing}
    return [
        f"{one.source}, by {one.author}: {_LICENCES[one.licence]}.\n    {one.url}, from the package {one.package.name}."
        for one in icons.ICON_SOURCES.values()
        if one.source in used
    ]


def told(library: SpriteLibrary) -> dict[str, Any]:
    """What is in a library, in numbers."""
    styles = list(dict.fromkeys(info.style for info in library.infos))
    return {
        "things": len(library.concepts),
        "drawings": len(library),
        "borrowed": sum(info.borrowed for info in library.infos),
        "styles": {style: len(library.styled(style).concepts) for style in styles},
    }
