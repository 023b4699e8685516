import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageDraw

from s2i_core.errors import ModelError
from s2i_core.models.decoders.native.library import MARGIN, SPRITE_SIZE, SpriteInfo, SpriteLibrary, tight_canvas


def drawing(colour, box=(20, 40, 100, 60)):
    image = Image.new("RGBA", (200, 200))
    ImageDraw.Draw(image).rectangle(box, fill=colour)
    return tight_canvas(image)


def info(name):
    return SpriteInfo(f"test/{name}", name, name, "thing", "test", "us", "CC0-1.0")


@pytest.fixture
def library():
    sprites = [drawing("red"), drawing("blue", (10, 10, 30, 90)), drawing("green")]
    return SpriteLibrary.from_arrays([info("a"), info("b"), info("a")], sprites)


def test_tight_canvas_fills_the_longer_side_and_centres():
    rgba = drawing("red")
    rows, columns = np.nonzero(rgba[:, :, 3].max(1) > 128)[0], np.nonzero(rgba[:, :, 3].max(0) > 128)[0]
    assert rgba.shape == (SPRITE_SIZE, SPRITE_SIZE, 4)
    assert (columns[0], columns[-1]) == (MARGIN, SPRITE_SIZE - MARGIN - 1)
    assert abs(rows[0] + rows[-1] - (SPRITE_SIZE - 1)) <= 1
    assert rgba[SPRITE_SIZE // 2, SPRITE_SIZE // 2].tolist() == [255, 0, 0, 255]


def test_tight_canvas_of_a_blank_image_is_none():
    assert tight_canvas(Image.new("RGBA", (50, 50))) is None


def test_what_is_saved_is_loaded(library, tmp_path):
    library.vectors = np.array([[3, 0], [0, 2], [1, 1]], np.float32)
    library.save(tmp_path)
    loaded = SpriteLibrary.load(tmp_path)
    assert loaded.infos == library.infos
    assert {path.name for path in tmp_path.iterdir()} == {"sprites.json", "sprites.safetensors"}
    np.testing.assert_allclose(np.linalg.norm(loaded.vectors, axis=1), 1, rtol=1e-6)
    for i in range(3):
        np.testing.assert_array_equal(loaded.rgba(i), library.rgba(i))
    assert abs(int(loaded.rgba(0)[64, 64, 0]) - 255) < 8


def test_every_drawing_has_its_credit_and_they_are_written_once(library, tmp_path):
    first, *others = library.infos
    credited = replace(first, author="Ann", url="https://example.org/ann", borrowed=True)
    SpriteLibrary([credited, *others, credited], [*library.webp, library.webp[0]]).save(tmp_path)
    written = (tmp_path / "sprites.json").read_text(encoding="utf-8")
    assert written.count("https://example.org/ann") == 1
    assert SpriteLibrary.load(tmp_path).infos == (credited, *others, credited)


def test_a_library_of_before_is_read(library, tmp_path):
    library.save(tmp_path)
    fields = ("id", "concept", "title", "category", "style", "source", "licence")
    listed = [{name: getattr(info, name) for name in fields} for info in library.infos]
    (tmp_path / "sprites.json").write_text(json.dumps(listed), encoding="utf-8")
    assert SpriteLibrary.load(tmp_path).infos == library.infos


def test_a_credit_that_is_missing_is_said(library, tmp_path):
    library.save(tmp_path)
    written = (tmp_path / "sprites.json").read_text(encoding="utf-8")
    (tmp_path / "sprites.json").write_text(written.replace('"credit": 0', '"credit": 7'), encoding="utf-8")
    with pytest.raises(ModelError, match="not a sprite library"):
        SpriteLibrary.load(tmp_path)


def test_members_and_extents(library):
    assert library.concepts == ("a", "b")
    assert library.members("a") == (0, 2)
    assert library.members("unknown") == ()
    width, height = library.extent(1)
    assert height == pytest.approx(1 - 2 * MARGIN / SPRITE_SIZE, abs=0.01)
    assert width == pytest.approx(height * 21 / 81, abs=0.02)


def test_nearest_is_best_first_and_the_same_in_any_batch(library):
    library.vectors = np.array([[1, 0], [0, 1], [0.8, 0.6]], np.float32)
    queries = np.array([[0.9, 0.1], [0, 1]], np.float32)
    scores, indices = library.nearest(queries, 2)
    assert indices.tolist() == [[0, 2], [1, 2]]
    assert (np.diff(scores, axis=1) <= 0).all()
    alone = library.nearest(queries[1:], 2)
    np.testing.assert_array_equal(alone[1], indices[1:])
    assert library.nearest(queries, 99)[1].shape == (2, 3)


def test_nearest_without_vectors_says_what_to_do(library):
    with pytest.raises(ModelError, match="embed"):
        library.nearest(np.zeros((1, 2), np.float32), 1)


@pytest.mark.parametrize("vectors", [np.zeros((3, 2)), np.ones((2, 2)), np.full((3, 2), np.nan)])
def test_bad_vectors_are_refused(library, vectors):
    with pytest.raises(ModelError):
        library.vectors = vectors.astype(np.float32)


def test_a_damaged_library_is_refused(library, tmp_path):
    library.save(tmp_path)
    (tmp_path / "sprites.json").write_text("[]")
    with pytest.raises(ModelError, match="do not fit"):
        SpriteLibrary.load(tmp_path)
    (tmp_path / "sprites.safetensors").write_bytes(b"nothing")
    with pytest.raises(ModelError, match="not a sprite library"):
        SpriteLibrary.load(tmp_path)


def test_a_style_is_a_library_of_its_own(library):
    infos = [
        SpriteInfo(f"{style}/a", "a", "a", "thing", style, "us", "CC0-1.0") for style in ("flat", "flat", "sketch")
    ]
    mixed = SpriteLibrary.joined([SpriteLibrary(infos, library.webp)])
    mixed.vectors = np.eye(3, dtype=np.float32)
    sketches = mixed.styled("sketch")
    assert [info.style for info in sketches.infos] == ["sketch"]
    np.testing.assert_array_equal(sketches.vectors, [[0, 0, 1]])
    np.testing.assert_array_equal(sketches.rgba(0), library.rgba(2))
    assert mixed.styled("sketch") is sketches
    mixed.vectors = np.eye(3, dtype=np.float32)[::-1]
    np.testing.assert_array_equal(mixed.styled("sketch").vectors, [[1, 0, 0]])


def test_a_house_style_stands_for_every_style(library):
    assert library.styled("3d") is library
