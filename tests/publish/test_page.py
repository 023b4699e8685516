"""The pages, as files; `tests/browser` has them in a browser."""

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from publish.recordings import square, tone, wav
from s2i_core.publish.page import Card, Fault, Frame, Stretch, index_page, recording_page
from s2i_core.records import Box, Shown, Skip

AUDIO = wav(tone(3.0), tone(3.0, 0.01), tone(3.0))
RED, BLUE = square((220, 40, 40)), square((40, 40, 220))
FRAMES = [
    Frame(6.0, 9.0, BLUE, "image/webp", 0.5),
    Frame(0.0, 3.0, RED, "image/webp", 0.25, confidence=0.75),
]
OWL_URL = "https://example.org/owl?a=1&b=2"
_OWL = Shown("owl", "owl", 2, None, Box(0, 0, 1, 1), "Twemoji", "Twitter", "CC-BY-4.0", OWL_URL, 1, 0)
_SAID = replace(_OWL, source="Owls by Twitter", url=None)
_THINGS = [_SAID, _OWL, replace(_OWL, title="<i>ship"), replace(_OWL, title="mine", licence="own")]
SHOWING = Frame(0.0, 3.0, RED, "image/webp", 0.25, 0.75, 'Two owls and <i>"ship".', _THINGS)


class Page(HTMLParser):
    """What a browser would find."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.text, self._inside = [], {}, ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._inside = tag

    def handle_endtag(self, tag):
        self._inside = ""

    def handle_data(self, data):
        self.text[self._inside] = self.text.get(self._inside, "") + data

    def all(self, tag, css=""):
        return [found for name, found in self.tags if name == tag and css in [*(found.get("class") or "").split(), ""]]


@pytest.fixture(scope="module")
def html():
    skipped = [Stretch(3.0, 6.0, Skip.NO_SPEECH)]
    return recording_page('<Owls> & "foxes"', AUDIO, "audio/wav", FRAMES, 9.0, skipped=skipped)


def test_pictures_and_stretches_without_are_in_order_with_their_times(html):
    tiles = Page(html).all("button", "tile")
    assert [(tile["data-start"], tile["data-end"]) for tile in tiles] == [
        ("0.0", "3.0"),
        ("3.0", "6.0"),
        ("6.0", "9.0"),
    ]
    assert tiles[0]["data-caption"] == "match 0.25 · confidence 0.75"
    assert tiles[1]["data-reason"] == "Music or noise"
    images = [image for image in Page(html).all("img") if image.get("src")]
    assert [base64.b64decode(image["src"].partition(",")[2]) for image in images] == [RED, BLUE]
    assert [image["alt"] for image in images] == [
        "Picture 1 of 2, from 0:00 to 0:03",
        "Picture 2 of 2, from 0:06 to 0:09",
    ]


def test_what_a_picture_shows_is_read_and_heard_in_place_of_figures():
    page = Page(recording_page("Owls", AUDIO, "audio/wav", [SHOWING], 9.0))
    (tile,) = page.all("button", "tile")
    assert tile["data-caption"] == 'Two owls and <i>"ship".'
    assert [image["alt"] for image in page.all("img") if image.get("src")] == [
        'Picture 1 of 1, from 0:00 to 0:03: Two owls and <i>"ship".'
    ]
    assert not page.all("span", "match")


def test_the_drawings_are_credited_with_source_licence_and_links():
    html = recording_page("Owls", AUDIO, "audio/wav", [SHOWING, replace(SHOWING, start_s=3.0)], 9.0)
    assert "<li>owl: Owls by Twitter, <a" in html  # nobody is named twice
    page = Page(html)
    assert re.search(r"<li>owl, &lt;i&gt;ship: <a [^>]*>Twemoji</a> by Twitter, <a [^>]*>CC BY 4.0</a></li>", html)
    assert [link["href"] for link in page.all("a")][1:] == [
        OWL_URL,
        "https://creativecommons.org/licenses/by/4.0/",
    ]
    assert "mine" not in html  # a customer's own drawings
    assert "credits" not in Page(recording_page("Owls", AUDIO, "audio/wav", FRAMES, 9.0)).text.get("section", "")


def test_the_sound_is_in_the_page_as_given(html):
    (source,) = Page(html).all("source")
    assert source["type"] == "audio/wav"
    assert base64.b64decode(source["src"].removeprefix("data:audio/wav;base64,")) == AUDIO


@pytest.mark.parametrize("kind", ["recording", "index"])
def test_it_needs_nothing_from_elsewhere_and_its_policy_admits_its_own_parts_only(html, kind):
    if kind == "index":
        html = index_page([Card("a", "a.html", 9.0, 2, FRAMES)], [Fault("b", "broken", "Mend it.")])
    page = Page(html)
    addresses = [value for _, found in page.tags for name, value in found.items() if name in ("src", "href") and value]
    assert all(address.startswith(("data:", "#")) or address == "a.html" for address in addresses)
    assert "http" not in re.sub(r"data:[^\"]*", "", html).replace("http-equiv", "")
    assert not any(name.startswith("on") or name == "style" for _, found in page.tags for name in found)
    (policy,) = [found["content"] for found in page.all("meta") if "http-equiv" in found]
    for tag, directive in (("style", "style-src"), ("script", "script-src")):
        if (text := page.text.get(tag)) is None:
            assert directive not in policy
            continue
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{directive} 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy


def test_text_of_others_is_escaped(html):
    assert "&lt;Owls&gt; &amp; &#34;foxes&#34;" in html
    assert "<Owls>" not in html
    index = index_page([Card("<b>", "x.html", None, 0, note="<i>")], [Fault("<u>", "<s>", "<em>")])
    assert not any(tag in index for tag in ("<b>", "<i>", "<u>", "<s>", "<em>"))


def test_the_waveform_is_in_the_colours_of_the_pictures(html):
    strokes = [path["stroke"] for path in Page(html).all("path") if "stroke" in path]
    hues = [int(re.match(r"hsl\((\d+)", stroke)[1]) for stroke in strokes]
    assert len(hues) == 4  # two pictures, drawn twice: ahead of the needle and behind it
    assert min(abs(hues[0] - 360), hues[0]) < 20
    assert abs(hues[1] - 240) < 20


def test_a_page_of_skipped_stretches_alone_and_of_a_very_short_recording():
    html = recording_page("Music", AUDIO, "audio/wav", [], 9.0, skipped=[Stretch(0, 9, Skip.NO_SPEECH)])
    assert "Music or noise: 0:09 without a picture" in html
    assert "0 pictures" in html
    assert recording_page("s", wav(tone(0.05)), "audio/wav", [Frame(0, 0.05, RED, "image/webp")], 0.05)


def test_it_leads_back_to_the_index_if_there_is_one(html):
    assert Page(html).all("a") == []
    with_home = recording_page("x", AUDIO, "audio/wav", FRAMES, 9.0, home="index.html")
    assert [link["href"] for link in Page(with_home).all("a")] == ["index.html"]


def test_what_cannot_be_shown_is_refused():
    with pytest.raises(ValueError, match="frame or a skipped"):
        recording_page("x", AUDIO, "audio/wav", [], 9.0)
    with pytest.raises(ValueError, match="duration_s"):
        recording_page("x", AUDIO, "audio/wav", FRAMES, 0.0)


def test_the_index_counts_and_says_what_failed_and_what_to_do():
    cards = [Card("Talk", "pages/talk.html", 125.0, 12, FRAMES), Card("Tune", None, 60.0, 0, note="Music or noise")]
    html = index_page(cards, [Fault("s3://a/b.mp3", "it is empty", "Upload it again.")], note="s3://out")
    for text in ("2 recordings · 3:05 of sound · 12 pictures", "1 failure<", "2:05 · 12 pictures", "Music or noise"):
        assert text in html
    for text in ("s3://a/b.mp3", "It is empty.", "Upload it again.", "s3://out"):
        assert text in html
    assert [link["href"] for link in Page(html).all("a")] == ["#faults", "pages/talk.html"]


def test_a_page_tells_of_damage():
    told = "The recording is damaged: the data end early &amp; &lt;b&gt;."
    assert told in recording_page("Talk", AUDIO, "audio/wav", FRAMES, 9.0, damage="the data end early & <b>")
    assert "is damaged" not in recording_page("Talk", AUDIO, "audio/wav", FRAMES, 9.0)
