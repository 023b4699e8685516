"""An imperceptible watermark: whoever has the key can tell that a picture was made here, though its metadata are gone.

A pattern of 128 px that the key makes (band-limited noise) is repeated over the brightness of the picture: spread
spectrum (Cox et al., "Secure Spread Spectrum Watermarking for Multimedia", 1997). It is found as the peak of the
correlation with the pattern over all shifts, so that a crop does not hide it, at a few scales. It says that there is a
mark of this key, and nothing else; it does not survive turning, mirroring or bending the picture.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

F = NDArray[np.float32]

TILE_PX = 128
FOUND_Z = 7.0
"""Standard deviations above chance at which a mark counts as found."""
SCALES = (1.0, 2.0, 0.5)
"""By which a picture is enlarged before it is searched: as it is, halved, doubled."""
LEAST_DB, MOST_DB = 38.0, 44.0
"""Quality of a marked picture (PSNR): as good as it can be while the mark survives, and never worse than the least."""
_SURE_Z = 9.0
_STEP_DB = 1.0
_BAND = (7.0, 30.0)
"""Cycles a tile: slower ones are the picture's own, faster ones are lost by codecs and when it is halved."""
_CLIP = 5.0
_MIN_PX = 96
_MAX_PX = 2048
_TRIAL_QUALITY = 60


def embed(pixels: NDArray[np.uint8], key: bytes) -> NDArray[np.uint8]:
    """The picture with the mark of a key, as faint as it can be while it is found after WebP of quality 60.

    Args:
        pixels: `(H, W, 3)` RGB.
        key: any bytes; who has them can find the mark, and make it.

    Returns:
        Pixels of the same shape, at 38 to 44 dB from the original; smaller pictures than 96 px are left as they are.
    """
    if min(pixels.shape[:2]) < _MIN_PX:
        return pixels
    height, width = pixels.shape[:2]
    tile = _tile(key)
    pattern = np.tile(tile, (-(-height // TILE_PX), -(-width // TILE_PX)))[:height, :width] * _room(pixels)
    pattern /= float(np.sqrt(np.square(pattern).mean()))
    marked = pixels
    for db in np.arange(MOST_DB, LEAST_DB - 0.01, -_STEP_DB):
        # Rounding and clipping take and add a little: 0.1 dB keeps the promise.
        sigma = 255.0 * 10 ** (-(db + 0.1) / 20)
        marked = np.clip(np.rint(pixels + sigma * pattern[:, :, None]), 0, 255).astype(np.uint8)
        if _peak(_phases(_coded(marked)), key) >= _SURE_Z:
            break
    return marked


def detect(pixels: NDArray[np.uint8], key: bytes) -> float:
    """How far the best match with the mark of a key stands above chance, in standard deviations; `FOUND_Z` is enough.

    Args:
        pixels: `(H, W, 3)` RGB of a picture that may have been cropped, scaled to half or double, or saved again.
        key: that it may be marked with.
    """
    return detect_each(pixels, [key])[0]


def detect_each(pixels: NDArray[np.uint8], keys: Sequence[bytes]) -> list[float]:
    """The same for several keys, such as those of earlier years, for little more than one costs."""
    phases = [_phases(_scaled(pixels, scale)) for scale in SCALES]
    return [max(_peak(each, key) for each in phases) for key in keys]


def _scaled(pixels: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    height, width = pixels.shape[:2]
    size = (round(width * scale), round(height * scale))
    if scale == 1.0 or max(size) > 2 * _MAX_PX or min(size) < _MIN_PX // 2:
        return pixels[:_MAX_PX, :_MAX_PX]
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC))[:_MAX_PX, :_MAX_PX]


def _phases(pixels: NDArray[np.uint8]) -> NDArray[np.complex128]:
    """Phases of the spectrum of all tiles together; what is strong in the picture itself would drown the mark."""
    spectrum = np.fft.rfft2(_folded(_residue(pixels)))
    return np.asarray(spectrum / (np.abs(spectrum) + 1e-6))


def _peak(phases: NDArray[np.complex128], key: bytes) -> float:
    agreed = np.fft.irfft2(phases * np.conj(np.fft.rfft2(_tile(key))), s=(TILE_PX, TILE_PX))
    spread = float(agreed.std())
    return float((agreed.max() - agreed.mean()) / spread) if spread > 0 else 0.0


def _residue(pixels: NDArray[np.uint8]) -> F:
    """What remains of the brightness without what is smooth and without edges `(H, W)`."""
    light = pixels.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    return np.asarray(np.clip(light - _blurred(light, 4), -_CLIP, _CLIP), np.float32)


def _folded(residue: F) -> F:
    """The mean of all tiles of a picture `(TILE_PX, TILE_PX)`."""
    height, width = residue.shape
    rows, columns = -(-height // TILE_PX), -(-width // TILE_PX)
    padded = np.zeros((rows * TILE_PX, columns * TILE_PX), np.float32)
    padded[:height, :width] = residue
    return np.asarray(padded.reshape(rows, TILE_PX, columns, TILE_PX).sum(axis=(0, 2)), np.float32)


def _room(pixels: NDArray[np.uint8]) -> F:
    """How much a mark may change each pixel: more where there is texture, less where it is flat `(H, W)`."""
    light = pixels.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    texture = np.sqrt(_blurred(np.square(light - _blurred(light, 3)), 3))
    return np.asarray(0.75 + 0.5 * np.minimum(texture / 12.0, 1.0), np.float32)


def _blurred(values: F, radius: int) -> F:
    """The mean over a square around each pixel."""
    size = 2 * radius + 1
    for axis in (0, 1):
        padded = np.pad(values, [(radius + 1, radius) if each == axis else (0, 0) for each in (0, 1)], mode="edge")
        sums = np.cumsum(padded, axis=axis, dtype=np.float64)
        around = sums[size:] - sums[:-size] if axis == 0 else sums[:, size:] - sums[:, :-size]
        values = (around / size).astype(np.float32)
    return values


@lru_cache(maxsize=64)
def _tile(key: bytes) -> F:
    """The pattern of a key `(TILE_PX, TILE_PX)`, with mean 0 and deviation 1."""
    seed = int.from_bytes(hashlib.sha256(b"s2i watermark 1\0" + key).digest())
    noise = np.random.default_rng(seed).standard_normal((TILE_PX, TILE_PX))
    down, across = np.fft.fftfreq(TILE_PX) * TILE_PX, np.fft.rfftfreq(TILE_PX) * TILE_PX
    speed = np.hypot(down[:, None], across[None, :])
    passed = np.fft.rfft2(noise) * ((speed >= _BAND[0]) & (speed <= _BAND[1]))
    tile = np.fft.irfft2(passed, s=(TILE_PX, TILE_PX))
    return np.asarray(tile / tile.std(), np.float32)


def _coded(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "WEBP", quality=_TRIAL_QUALITY, method=2)
    with Image.open(out) as image:
        return np.asarray(image.convert("RGB"))
