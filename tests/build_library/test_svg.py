"""SVG of others: drawings are kept, and what no drawing needs is refused in one clear line."""

import pytest

from s2i_core.build_library.cut_out import cut_out
from s2i_core.build_library.svg import MOST_ELEMENTS, checked
from s2i_core.errors import ModelError

DISC = '<circle cx="50" cy="50" r="40" fill="#c33"/>'


def svg(inner: str, attributes: str = "", head: str = "") -> bytes:
    spaces = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    return f'{head}<svg {spaces} viewBox="0 0 100 100" {attributes}>{inner}{DISC}</svg>'.encode()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (svg("<script>alert(1)</script>"), "a <script> in it"),
        (svg("", 'onload="x()"'), "a script in it, in onload"),
        (svg("<foreignObject/>"), "a <foreignObject> in it"),
        (svg('<image xlink:href="file:///etc/passwd"/>'), "outside of it: 'file:///etc/passwd'"),
        (svg('<image href="../other.png"/>'), "outside of it: '../other.png'"),
        (svg('<use href="https://a.org/x.svg#y"/>'), "outside of it: 'https://a.org"),
        (svg('<image href="data:image/svg+xml;base64,AAAA"/>'), "outside of it"),
        (svg('<rect style="fill: url(https://a.org/x)"/>'), "outside of it: 'https://a.org/x'"),
        (svg("<style>@import 'x.css';</style>"), "outside of it"),
        (svg("", head='<?xml-stylesheet href="x.css"?>'), "outside of it"),
        (svg("<text>&b;</text>", head='<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]>'), "entity, 'a'"),
        (svg("", head='<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>'), "entity, 'a'"),
        (svg("<g>" * 5000 + "</g>" * 5000), "too many in one another"),
        (b"<html></html>", "begins with <html>"),
        (b"<svg", "cannot be read as SVG"),
        (b"", "cannot be read as SVG"),
        (svg("")[:-20], "cannot be read as SVG"),
        (b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"></svg>', "blank"),
    ],
)  # fmt: skip
def test_it_is_refused_and_why(data: bytes, reason: str) -> None:
    with pytest.raises(ModelError) as error:
        cut_out("drawing.svg", data)
    assert reason in error.value.reason
    assert "\n" not in error.value.reason


def test_a_plain_drawing_stays_a_vector_whatever_program_wrote_it() -> None:
    head = '<?xml version="1.0" encoding="ISO-8859-1"?><!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "x.dtd">'
    inner = '<title>Grün</title><use xlink:href="#a"/><image href="data:image/png;base64,AAAA"/>'
    data = svg(inner, head=head).decode().encode("latin-1")
    made = cut_out("drawing.svg", data)
    assert made.kind == "svg"
    assert made.large.decode("utf-8").startswith("<svg") and "Grün" in made.large.decode("utf-8")
    assert made.sprite[64, 64].tolist() == [204, 51, 51, 255] and made.sprite[0, 0, 3] == 0


@pytest.mark.parametrize(
    ("inner", "note"),
    [
        ('<rect width=".1" height=".1"/>' * (MOST_ELEMENTS + 1), "2,003 elements, more than 2,000: kept as a picture"),
        ("<text>hello</text>", "its text is not drawn"),
        ("<circle><animate/></circle>", "it moves"),
    ],
)
def test_what_is_taken_otherwise_is_noted(inner: str, note: str) -> None:
    made = cut_out("drawing.svg", svg(inner))
    (told,) = made.notes
    assert note in told
    assert made.kind == ("webp" if "picture" in note else "svg")


def test_a_drawing_on_a_filled_ground_is_cut_out_and_kept_as_a_picture() -> None:
    made = cut_out("drawing.svg", svg('<rect width="100" height="100" fill="#fff"/>'))
    assert (made.kind, made.is_cut_out) == ("webp", True)
    assert made.sprite[0, 0, 3] == 0


def test_its_metadata_name_it() -> None:
    rdf = (
        '<metadata><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><cc:Work><dc:title>wool hat'
        "</dc:title><dc:creator><cc:Agent><dc:title>Ann</dc:title></cc:Agent></dc:creator></cc:Work></rdf:RDF></metadata>"
    )
    spaces = 'xmlns:cc="http://creativecommons.org/ns#" xmlns:dc="http://purl.org/dc/elements/1.1/"'
    made = cut_out("drawing.svg", svg(rdf, spaces))
    assert (made.title, made.author) == ("wool hat", "Ann")


def test_elements_are_counted() -> None:
    assert checked("x.svg", svg("<g/><g/>")).elements == 4
