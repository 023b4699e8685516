"""Pictures made in code, for the tests of provenance."""

import io

import numpy as np
from PIL import Image, ImageDraw

from s2i_core.provenance.credentials import Origin

ORIGIN = Origin("f" * 32, 12.5, 20.0, "scene", "image", "A cow on a farm.", "model", "settings")


def drawn(seed=0, size_px=256):
    """Plain shapes on a coloured ground, as the product draws them: `(size_px, size_px, 3)`."""
    rng = np.random.default_rng(seed)
    down = np.linspace(0, 1, size_px)[:, None, None]
    ground = rng.integers(60, 255, 3) * (1 - down) + rng.integers(60, 255, 3) * down
    image = Image.fromarray(np.broadcast_to(ground, (size_px, size_px, 3)).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for _ in range(6):
        x, y, r = (*rng.integers(20, size_px - 20, 2).tolist(), int(rng.integers(10, size_px // 4)))
        draw.ellipse((x - r, y - r, x + r, y + r), fill=tuple(rng.integers(0, 255, 3).tolist()))
    return np.asarray(image)


def file(pixels, form="JPEG", **options):
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, form, **options)
    return out.getvalue()


def again(pixels, form, quality):
    with Image.open(io.BytesIO(file(pixels, form, quality=quality))) as opened:
        return np.asarray(opened.convert("RGB"))
