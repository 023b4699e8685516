"""What a published picture gets: a watermark in its pixels, then credentials in its file. Signing comes last."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from s2i_core.config import ProvenanceConfig
from s2i_core.provenance import watermark
from s2i_core.provenance.authority import DEVELOPMENT, Keys, keys
from s2i_core.provenance.credentials import Origin, Signer


class Stamp:
    """Marks and signs pictures as the settings want. One for a process: it is not carried to another.

    Args:
        config: what is wanted, and whose keys.

    Raises:
        ConfigError: the keys can't be used.
    """

    def __init__(self, config: ProvenanceConfig) -> None:
        self.marks = config.watermark
        self._keys: Keys | None = keys(config) if config.sign or config.watermark else None
        self._signer = Signer(self._keys) if config.sign and self._keys else None

    @property
    def signed_by(self) -> str:
        """Who signs, as a pack says it; empty where nobody does."""
        if self._signer is None or self._keys is None:
            return ""
        return DEVELOPMENT if self._keys.development else self._keys.name

    def mark(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The picture `(H, W, 3)` with the watermark, if it is wanted."""
        return watermark.embed(pixels, self._keys.watermark) if self.marks and self._keys else pixels

    def sign(self, data: bytes, media_type: str, origin: Origin) -> bytes:
        """The file with credentials, if they are wanted."""
        return data if self._signer is None else self._signer.sign(data, media_type, origin)


@lru_cache(maxsize=1)
def stamp_of(config: ProvenanceConfig) -> Stamp:
    """The stamp of this process for these settings."""
    return Stamp(config)
