"""Credentials and the watermark against what happens to pictures: attack × watermark × verdict of the credentials.

The pictures are composed at random of the shipped library's drawings on coloured grounds, from seeds that were never
used to tune the watermark; each has a key of its own. Those that are not ours are composed likewise, and looked at with
a key that marked nothing. `table` has for each attack the share of pictures whose watermark is found, what the
credentials are worth, and what `s2i verify` says.
"""

from __future__ import annotations

import io
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from s2i_core.config import ProvenanceConfig
from s2i_core.models.decoders.native.library import SpriteLibrary
from s2i_core.provenance import watermark
from s2i_core.provenance.authority import keys
from s2i_core.provenance.credentials import Origin, Signer, State, read
from s2i_core.provenance.verify import verify
from tests.bench.results import ROOT, Options

U8 = NDArray[np.uint8]
_SEED = 20261130
_KEYS = 20
"""With which what is not ours is looked at."""
_ORIGIN = Origin("f" * 32, 12.5, 20.0, "s" * 32, "i" * 32, "A cow and two pigs on a farm.", "m" * 32, "d" * 32)


def run(options: Options) -> dict[str, Any]:
    """Mark, sign, attack, look; then look at what is not ours."""
    pictures, strangers, flips = (6, 8, 10) if options.quick else (200, 10_000, 200)
    drawings = _drawings()
    rng = np.random.default_rng(_SEED)
    with tempfile.TemporaryDirectory(prefix="s2i-bench-") as home:
        os.environ["S2I_HOME"] = home
        ours = keys(ProvenanceConfig())
        os.environ["S2I_HOME"] = f"{home}/other"
        theirs = keys(ProvenanceConfig())
    signer = Signer(ours)
    found: dict[str, int] = dict.fromkeys(_ATTACKS, 0)
    states: dict[str, Counter[str]] = {name: Counter() for name in _ATTACKS}
    verdicts: dict[str, Counter[str]] = {name: Counter() for name in _ATTACKS}
    quality, signing, sizes, missed, foreign = [], [], [], 0, 0
    for number in range(pictures):
        before, key = _composed(drawings, rng), rng.bytes(16)
        marked = watermark.embed(before, key)
        quality.append(10 * np.log10(255**2 / np.square(marked.astype(float) - before).mean()))
        plain = _file(marked, "JPEG", 92)
        began = time.process_time()
        signed = signer.sign(plain, "image/jpeg", _ORIGIN)
        signing.append(time.process_time() - began)
        sizes.append(len(signed) - len(plain))
        foreign += read(signed, "image/jpeg", theirs.anchors).state != State.UNTRUSTED  # type: ignore[union-attr]
        for name, (attack, form, at) in _ATTACKS.items():
            pixels = attack(np.asarray(Image.open(io.BytesIO(signed)).convert("RGB")))
            data = signed if name == "none" else _file(pixels, form, at)
            finding = verify(data, name, replace(ours, watermark=key))
            found[name] += finding.watermark
            verdicts[name][finding.verdict.value] += 1
            state = read(data, f"image/{form.lower()}", ours.anchors)
            states[name]["none" if state is None else state.state.value] += 1
        if number < flips:
            changed = bytearray(signed)
            # Anywhere but in the box of the credentials itself, which comes first.
            changed[int(rng.integers(len(signed) - len(plain) + 20, len(signed)))] ^= 1 << int(rng.integers(8))
            state = read(bytes(changed), "image/jpeg", ours.anchors)
            missed += state is None or state.state != State.CHANGED
    alarms, highest = 0, 0.0
    some_keys = [rng.bytes(16) for _ in range(_KEYS)]
    for number in range(strangers):
        z = watermark.detect(_composed(drawings, rng), some_keys[number % _KEYS])
        alarms, highest = alarms + (z >= watermark.FOUND_Z), max(highest, z)
    return {
        "pictures": pictures,
        "table": {
            name: {
                "watermark_found": round(found[name] / pictures, 4),
                "credentials": dict(states[name]),
                "verdicts": dict(verdicts[name]),
            }
            for name in _ATTACKS
        },
        "least_found_strict": min(found[name] for name in ("none", "JPEG 60", "half size", "10 % crop")) / pictures,
        "least_found_lax": min(found[name] for name in ("WebP 60", "brighter", "darker")) / pictures,
        "least_quality_db": round(float(min(quality)), 2),
        "median_quality_db": round(float(np.median(quality)), 2),
        "signing_ms": round(1000 * float(np.median(signing)), 2),
        "credentials_bytes": max(sizes),
        "flips": min(flips, pictures),
        "flips_missed": missed,
        "foreign_accepted": foreign,
        "strangers": strangers,
        "false_alarms": alarms,
        "highest_z_of_strangers": round(highest, 2),
    }


def _drawings() -> list[Image.Image]:
    library = SpriteLibrary.load(ROOT / "s2i_core" / "checkpoints" / "s2i-native" / "library")
    return [Image.fromarray(library.rgba(place)) for place in range(0, len(library), 7)]


def _composed(drawings: list[Image.Image], rng: np.random.Generator) -> U8:
    """Up to five drawings on a ground of two colours `(256, 256, 3)`."""
    down = np.linspace(0, 1, 256)[:, None, None]
    ground = rng.integers(40, 256, 3) * (1 - down) + rng.integers(40, 256, 3) * down
    image = Image.fromarray(np.broadcast_to(ground, (256, 256, 3)).astype(np.uint8))
    for _ in range(int(rng.integers(1, 6))):
        drawing = drawings[int(rng.integers(len(drawings)))]
        side = int(rng.integers(48, 160))
        small = drawing.resize((side, side))
        where = (int(rng.integers(-20, 256 - side // 2)), int(rng.integers(-20, 256 - side // 2)))
        image.paste(small.convert("RGB"), where, small if small.mode == "RGBA" else None)
    return np.asarray(image)


def _file(pixels: U8, form: str, quality: int) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, form, quality=quality)
    return out.getvalue()


def _resized(pixels: U8, share: float) -> U8:
    size = (round(pixels.shape[1] * share), round(pixels.shape[0] * share))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))


def _brighter(pixels: U8, by: float) -> U8:
    return np.asarray(np.clip(pixels * by, 0, 255), np.uint8)


_ATTACKS: dict[str, tuple[Callable[[U8], U8], str, int]] = {
    "none": (lambda pixels: pixels, "JPEG", 92),
    "JPEG 60": (lambda pixels: pixels, "JPEG", 60),
    "WebP 60": (lambda pixels: pixels, "WEBP", 60),
    "half size": (lambda pixels: _resized(pixels, 0.5), "JPEG", 92),
    "10 % crop": (lambda pixels: pixels[9:-17, 21:-5], "JPEG", 92),
    "brighter": (lambda pixels: _brighter(pixels, 1.2), "JPEG", 92),
    "darker": (lambda pixels: _brighter(pixels, 0.8), "JPEG", 92),
    "turned by 10°": (lambda pixels: np.asarray(Image.fromarray(pixels).rotate(10)), "JPEG", 92),
    "mirrored": (lambda pixels: np.ascontiguousarray(pixels[:, ::-1]), "JPEG", 92),
}
