import io

import numpy as np
import pytest
from PIL import Image, ImageDraw

from s2i_core.errors import ModelError
from s2i_core.models.decoders.native.drawings import FILE, FINISHES, Drawings, save_drawings
from s2i_core.models.decoders.native.library import SPRITE_SIZE, SpriteInfo, SpriteLibrary, tight_canvas
from s2i_core.models.decoders.native.reference import Slot, SpritePainter

SVG = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><circle cx="16" cy="16" r="12" fill="#d22"/></svg>'


def webp(side: int) -> bytes:
    image = Image.new("RGBA", (side, side))
    ImageDraw.Draw(image).ellipse((4, 4, side - 5, side - 5), fill="#22d")
    file = io.BytesIO()
    image.save(file, "WEBP", lossless=True)
    return file.getvalue()


@pytest.fixture
def library(tmp_path) -> SpriteLibrary:
    image = Image.new("RGBA", (200, 200))
    ImageDraw.Draw(image).ellipse((50, 50, 150, 150), fill="#dd2222")
    sprite = tight_canvas(image)
    infos = [SpriteInfo(f"house/{name}", name, name, "thing", "house", "us", "own") for name in ("a", "b", "c")]
    library = SpriteLibrary.from_arrays(infos, [sprite] * 3)
    library.save(tmp_path)
    save_drawings(tmp_path, {"house/a.svg": SVG, "house/b.webp": webp(300)})
    return SpriteLibrary.load(tmp_path)


def test_a_vector_is_as_fine_as_the_canvas_and_lies_as_its_sprite(library: SpriteLibrary) -> None:
    assert library.large is not None and len(library.large) == 2
    for wanted, side in ((200, 256), (700, 1024)):
        large = library.drawn(0, wanted)
        assert large.shape == (side, side, 4)
        small = np.asarray(
            Image.fromarray(large).convert("RGBa").resize((SPRITE_SIZE, SPRITE_SIZE), Image.Resampling.BOX)
        )
        sprite = np.asarray(Image.fromarray(library.rgba(0)).convert("RGBa"))
        assert np.abs(small.astype(int) - sprite.astype(int)).mean() < 2
        soft = ((large[side // 2, :, 3] > 8) & (large[side // 2, :, 3] < 247)).sum()
        assert soft <= 8, "its edge is sharp at every size"


def test_a_picture_is_no_finer_than_it_was_kept_and_what_has_none_is_its_sprite(library: SpriteLibrary) -> None:
    assert library.drawn(1, 1000).shape == (300, 300, 4)
    assert library.drawn(2, 1000) is library.rgba(2)
    assert library.drawn(0, 100) is library.rgba(0)


def test_a_finish_is_the_same_at_every_size() -> None:
    ring = Image.new("RGBA", (1024, 1024))
    ImageDraw.Draw(ring).ellipse((200, 200, 824, 824), outline="black", width=40)
    for finish in FINISHES.values():
        large = finish(ring).convert("RGBa").resize((256, 256), Image.Resampling.BOX)
        small = finish(ring.resize((256, 256), Image.Resampling.BOX)).convert("RGBa")
        assert np.abs(np.asarray(large, int) - np.asarray(small, int)).mean() < 3


def test_a_painter_takes_them_where_it_may_and_in_the_colour_asked_for(library: SpriteLibrary) -> None:
    slot = Slot(0, "a", (0.5, 0.5, 0.9, 0.9), colour="blue")
    fine, coarse = (SpritePainter(library, fine=fine).painted([slot], 512, 768) for fine in (True, False))
    assert fine.shape == (512, 768, 4)
    for frame in (fine, coarse):
        red, _, blue, alpha = frame[256, 384]
        assert alpha > 0.99 and blue > 2 * red
    soft = [((frame[256, :, 3] > 0.03) & (frame[256, :, 3] < 0.97)).sum() for frame in (fine, coarse)]
    assert soft[0] < soft[1]


def test_they_go_along_with_their_library(library: SpriteLibrary, tmp_path) -> None:
    for copied in (library, SpriteLibrary.joined([library])):
        copied.save(tmp_path / "copy")
        again = SpriteLibrary.load(tmp_path / "copy")
        assert (again.drawn(0, 300) == library.drawn(0, 300)).all()
    assert (tmp_path / "copy" / FILE).read_bytes() == (tmp_path / FILE).read_bytes()


def test_a_damaged_file_is_named(tmp_path) -> None:
    (tmp_path / FILE).write_bytes(b"no zip")
    with pytest.raises(ModelError, match=FILE):
        Drawings(tmp_path / FILE)
    save_drawings(tmp_path, {"a.svg": b"<svg", "b.webp": b"RIFF"})
    damaged = Drawings(tmp_path / FILE)
    for name in ("a", "b"):
        with pytest.raises(ModelError, match=name):
            damaged.rgba(name, 300, 0.03)
