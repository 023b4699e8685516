"""A library of a customer's own illustrations, for a house style: `s2i library build DIR --out FOLDER`.

Every picture of a folder becomes a sprite with a vector by the model's image encoder; the decoder then draws after
these instead of the shipped ones. Nothing is trained.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from PIL import Image, ImageDraw

from s2i_core.errors import ConfigError, ModelError, S2IError
from s2i_core.models.decoders.native.library import RGBA, SpriteInfo, SpriteLibrary, tight_canvas

SUFFIXES = frozenset({".png", ".webp", ".jpg", ".jpeg", ".gif"})
MAX_PICTURES = 20_000
MAX_BYTES = 20 << 20
MAX_SIDE_PX = 8192
_WORK_PX = 512
#: How far a pixel may be from the colour of the corner and still be its ground, of 255 a channel.
_GROUND_TOLERANCE = 24


@dataclass(frozen=True)
class Refused:
    """A file that is in no library, and why."""

    path: Path
    reason: str


def read_folder(folder: Path) -> tuple[list[SpriteInfo], list[RGBA], list[Refused]]:
    """The pictures of a folder and its subfolders as sprites, in the order of their names.

    A picture without transparency stands on the ground of its corners, which is taken away.

    Raises:
        ConfigError: there is no such folder, no picture in it, or more than `MAX_PICTURES`.
    """
    if not folder.is_dir():
        raise ConfigError(str(folder), "there is no such folder", "Name a folder of illustrations.")
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    if len(paths) > MAX_PICTURES:
        raise ConfigError(str(folder), f"it holds {len(paths)} pictures", f"Choose at most {MAX_PICTURES}.")
    infos: list[SpriteInfo] = []
    sprites: list[RGBA] = []
    refused: list[Refused] = []
    for path in paths:
        name = path.relative_to(folder).as_posix()
        try:
            sprites.append(_sprite(path))
        except S2IError as error:
            refused.append(Refused(path, error.reason))
            continue
        infos.append(SpriteInfo(name, path.stem, path.stem.replace("_", " "), "house", "house", "own", "own"))
    if not sprites:
        wanted = ", ".join(sorted(SUFFIXES))
        raise ConfigError(str(folder), "there is no picture in it that can be used", f"Put {wanted} files there.")
    return infos, sprites, refused


def _sprite(path: Path) -> RGBA:
    """One picture cut out and centred.

    Raises:
        ModelError: it cannot be read, is too large, or is blank.
    """
    if path.stat().st_size > MAX_BYTES:
        raise ModelError(str(path), f"it is larger than {MAX_BYTES >> 20} MB", "Save it smaller.")
    try:
        with Image.open(path) as image:
            if max(image.size) > MAX_SIDE_PX:
                raise ModelError(str(path), f"a side is longer than {MAX_SIDE_PX} pixels", "Save it smaller.")
            image.draft("RGB", (_WORK_PX, _WORK_PX))
            picture = image.convert("RGBA")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ModelError(str(path), f"it cannot be read as a picture: {error}", "Save it again.") from error
    picture.thumbnail((_WORK_PX, _WORK_PX))
    is_cut_out = bool((np.asarray(picture)[:, :, 3] < 255).any())
    canvas = tight_canvas(picture if is_cut_out else _cut_out(picture))
    if canvas is None:
        raise ModelError(str(path), "it is blank", "Leave it out.")
    return canvas


def _cut_out(picture: Image.Image) -> Image.Image:
    """Make the ground transparent that is reached from the corners."""
    ground = picture.convert("RGB")
    marker = (1, 254, 3)
    width, height = ground.size
    for corner in ((0, 0), (width - 1, 0), (0, height - 1), (width - 1, height - 1)):
        if ground.getpixel(corner) != marker:
            ImageDraw.floodfill(ground, corner, marker, thresh=3 * _GROUND_TOLERANCE)
    array = np.asarray(picture).copy()
    array[(np.asarray(ground) == np.array(marker, np.uint8)).all(2), 3] = 0
    return Image.fromarray(array)


app = typer.Typer(
    help="Libraries of illustrations that the model draws after: build one of your own for a house style.",
    no_args_is_help=True,
    add_completion=False,
)


@app.callback()
def _group() -> None:
    pass


@app.command()
def build(
    folder: Annotated[
        Path, typer.Argument(help="Illustrations: PNG, WebP, JPEG, GIF; one thing on each.", metavar="DIR")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the library; made if missing.")],
    *,
    checkpoint: Annotated[Path | None, typer.Option(help="Folder of a saved model instead of the shipped one.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Make a library of your own illustrations: use it with `--set model.library=FOLDER`."""
    from rich.console import Console

    with Console(stderr=True).status("Reading the illustrations …") as status:
        infos, sprites, refused = read_folder(folder)
        status.update("Loading the model …")
        from s2i_core.config import ModelConfig
        from s2i_core.pipeline import SpeechToImagePipeline

        pipeline = SpeechToImagePipeline.load(ModelConfig(checkpoint=str(checkpoint or "")))
        status.update(f"Looking at {len(sprites)} illustrations …")
        library = SpriteLibrary.from_arrays(infos, sprites)
        pipeline.embed_library(library)
        library.save(out)
    _print(out, library, refused, as_json=as_json)


def _print(out: Path, library: SpriteLibrary, refused: list[Refused], *, as_json: bool) -> None:
    if as_json:
        facts: dict[str, Any] = {"library": str(out), "sprites": len(library), "embedded_by": library.embedded_by}
        facts["refused"] = [{"path": str(each.path), "reason": each.reason} for each in refused]
        typer.echo(json.dumps(facts, ensure_ascii=False))
        return
    for line in _lines(refused):
        typer.echo(line, err=True)
    typer.echo(f"{len(library)} illustrations in {out}\nUse them: s2i run … --set model.library={out}")


def _lines(refused: list[Refused]) -> Iterator[str]:
    for each in refused:
        yield f"left out: {each.path}: {each.reason}"
