import json

import numpy as np
from PIL import Image, ImageDraw

from s2i_core.corpus.sources.images import ICON_SETS, _illustrations, distinct, library
from s2i_core.english.vocabulary import Concept, Name, Vocabulary

DOG, CAR = "1f415", "1f697"
VOCABULARY = Vocabulary(
    Concept(code, (Name(name, f"{name}s", "count"), Name(other, f"{other}s", "count")), category, "grass")
    for code, name, other, category in ((DOG, "dog", "hound", "animal"), (CAR, "car", "auto", "vehicle"))
)
ANNOTATIONS = {DOG: ("dog", ("pet",))}


def test_a_folder_of_webp_is_read_by_code_point(tmp_path):
    (tmp_path / "assets").mkdir()
    for code, colour in ((DOG, "brown"), (f"{CAR}-fe0f", "red")):
        image = Image.new("RGBA", (256, 256))
        ImageDraw.Draw(image).ellipse((60, 60, 200, 180), fill=colour)
        image.save(tmp_path / "assets" / f"{code}.webp", lossless=True)
    found = list(_illustrations(ICON_SETS["3d"], ICON_SETS["3d"].open(tmp_path), VOCABULARY, ANNOTATIONS))
    assert [item.concept for item in found] == ["dog", "car"]
    assert found[0].keywords == ("dog", "hound", "pet")
    assert found[0].rgba.shape == (128, 128, 4)
    assert found[0].licence == "MIT"
    book = library(found)
    assert [entry.category for entry in book.infos] == ["animal", "vehicle"]


def test_a_set_of_svg_bodies_is_rendered(tmp_path):
    body = '<rect x="4" y="8" width="24" height="16" fill="#00f"/>'
    (tmp_path / "icons.json").write_text(json.dumps({"icons": {"dog": {"body": body}, "blank": {"body": "<g/>"}}}))
    (tmp_path / "chars.json").write_text(json.dumps({DOG: "dog", CAR: "blank"}))
    found = list(_illustrations(ICON_SETS["flat"], ICON_SETS["flat"].open(tmp_path), VOCABULARY, ANNOTATIONS))
    assert [item.concept for item in found] == ["dog"], "a blank drawing is left out"
    assert found[0].rgba[64, 64].tolist() == [0, 0, 255, 255]
    assert found[0].rgba[4, 64, 3] == 0


def test_near_duplicates_are_left_out(tmp_path):
    (tmp_path / "assets").mkdir()
    for code, offset in ((DOG, 0), (CAR, 1)):
        image = Image.new("RGBA", (256, 256))
        ImageDraw.Draw(image).ellipse((60 + offset, 60, 200, 180), fill="brown")
        image.save(tmp_path / "assets" / f"{code}.webp", lossless=True)
    found = list(_illustrations(ICON_SETS["3d"], ICON_SETS["3d"].open(tmp_path), VOCABULARY, ANNOTATIONS))
    assert len(found) == 2
    assert [item.concept for item in distinct(found)] == ["dog"]
    assert np.array_equal(found[0].rgba, next(iter(distinct(found))).rgba)


def test_styles_that_are_finished_here(tmp_path):
    ring = '<circle cx="16" cy="16" r="10" fill="none" stroke="#000" stroke-width="2"/>'
    square = '<rect x="6" y="6" width="20" height="20" fill="#0000ff"/>'
    for name, body in (("outline", ring), ("sketch", square), ("clipart", square)):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "icons.json").write_text(json.dumps({"icons": {"dog": {"body": body, "width": 32, "height": 32}}}))
        (folder / "chars.json").write_text(json.dumps({DOG: "dog"}))
        icon_set = ICON_SETS[name]
        (found,) = _illustrations(icon_set, icon_set.open(folder), VOCABULARY, ANNOTATIONS)
        middle, edge = found.rgba[64, 64].tolist(), found.rgba[64, 5:9].tolist()
        if name == "outline":
            assert middle == [255, 255, 255, 255], "there is paper within the lines"
        elif name == "sketch":
            assert middle[2] == 255 and 100 < middle[0] == middle[1] < 200, "its colour is thin"
            assert min(pixel[2] for pixel in edge) < 120, "it has a pencil's line"
        else:
            assert middle == [0, 0, 255, 255]
            assert min(edge[0][:3]) > 200, "it has a white edge"
