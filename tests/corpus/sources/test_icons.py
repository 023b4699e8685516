import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from s2i_core.corpus.sources import icons
from s2i_core.english.vocabulary import Concept, Name, Vocabulary, english
from s2i_core.errors import ModelError
from s2i_core.models.decoders.native.drawings import Drawings, opened, save_drawings
from s2i_core.models.decoders.native.library import SpriteInfo, SpriteLibrary, tight_canvas
from s2i_core.models.decoders.native.redraw import STYLES, shape_of
from s2i_core.training.library import credits_of
from s2i_core.weights import LIBRARY_FOLDER, shipped_checkpoint

RING = (
    b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">'
    b'<circle cx="16" cy="16" r="10" fill="none" stroke="#000" stroke-width="2"/></svg>'
)
SET = {
    "icons": {
        "whistle": {"body": '<path fill="currentColor" d="M4 4h16v8H4z"/>'},
        "two coloured": {"body": '<g stroke="#fff" fill="none"><path fill="#2F88FF" d="M4 4h16v16H4z"/></g>'},
    },
    "width": 24,
    "height": 24,
}


def concept(name, drawing="", hexcode=""):
    return Concept(hexcode, (Name(name, f"{name}s", "count"),), "thing", "plain", drawing=drawing, colour="#c04030")


@pytest.fixture
def packages(monkeypatch, tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "icons.json").write_text(json.dumps(SET))
    monkeypatch.setattr(icons, "fetch", lambda package, cache_dir: tmp_path / "set")
    icons._icons.cache_clear()
    yield
    icons._icons.cache_clear()


def test_an_icon_is_black_and_has_room(packages):
    svg, shape = icons.file_of(concept("whistle", "mdi/whistle"))
    assert shape == "solid"
    assert b'fill="#000"' in svg
    assert b'viewBox="-1.92 -1.92 27.84 27.84"' in svg


def test_the_second_colour_of_a_line_drawing_is_left_away(packages):
    svg, shape = icons.file_of(concept("box", "icon-park/two coloured"))
    assert shape == "line"
    assert b"#2F88FF" not in svg
    assert b"#fff" not in svg


def test_an_icon_or_a_set_that_is_not_there_is_said(packages):
    for drawing in ("mdi/nothing", "nowhere/whistle"):
        with pytest.raises(ModelError):
            icons.file_of(concept("whistle", drawing))


def test_every_style_gets_everything(packages, monkeypatch, tmp_path):
    words = Vocabulary([concept("ring", hexcode="1f48d"), concept("whistle", "mdi/whistle")])
    monkeypatch.setattr(icons, "english", lambda: words)
    info = SpriteInfo("outline/1f48d", "ring", "ring", "thing", "outline", "us", "MIT", "Ann", "https://example.org")
    save_drawings(tmp_path / "emoji", {"outline/1f48d.paper.svg": RING})
    sprite = tight_canvas(opened("a.paper.svg", RING, 256))
    emoji = SpriteLibrary.from_arrays([info], [sprite])
    emoji = SpriteLibrary(emoji.infos, emoji.webp, large=Drawings.load(tmp_path / "emoji"))
    vectors = {"ring": np.eye(2, dtype=np.float32)[0], "whistle": np.eye(2, dtype=np.float32)[1]}
    icons.completed(emoji, vectors, tmp_path / "made").save(tmp_path / "made")
    made = SpriteLibrary.load(tmp_path / "made")
    assert all(set(made.styled(style).concepts) == {"ring", "whistle"} for style in STYLES)
    for place, each in enumerate(made.infos):
        assert each.author and each.licence and each.url
        assert (made.rgba(place)[:, :, 3] > 128).mean() > 0.05, each.id
        assert made.drawn(place, 300).shape == (512, 512, 4)
    assert made.styled("line").infos[0].borrowed
    assert [each.borrowed for each in made.infos if each.concept == "whistle" and each.style in icons.PRINTS] == [
        False
    ] * 2
    with pytest.raises(ModelError, match="no vector"):
        icons.completed(emoji, {"ring": vectors["ring"]}, tmp_path / "again")


def test_another_drawing_gives_the_library_another_name(packages, monkeypatch, tmp_path):
    monkeypatch.setattr(icons, "english", lambda: Vocabulary([concept("ring", hexcode="1f48d")]))
    info = SpriteInfo("outline/1f48d", "ring", "ring", "thing", "outline", "us", "MIT")
    told = []
    for number, svg in enumerate((RING, RING.replace(b'r="10"', b'r="9"'))):
        folder = tmp_path / str(number)
        save_drawings(folder, {"outline/1f48d.paper.svg": svg})
        emoji = SpriteLibrary.from_arrays([info], [tight_canvas(opened("a.paper.svg", RING, 256))])
        emoji = SpriteLibrary(emoji.infos, emoji.webp, large=Drawings.load(folder))
        icons.completed(emoji, {"ring": np.ones(2, np.float32)}, folder / "made").save(folder / "made")
        told.append((folder / "made" / "sprites.json").read_text())
    assert told[0] != told[1]


def test_every_icon_that_is_named_is_of_a_set_that_is_credited():
    things = [each for each in english().concepts.values() if each.drawing]
    assert {each.drawing.partition("/")[0] for each in things} == set(icons.ICON_SOURCES)
    assert all(each.colour.startswith("#") and len(each.colour) == 7 for each in things)


def test_everybody_whose_icons_ship_is_credited():
    library = SpriteLibrary.load(shipped_checkpoint() / LIBRARY_FOLDER)
    lines = credits_of(library)
    assert len(lines) == len({info.source for info in library.infos if info.drawing.startswith("icons/")})
    assert "\n".join(lines) in (Path(__file__).parents[3] / "NOTICE").read_text(encoding="utf-8")


def test_an_outline_that_is_a_body_becomes_its_silhouette():
    ring, disc = (opened("a.svg", svg, 256) for svg in (RING, RING.replace(b'fill="none"', b"")))
    assert (shape_of(ring), shape_of(disc)) == ("line", "solid")


def test_a_sprite_with_neither_picture_nor_drawing_is_refused():
    info = SpriteInfo("3d/whistle", "whistle", "whistle", "thing", "3d", "us", "MIT", drawing="icons/mdi/whistle")
    with pytest.raises(ModelError, match="neither a sprite nor a drawing"):
        SpriteLibrary([replace(info)], [b""])
