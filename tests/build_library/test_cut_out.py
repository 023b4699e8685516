"""Pictures of others: of any mode and size, taken in or refused in one clear line; and what they are called."""

import io
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from s2i_core.build_library import names
from s2i_core.build_library.cut_out import LARGE_PX, cut_out
from s2i_core.build_library.isolated import Cutter
from s2i_core.errors import ConfigError, ModelError


def disc(mode: str = "RGBA", size: tuple[int, int] = (900, 600)) -> Image.Image:
    image = Image.new("RGBA", size)
    ImageDraw.Draw(image).ellipse((size[0] // 4, 20, size[0] // 2, size[1] - 20), fill="purple")
    return image if mode == "RGBA" else Image.alpha_composite(Image.new("RGBA", size, "white"), image).convert(mode)


def saved(image: Image.Image, format: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "data", "note"),
    [
        ("a.png", saved(disc(), "PNG"), None),
        ("a.jpg", saved(disc("RGB"), "JPEG"), None),
        ("a.png", saved(disc("P"), "PNG"), None),
        ("a.jpg", saved(disc("CMYK"), "JPEG"), "for print (CMYK)"),
        ("a.gif", saved(disc(), "GIF", save_all=True, append_images=[disc().rotate(90)]), "first frame"),
        ("a.webp", saved(disc(), "WEBP", save_all=True, append_images=[disc().rotate(90)]), "first frame"),
        ("a.png", saved(Image.fromarray(np.asarray(disc("L")).astype(np.uint16) * 257), "PNG"), None),
    ],
)
def test_it_is_cut_out_whatever_its_mode(name: str, data: bytes, note: str | None) -> None:
    made = cut_out(name, data)
    assert made.is_cut_out and made.kind == "webp"
    assert made.sprite[2, 2, 3] == 0 and made.sprite[64, 64, 3] == 255
    assert made.sprite[64, 64, :3].max() < 200  # the disc, not its ground
    with Image.open(io.BytesIO(made.large)) as large:
        assert max(large.size) <= LARGE_PX and min(large.size) > 100
    assert (note is None) == (not made.notes) and (note or "") in "".join(made.notes)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (saved(Image.new("1", (20_000, 20_000)), "PNG"), "far more than 40 million pixels"),
        (saved(Image.new("1", (9_000, 10)), "PNG"), "9,000 × 10 px: a side is longer than 8,192"),
        (saved(Image.new("1", (8_000, 8_000)), "PNG"), "64 million pixels, more than 40"),
        (saved(Image.new("RGBA", (90, 90)), "PNG"), "blank"),
        (saved(Image.new("RGB", (90, 90), "red"), "PNG"), "blank"),
        (b"no picture", "it is no PNG"),
        (saved(disc(), "PNG")[:500], "cannot be read as a picture"),
    ],
    ids=["20,000 px", "long", "large", "transparent", "one colour", "text", "broken off"],
)
def test_it_is_refused_and_why(data: bytes, reason: str) -> None:
    with pytest.raises(ModelError) as error:
        cut_out("a.png", data)
    assert reason in error.value.reason


def test_what_cannot_be_cut_out_is_kept_and_noted() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (90, 90, 3), dtype=np.uint8)
    made = cut_out("a.png", saved(Image.fromarray(noise), "PNG"))
    assert not made.is_cut_out
    assert made.notes == ["it could not be cut out: what is behind it is not of one colour"]


def test_a_hole_in_a_drawing_stays_what_it_is() -> None:
    ring = Image.new("RGB", (400, 400), "white")
    ImageDraw.Draw(ring).ellipse((50, 50, 350, 350), fill="white", outline="black", width=40)
    sprite = cut_out("ring.png", saved(ring, "PNG")).sprite
    assert sprite[64, 64].tolist() == [255, 255, 255, 255] and sprite[2, 2, 3] == 0


def test_a_turned_photograph_stands_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    made = cut_out("a.jpg", saved(disc("RGB", (600, 200)), "JPEG", exif=exif))
    with Image.open(io.BytesIO(made.large)) as large:
        assert large.size[1] < large.size[0]  # it was taller than wide, lying


def test_xmp_names_it() -> None:
    xmp = (
        '<?xpacket begin="" id="x"?><x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
        'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:dc="http://purl.org/dc/elements/1.1/">'
        "<rdf:Description><dc:title><rdf:Alt><rdf:li>wool hat</rdf:li></rdf:Alt></dc:title><dc:creator><rdf:Seq>"
        '<rdf:li>Ann</rdf:li></rdf:Seq></dc:creator></rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    )
    for name, form in (("a.webp", "WEBP"), ("a.jpg", "JPEG")):
        made = cut_out(name, saved(disc("RGB"), form, xmp=xmp.encode()))
        assert (made.title, made.author) == ("wool hat", "Ann")
    bomb = xmp.replace("<rdf:RDF", '<!DOCTYPE x [<!ENTITY a "a">]><rdf:RDF')
    assert cut_out("a.webp", saved(disc("RGB"), "WEBP", xmp=bomb.encode())).title == ""


@pytest.mark.parametrize(
    ("file", "title"),
    [
        ("animals/brown-bear_02.svg", "brown bear"), ("RedCar@2x.png", "Red Car"), ("hat (3).png", "hat"),
        ("hat_512x512.png", "hat"), ("ABBA.png", "ABBA"), ("3.png", "3"), ("___.png", "___"), ("route 66.png", "route"),
        ("クマ_2.png", "クマ"), ("دب.png", "دب"), ("a\u202eb.png", "a b"), ("x" * 200 + ".png", "x" * 80),
    ],
)  # fmt: skip
def test_a_file_s_name_is_its_title(file: str, title: str) -> None:
    assert names.of_file(file) == title


def test_a_table_goes_before_metadata_and_they_before_the_file() -> None:
    assert names.called("hat.png", {"title": "cap"}, "wool hat", "Ann").title == "cap"
    assert names.called("hat.png", {}, "wool hat", "Ann") == names.Called("wool hat", author="Ann")
    assert names.called("hat.png", {}, "", "").title == "hat"
    # The same name, typed as one sign or as two.
    assert names.table("file,title\ncafe\u0301.png,x\n".encode(), "t").keys() == {"caf\u00e9.png"}
    with pytest.raises(ConfigError, match="UTF-8"):
        names.table(b"file,title\n\xff\xfe.png,x\n", "t")


def test_a_process_of_its_own_bounds_time_and_memory_and_goes_on_after(tmp_path: Path) -> None:
    large = saved(Image.new("RGB", (6_000, 6_000), "red"), "PNG")
    with Cutter(memory_bytes=64 << 20) as cutter:
        with pytest.raises(ModelError, match="memory"):
            cutter.cut_out("large.png", large)
        assert cutter.cut_out("a.png", saved(disc(), "PNG")).is_cut_out
        cutter._limit_s = 0.01
        began = time.monotonic()
        with pytest.raises(ModelError, match=r"more than 0\.01 s"):
            cutter.cut_out("large.png", large)
        assert time.monotonic() - began < 5
        cutter._limit_s = 30
        assert cutter._child is None
        assert cutter._started().pid
        cutter._child.kill()  # as a crash of the renderer
        cutter._child.wait()
        assert cutter.cut_out("a.png", saved(disc(), "PNG")).is_cut_out
