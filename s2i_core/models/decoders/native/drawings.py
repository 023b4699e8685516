"""The drawings of a library, large: as vectors, or as pictures, for canvases finer than its sprites.

They lie beside the sprites in one ZIP file, `drawings.zip`, each by its sprite's id: `ID.svg`, `ID.FINISH.svg` for one
that is finished after it was rendered, or `ID.webp`. Sprites name a library's pictures (`weights.part_digest`), and
these, of which the sprites were made, don't: a library that gets them later keeps its name. Where a sprite is not kept
but redrawn of a drawing (`redraw.py`), maybe of one that several share, the library names the drawing.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from s2i_core.errors import ModelError
from s2i_core.models.decoders.native.redraw import Redrawing

RGBA = npt.NDArray[np.uint8]
FILE = "drawings.zip"
SIDES_PX = (256, 512, 1024, 2048)
"""Sides at which drawings are rendered; others are made of the next larger one."""
VISIBLE = 24
"""Alpha above which a pixel counts as drawn."""
_ROOM = 1.25
"""Side of what is rendered over that of its drawing: sets leave some room around."""
_FINISHED_PX = 256
"""Side at which the masks of a finish are made: they are alike at every side."""
_CACHE_BYTES = 96 * 2**20
_WRITTEN_AT = (1980, 1, 1, 0, 0, 0)  # the same drawings give the same file


def tight_canvas(image: Image.Image, size: int, margin: int) -> RGBA | None:
    """Crop to what is drawn and centre it on a square canvas; `None` for a blank image.

    Returns:
        `(size, size, 4)` uint8; the longer side of the drawing fills the canvas up to `margin`.
    """
    image = image.convert("RGBA")
    alpha = np.asarray(image)[:, :, 3]
    rows, columns = np.nonzero(alpha.max(1) > VISIBLE)[0], np.nonzero(alpha.max(0) > VISIBLE)[0]
    if not len(rows):
        return None
    # Premultiplied ("RGBa"), so that the colour of transparent pixels does not bleed into the edges.
    cropped = image.convert("RGBa")
    cropped = cropped.crop((int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1))
    scale = (size - 2 * margin) / max(cropped.size)
    width, height = (max(1, round(side * scale)) for side in cropped.size)
    canvas = Image.new("RGBa", (size, size))
    canvas.paste(cropped.resize((width, height), Image.Resampling.LANCZOS), ((size - width) // 2, (size - height) // 2))
    return np.asarray(canvas.convert("RGBA"))


def opened(name: str, data: bytes, svg_px: int, redrawing: str = "") -> Image.Image:
    """A drawing from its file, RGBA; an SVG is rendered that wide, on a ground that is transparent.

    Args:
        name: of the file: how it ends tells what it is.
        data: its bytes.
        svg_px: width of an SVG.
        redrawing: how it is redrawn, see `Redrawing`, instead of finished; empty for not.

    Raises:
        ModelError: it cannot be read.
    """
    try:
        if not name.endswith(".svg"):
            with Image.open(io.BytesIO(data), formats=["WEBP"]) as image:
                return image.convert("RGBA")
        import resvg_py  # where no drawing is a vector, none is rendered

        png = resvg_py.svg_to_bytes(svg_string=data.decode(), width=svg_px, skip_system_fonts=True)
        with Image.open(io.BytesIO(bytes(png)), formats=["PNG"]) as image:
            rendered = image.convert("RGBA")
    except (OSError, ValueError) as error:
        raise ModelError(name, f"it cannot be read: {error}", "Save it again.") from error
    if redrawing:
        return Redrawing.of(redrawing)(rendered)
    finish = name.split(".")[-2]
    return FINISHES[finish](rendered) if finish in FINISHES else rendered


class Drawings:
    """Large drawings by the ids of their sprites.

    Args:
        paths: ZIP files of a library, or of several that are joined.

    Raises:
        ModelError: one is damaged.
    """

    def __init__(self, *paths: Path) -> None:
        self.paths = paths
        self._names: dict[str, tuple[zipfile.ZipFile, str]] = {}
        for path in paths:
            try:
                file = zipfile.ZipFile(path)
            except (OSError, zipfile.BadZipFile) as error:
                raise ModelError(
                    str(path), f"it cannot be read: {error}", "Copy or build the library again."
                ) from error
            for name in file.namelist():
                stem, _, kind = name.rpartition(".")
                before, _, finish = stem.rpartition(".")
                self._names[before if kind == "svg" and finish in FINISHES else stem] = file, name
        self._kept: OrderedDict[tuple[str, int, str], RGBA] = OrderedDict()
        self._held = 0

    @classmethod
    def load(cls, folder: Path) -> Drawings | None:
        """Those of the library in a folder; `None` where it has none."""
        return cls(folder / FILE) if (folder / FILE).is_file() else None

    def __contains__(self, drawing: str) -> bool:
        return drawing in self._names

    def __len__(self) -> int:
        return len(self._names)

    def files(self) -> Iterator[tuple[str, bytes]]:
        """All of them: names of files, and what is in them."""
        for file, name in self._names.values():
            yield name, file.read(name)

    def save(self, folder: Path) -> None:
        """Write all of them into a library's folder."""
        if self.paths == (folder / FILE,):
            return
        save_drawings(folder, dict(self.files()))

    def rgba(self, drawing: str, side_px: int, margin: float, redrawing: str = "") -> RGBA:
        """A drawing cut and centred as its sprite is, `(S, S, 4)` uint8: S the next of `SIDES_PX`, or what it has.

        Args:
            drawing: one that it contains.
            side_px: wanted.
            margin: room around what is drawn, as a share of the canvas.
            redrawing: see `opened`.

        Raises:
            ModelError: it is damaged.
        """
        side = next((each for each in SIDES_PX if each >= side_px), SIDES_PX[-1])
        key = (drawing, side, redrawing)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        file, name = self._names[drawing]
        try:
            image = opened(name, file.read(name), round(_ROOM * side), redrawing)
        except (OSError, zipfile.BadZipFile, zlib.error) as error:
            raise ModelError(str(file.filename), f"{name}: {error}", "Copy or build the library again.") from error
        side = min(side, max(SIDES_PX[0], *image.size))
        canvas = tight_canvas(image, side, round(margin * side))
        if canvas is None:
            raise ModelError(f"{file.filename}: {name}", "it is blank", "Copy or build the library again.")
        canvas.setflags(write=False)
        self._kept[key] = canvas
        self._held += canvas.nbytes
        while self._held > _CACHE_BYTES and len(self._kept) > 1:
            self._held -= self._kept.popitem(last=False)[1].nbytes
        return canvas


def save_drawings(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write `drawings.zip` with these files, by their names in it."""
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / FILE, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as file:
        for name, data in sorted(files.items()):
            file.writestr(zipfile.ZipInfo(name, _WRITTEN_AT), data, zipfile.ZIP_DEFLATED, 9)


def on_paper(image: Image.Image) -> Image.Image:
    """White wherever the lines enclose something."""
    alpha = _small(image)
    # Lines that almost meet enclose too: what is outside is looked for between thicker ones, on a coarse picture.
    coarse = alpha.filter(ImageFilter.MaxFilter(5)).reduce(4).point(lambda value: 255 if value > VISIBLE else 0)
    ImageDraw.floodfill(coarse, (0, 0), 128)
    enclosed = coarse.point(lambda value: 0 if value == 128 else 255).resize(alpha.size, Image.Resampling.BILINEAR)
    return _before(image, enclosed.filter(ImageFilter.MinFilter(7)).filter(ImageFilter.GaussianBlur(0.7)))


def by_hand(image: Image.Image) -> Image.Image:
    """Lines that waver as a hand does."""
    size = image.size[0]
    scale = size / _FINISHED_PX
    rows, columns = np.mgrid[0:size, 0:size].astype(np.float32) / scale
    dx = 1.6 * np.sin(rows / 13) + 1.1 * np.sin((rows + columns) / 7.3)
    dy = 1.6 * np.sin(columns / 11) + 1.1 * np.sin((rows - columns) / 6.1)
    at = (scale * np.stack([rows + dy, columns + dx])).round().clip(0, size - 1).astype(np.int64)
    return Image.fromarray(np.asarray(image)[at[0], at[1]]).filter(ImageFilter.GaussianBlur(0.6))


def cut_out(image: Image.Image) -> Image.Image:
    """With a white edge, as cut from a sheet."""
    alpha = _small(image).filter(ImageFilter.GaussianBlur(1)).filter(ImageFilter.MaxFilter(13))
    return _before(image, alpha.filter(ImageFilter.GaussianBlur(0.8)))


FINISHES: dict[str, Callable[[Image.Image], Image.Image]] = {"paper": on_paper, "hand": by_hand, "cut": cut_out}


def _small(image: Image.Image) -> Image.Image:
    alpha = image.getchannel("A")
    wanted = (_FINISHED_PX, round(_FINISHED_PX * image.size[1] / image.size[0]))
    return alpha if image.size == wanted else alpha.resize(wanted, Image.Resampling.BOX)


def _before(image: Image.Image, mask: Image.Image) -> Image.Image:
    """The picture before white in the shape of a small mask, whose edge is as sharp as the picture."""
    if mask.size != image.size:
        steeper = image.size[0] / mask.size[0]
        mask = mask.resize(image.size, Image.Resampling.BICUBIC)
        mask = mask.point(lambda value: min(255, max(0, round((value - 127.5) * steeper + 127.5))))
    paper = Image.new("RGBA", image.size, (255, 255, 255, 0))
    paper.putalpha(mask)
    return Image.alpha_composite(paper, image)
