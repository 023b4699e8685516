import json
import re
from functools import partial

import numpy as np
import pytest

from s2i_core.corpus.sources import captioned, wordnet
from s2i_core.corpus.sources.captioned import COLLECTIONS, SourceDrawing, clean_title, illustrations
from s2i_core.corpus.sources.images import distinct
from s2i_core.corpus.sources.packages import Package
from s2i_core.errors import ConfigError

NOUNS = "apple bicycle boat box cat chair dog flower guitar house man monitor office roof smiley sound square tree"
OTHERS = "red old open electric bike happy"
METADATA = (
    '<metadata><rdf:RDF><cc:Work rdf:about=""><dc:title>{title}</dc:title><dc:subject><rdf:Bag>{keywords}</rdf:Bag>'
    "</dc:subject><dc:creator><cc:Agent><dc:title>Red House</dc:title></cc:Agent></dc:creator>"
    '<cc:license rdf:resource="{licence}"/></cc:Work></rdf:RDF></metadata>'
)
PUBLIC_DOMAIN = "http://web.resource.org/cc/PublicDomain"


@pytest.fixture(autouse=True)
def dictionary(monkeypatch):
    monkeypatch.setattr(wordnet, "nouns", partial(frozenset, NOUNS.split()))
    monkeypatch.setattr(wordnet, "other_words", partial(frozenset, OTHERS.split()))


def square(x=4, side=16, colour="#d00"):
    return f'<rect x="{x}" y="{x}" width="{side}" height="{side}" fill="{colour}"/>'


def svg(body):
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24">{body}</svg>'


@pytest.mark.parametrize(
    ("raw", "title"),
    [
        ("Red_Apple_02 (B and W)", "red apple"),
        ("An Apple", "apple"),
        ("RedHouse", "red house"),
        ("trees &amp; houses.svg", "trees houses"),
        ("man on the roof", "man on the roof"),
        ("men", "men"),
        ("biking man", "biking man"),
        ("apple martin schmidt 01", None),  # an author
        ("red", None),  # no noun
        ("happy old red dog on a box", None),  # too long
        ("house icon", None),
        ("linux dog", None),
        ("12 345", None),
        ("", None),
    ],
)
def test_titles_are_plain_english_or_nothing(raw, title):
    assert clean_title(raw) == title


def test_clumsy_titles_are_said_as_one_would():
    assert clean_title("car-retro") == "old car"
    assert clean_title("British_Virgin_Islands") is None


def test_the_table_of_titles_is_sound():
    said = captioned._said()
    assert all(re.fullmatch(r"[a-z0-9 ']+", title) for title in said)
    assert all(re.fullmatch(r"[a-z][a-z ,'-]*|", words) and title != words for title, words in said.items())


def test_what_cannot_be_seen_or_has_been_seen_is_left_out():
    collection = COLLECTIONS["openclipart"]
    bodies = {
        "dog": square(),
        "blank": "<g/>",
        "faint": '<rect x="2" y="2" width="20" height="20" fill="none" stroke="#000" stroke-width="0.1"/>',
        "line": '<rect x="2" y="2" width="20" height="1"/>',
        "same": square(side=16.05),
        "cat": '<circle cx="12" cy="12" r="9" fill="#00f"/>',
    }
    drawings = [SourceDrawing(name, name, ("pet",), "animals", svg(body)) for name, body in bodies.items()]
    drawings.append(SourceDrawing("broken", "broken", (), "", "<svg"))
    found = list(distinct(illustrations("openclipart", collection, drawings)))
    assert [item.id for item in found] == ["openclipart/dog", "openclipart/cat"]
    dog = found[0]
    assert (dog.title, dog.concept, dog.keywords, dog.category) == ("dog", "dog", ("pet",), "animals")
    assert (dog.style, dog.source, dog.licence) == ("clipart", collection.source, "public domain")
    assert dog.rgba.shape == (128, 128, 4) and dog.rgba.dtype == np.uint8


def test_a_title_is_drawn_so_many_times_at_most():
    drawings = [SourceDrawing(f"dog-{n}", "dog", (), "", svg(square(colour=f"#{n:x}00"))) for n in range(12)]
    kept = list(illustrations("openclipart", COLLECTIONS["openclipart"], drawings))
    assert len(kept) == captioned.MAX_OF_A_TITLE


def iconify(folder, names, width=24, chars=None):
    folder.mkdir(exist_ok=True)
    icons = {name: {"body": square(n + 1)} for n, name in enumerate(n for each in names.values() for n in each)}
    (folder / "icons.json").write_text(json.dumps({"icons": icons, "width": width, "height": width}))
    (folder / "metadata.json").write_text(json.dumps({"categories": names}))
    (folder / "chars.json").write_text(json.dumps(chars or {}))
    return folder


def test_signs_of_an_interface_are_left_out(tmp_path):
    folder = iconify(
        tmp_path / "icons",
        {
            "Music": ["instrument-electric-guitar-1", "monitor-upload", "smiley-happy-2"],
            "Logos": ["apple-logo", "apple"],
            "Homes": ["house", "house-flat", "tree-xyzzy"],
        },
    )
    found = list(captioned._read_streamline(folder))
    assert [drawing.key for drawing in found] == [
        "house",
        "house-flat",
        "instrument-electric-guitar-1",
        "smiley-happy-2",
    ]
    assert [drawing.title for drawing in found] == ["house", "house", "electric guitar", "happy smiley"]
    assert found[0].keywords == ("homes",)
    assert 'viewBox="0 0 24 24"' in found[0].svg


def test_of_people_in_several_colours_of_skin_the_first_counts(tmp_path):
    folder = iconify(tmp_path / "icons", {"Smiley People": ["man-1", "man-2"], "Animals": ["dog-1", "dog-2"]})
    found = captioned._read_streamline(folder, people=True)
    assert [drawing.key for drawing in found] == ["dog-1", "dog-2", "man-1"]


def test_emoji_have_the_titles_of_their_code_points(tmp_path, monkeypatch):
    entries = [
        {"hexcode": "1F415", "label": "dog", "tags": ["pet"], "group": 3},
        {"hexcode": "1F45E", "label": "man’s shoe", "tags": [], "group": 7},
        {"hexcode": "1F4B8", "label": "money with wings", "tags": [], "group": 7},
        {"hexcode": "1F1EB", "label": "flag: France", "group": 9},
        {"hexcode": "1F550", "label": "one o’clock", "group": 5},
        {"hexcode": "1F9D1", "label": "person: red hair", "group": 1},
    ]
    (tmp_path / "en" / "shortcodes").mkdir(parents=True)
    (tmp_path / "en" / "data.json").write_text(json.dumps(entries))
    (tmp_path / "en" / "shortcodes" / "chat.json").write_text(json.dumps({"1F415": "doggy", "1F45E": ["shoe"]}))
    monkeypatch.setattr(captioned, "fetch", lambda package, cache_dir=None: tmp_path)
    names = ["hound", "doggy", "moneywithwings", "flag-france", "one-oclock", "shoe", "person-red-hair", "hound-dark"]
    folder = iconify(tmp_path / "set", {"Nature": names}, chars={"1f415": "hound"})
    found = {drawing.key: drawing for drawing in captioned._read_emoji(folder)}
    assert {key: drawing.title for key, drawing in found.items()} == {
        "doggy": "dog",
        "hound": "dog",
        "moneywithwings": "money with wings",
        "shoe": "man's shoe",
    }
    assert found["hound"].keywords == ("pet",)


def test_clip_art_is_called_by_its_metadata_or_its_file(tmp_path):
    root = tmp_path / "usr/share/openclipart/svg"

    def write(name, title, licence=PUBLIC_DOMAIN, keywords=("animal", "hash")):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        words = "".join(f"<rdf:li>{word}</rdf:li>" for word in keywords)
        path.write_text(svg(METADATA.format(title=title, licence=licence, keywords=words) + square()))

    write("animals/dog_jane_01.svg", "A Red Dog")
    write("animals/cat_01.svg", "Clipart by Jane Doe - cat")
    write("animals/gnu_jane.svg", "Untitled")
    write("animals/tree.svg", "tree", licence="http://creativecommons.org/licenses/GPL/2.0/")
    write("animals/house.svg", "house", keywords=("flag",))
    write("signs_and_symbols/flags/dog.svg", "dog")
    found = list(captioned._read_openclipart(tmp_path))
    assert [(drawing.key, drawing.title) for drawing in found] == [
        ("animals/cat_01", "cat"),
        ("animals/dog_jane_01", "red dog"),
    ]
    assert found[0].keywords == ("animal",) and found[0].category == "animals"


def test_sets_are_fetched_in_turn_and_an_unknown_one_is_named(tmp_path, monkeypatch):
    folder = iconify(tmp_path / "icons", {"Homes": ["house", "tree"]})
    asked: list[Package] = []
    monkeypatch.setattr(captioned, "fetch", lambda package, cache_dir=None: asked.append(package) or folder)
    found = captioned.load(["streamline-freehand"])
    assert [item.id for item in found] == ["streamline-freehand/house"], "both squares look alike once they are cropped"
    assert found[0].style == "sketch" and asked == [COLLECTIONS["streamline-freehand"].package]
    again = captioned.load(["streamline-freehand"])
    assert np.array_equal(found[0].rgba, again[0].rgba)
    with pytest.raises(ConfigError, match="streamline-emojis"):
        captioned.load(["nounproject"])
