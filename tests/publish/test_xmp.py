"""What an image file says of itself: for people, for IPTC's readers and for s2i."""

import io
from dataclasses import replace
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from PIL import Image

from s2i_core.config import ImageConfig
from s2i_core.publish.images import encode_image
from s2i_core.publish.xmp import contents_of, packet
from s2i_core.records import Box, Contents, Shown

TWEMOJI = ("Twemoji", "Twitter", "CC-BY-4.0", "https://a.org/?b&c")
BEARS = Shown("bear", "bear <&> \"'", 2, "brown", Box(0.1, 0.2, 0.5, 0.4), *TWEMOJI, 0.9, 1.5)
RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
EXTENSION = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
DUBLIN = "http://purl.org/dc/elements/1.1/"
TEXTS = {"description": DUBLIN, "rights": DUBLIN, "AltTextAccessibility": "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/"}
CONTENTS = Contents(
    (BEARS, replace(BEARS, thing="honey pot", title="honey pot", colour=None, count=1)), "forest", "night"
)
PIXELS = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)


@pytest.mark.parametrize("format", ["webp", "png", "jpeg"])
def test_the_file_says_what_it_shows_and_its_pixels_are_the_same(format):
    config = ImageConfig(format=format)
    told, silent = encode_image(PIXELS, config, CONTENTS), encode_image(PIXELS, config)
    assert contents_of(told) == CONTENTS
    assert contents_of(silent) is None
    one, other = (np.asarray(Image.open(io.BytesIO(data)).convert("RGB")) for data in (told, silent))
    np.testing.assert_array_equal(one, other)
    assert encode_image(PIXELS, config, CONTENTS) == told


def test_iptc_s_readers_find_description_credits_and_the_kind_of_source():
    with Image.open(io.BytesIO(encode_image(PIXELS, ImageConfig(), CONTENTS))) as image:
        about = ET.fromstring(image.info["xmp"]).find(f".//{{{RDF}}}Description")
    source_type = about.get(f"{{{EXTENSION}}}DigitalSourceType")
    assert source_type == "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
    texts = {name: about.findtext(f"{{{space}}}{name}/{{{RDF}}}Alt/{{{RDF}}}li") for name, space in TEXTS.items()}
    assert texts["description"] == "Two brown bears and a honey pot in a forest at night."
    assert texts["AltTextAccessibility"] == texts["description"]
    assert texts["rights"] == "bear <&> \"', honey pot: Twemoji by Twitter, CC BY 4.0, https://a.org/?b&c"
    alone = packet(Contents((), "sea"))
    assert b"digitalsourcetype/trainedAlgorithmicMedia" in alone and b"dc:rights" not in alone


def test_it_stays_small_however_much_there_is_and_however_long_names_are():
    endless = replace(BEARS, thing="熊" * 500, title="<" * 5000, source="&" * 5000, url="https://" + "é" * 5000)
    assert len(packet(Contents((endless,) * 500, "x" * 9))) < 60_000  # what fits into a JPEG
    assert len(packet(CONTENTS)) < 2_500


@pytest.mark.parametrize(
    "data",
    [b"", b"no image", encode_image(PIXELS, ImageConfig(format="png"))[:-20]],
)
def test_what_is_no_such_file_says_nothing(data):
    assert contents_of(data) is None


def test_entities_are_not_expanded():
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaa">]>' + packet(CONTENTS).decode().partition("?>")[2]
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, "WEBP", xmp=bomb.encode())
    assert contents_of(file.getvalue()) is None
