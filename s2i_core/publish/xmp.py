"""What an image file says about itself, as an XMP packet (ISO 16684-1) with properties of IPTC's photo metadata 2025.1.

`dc:description` and `AltTextAccessibility` describe the picture, `dc:rights` credits its drawings, `DigitalSourceType`
says that a model made it, and `s2i:contents` says the same for programs, so that the file alone tells what it shows.
The packet depends on what is shown alone: no time, no name of a program.
"""

from __future__ import annotations

import io
import json
from dataclasses import asdict
from typing import Any
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape, quoteattr

from PIL import Image
from pydantic import TypeAdapter

from s2i_core.english.alt import alt_text
from s2i_core.publish.credits import credits_of
from s2i_core.records import Contents

PNG_KEYWORD = "XML:com.adobe.xmp"
LONGEST_ALT = 250
"""Characters; IPTC's advice."""
_LONGEST_TEXT = 80
_MOST_THINGS = 12
_MOST_BYTES = 16 << 10
_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
_S2I = "urn:s2i:contents:1"
_CONTENTS = TypeAdapter(Contents)
_PACKET = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description \
rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" \
xmlns:Iptc4xmpCore="http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/" \
xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" xmlns:s2i="{s2i}" \
Iptc4xmpExt:DigitalSourceType="{source_type}" s2i:contents={contents}>{texts}</rdf:Description></rdf:RDF></x:xmpmeta>
<?xpacket end="r"?>"""


def packet(contents: Contents) -> bytes:
    """The XMP of a picture with these contents: some kilobytes at most, however long names are."""
    alt = alt_text(contents)
    texts = {"dc:description": alt, "Iptc4xmpCore:AltTextAccessibility": _cut(alt, LONGEST_ALT)}
    if rights := "; ".join(credit.line for credit in credits_of(contents.things[:_MOST_THINGS])):
        texts["dc:rights"] = rights
    return _PACKET.format(
        s2i=_S2I,
        # Drawings by people, put together and painted over by a network; without any, the network's alone.
        source_type=_TYPES + ("compositeWithTrainedAlgorithmicMedia" if contents.things else "trainedAlgorithmicMedia"),
        contents=quoteattr(json.dumps(_plain(contents), ensure_ascii=True, separators=(",", ":"))),
        texts="".join(_alternative(name, text) for name, text in texts.items()),
    ).encode()


def contents_of(file: bytes) -> Contents | None:
    """What an image file with a `packet` shows; None for another."""
    try:
        with Image.open(io.BytesIO(file), formats=["WEBP", "JPEG", "PNG"]) as image:
            found = image.info.get("xmp") or image.info.get(PNG_KEYWORD) or b""
        text = found if isinstance(found, str) else found.decode()
        if len(text) > _MOST_BYTES or "<!" in text:  # no document type, and so no entities
            return None
        described = ET.fromstring(text.partition("?>")[2]).find(".//{*}Description")
        return None if described is None else _CONTENTS.validate_json(described.get(f"{{{_S2I}}}contents", ""))
    except (OSError, ValueError, SyntaxError):
        return None


def _alternative(name: str, text: str) -> str:
    return f'<{name}><rdf:Alt><rdf:li xml:lang="x-default">{escape(_cut(text, 1024))}</rdf:li></rdf:Alt></{name}>'


def _plain(contents: Contents) -> Any:
    told = asdict(contents)
    told["things"] = [
        {name: _cut(value, _LONGEST_TEXT) if isinstance(value, str) else value for name, value in each.items()}
        for each in told["things"][:_MOST_THINGS]
    ]
    return told


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
