"""What files say of themselves: the title and the author in their XMP, or in the RDF of an SVG."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from PIL import Image

_MOST_BYTES = 256 << 10
_DC = "{http://purl.org/dc/elements/1.1/}"
_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"


def of_picture(image: Image.Image) -> tuple[str, str]:
    """Title and author of a PNG, WebP or JPEG; empty where it does not tell."""
    found = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp") or ""
    return _of(found.decode("utf-8", "replace") if isinstance(found, bytes) else found)


def of_svg(data: bytes) -> tuple[str, str]:
    """Title and author of an SVG that was checked."""
    start = data.find(b"<rdf:RDF")
    end = data.find(b"</rdf:RDF>", start)
    return _of(_declared(data[start : end + 10].decode("utf-8", "replace"))) if 0 <= start < end else ("", "")


def _declared(rdf: str) -> str:
    """The RDF with the namespaces that the SVG around it may have declared."""
    spaces = 'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:cc="http://creativecommons.org/ns#"'
    spaces += ' xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"'
    return f"<x {spaces}>{rdf}</x>"


def _of(xml: str) -> tuple[str, str]:
    if not xml or len(xml) > _MOST_BYTES or "<!" in xml:  # no document type, and so no entities
        return "", ""
    try:
        tree = ET.fromstring(xml[xml.index("<x") :].partition("<?xpacket end")[0])
    except (ET.ParseError, ValueError):
        return "", ""
    return _words(tree.find(f".//{_DC}title")), _words(tree.find(f".//{_DC}creator"))


def _words(element: ET.Element | None) -> str:
    """The first words in an element, whichever way they are listed."""
    return "" if element is None else next((text for each in element.itertext() if (text := each.strip())), "")
