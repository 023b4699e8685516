"""A library of a customer's own illustrations, for a house style: `s2i library build DIR --out FOLDER`.

Every picture in a folder becomes a sprite with a vector from the model's image encoder; the decoder then draws from
these instead of the shipped ones. Nothing is trained.
"""

from __future__ import annotations

import io
import json
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

import numpy as np
import typer
from PIL import Image, ImageDraw

from s2i_core.errors import ConfigError, ModelError, S2IError
from s2i_core.models.decoders.native.library import RGBA, SpriteInfo, SpriteLibrary, tight_canvas
from s2i_core.options import counted
from s2i_core.storage.folders import open_folder, read_files, written

SUFFIXES = frozenset({".png", ".webp", ".jpg", ".jpeg", ".gif"})
MAX_PICTURES = 20_000
MAX_BYTES = 20 << 20
MAX_SIDE_PX = 8192
_WORK_PX = 512
_FILES_AT_ONCE = 16
#: How far a pixel may differ from the corner's colour and still be background, of 255 per channel.
_GROUND_TOLERANCE = 24


@dataclass(frozen=True)
class UnusedPicture:
    """A file that did not become part of the library, and why."""

    path: str
    reason: str


def read_folder(folder: str) -> tuple[list[SpriteInfo], list[RGBA], list[UnusedPicture]]:
    """The pictures of a folder and its subfolders as sprites, in the order of their names.

    A picture without transparency has its background removed: what is reached from the corners in their colour.

    Args:
        folder: on this machine, or `s3://bucket/prefix`.

    Raises:
        ConfigError: there is no such folder, no picture in it, or more than `MAX_PICTURES`.
        StorageError: the object store refused.
    """
    system, root = open_folder(folder)
    sizes = {path: about["size"] for path, about in system.find(root, detail=True).items() if _suffix(path) in SUFFIXES}
    if len(sizes) > MAX_PICTURES:
        raise ConfigError(folder, f"it holds {len(sizes)} pictures", f"Choose at most {MAX_PICTURES}.")
    infos: list[SpriteInfo] = []
    sprites: list[RGBA] = []
    left_out: list[UnusedPicture] = []
    paths = sorted(sizes)
    for start in range(0, len(paths), _FILES_AT_ONCE):
        some = paths[start : start + _FILES_AT_ONCE]
        contents = read_files(system, [path for path in some if sizes[path] <= MAX_BYTES])
        for path in some:
            name = path.removeprefix(f"{root}/")
            try:
                sprites.append(_sprite(name, contents.get(path)))
            except S2IError as error:
                left_out.append(UnusedPicture(f"{folder.rstrip('/')}/{name}", error.reason))
                continue
            stem = PurePosixPath(name).stem
            infos.append(SpriteInfo(name, stem, stem.replace("_", " "), "house", "house", "own", "own"))
    if not sprites:
        wanted = ", ".join(sorted(SUFFIXES))
        raise ConfigError(folder, "there is no picture in it that can be used", f"Put {wanted} files there.")
    return infos, sprites, left_out


def _suffix(path: str) -> str:
    return PurePosixPath(path).suffix.lower()


def _sprite(name: str, content: bytes | Exception | None) -> RGBA:
    """One picture cut out and centred; without content it was too large to be read.

    Raises:
        ModelError: it cannot be read, is too large, or is blank.
    """
    if content is None:
        raise ModelError(name, f"it is larger than {MAX_BYTES >> 20} MB", "Save it smaller.")
    try:
        if isinstance(content, Exception):
            raise content
        with Image.open(io.BytesIO(content)) as image:
            if max(image.size) > MAX_SIDE_PX:
                raise ModelError(name, f"a side is longer than {MAX_SIDE_PX} pixels", "Save it smaller.")
            image.draft("RGB", (_WORK_PX, _WORK_PX))
            picture = image.convert("RGBA")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ModelError(name, f"it cannot be read as a picture: {error}", "Save it again.") from error
    picture.thumbnail((_WORK_PX, _WORK_PX))
    is_cut_out = bool((np.asarray(picture)[:, :, 3] < 255).any())
    canvas = tight_canvas(picture if is_cut_out else _cut_out(picture))
    if canvas is None:
        raise ModelError(name, "it is blank", "Leave it out.")
    return canvas


def _cut_out(picture: Image.Image) -> Image.Image:
    """Make the background transparent: what is reached from the corners in their colour."""
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
        str,
        typer.Argument(
            help="Illustrations: PNG, WebP, JPEG, GIF; one thing on each. A folder, or s3://bucket/prefix.",
            metavar="DIR",
        ),
    ],
    out: Annotated[
        str, typer.Option("--out", "-o", help="Folder of the library, made if missing; or s3://bucket/prefix.")
    ],
    *,
    checkpoint: Annotated[Path | None, typer.Option(help="Folder of a saved model instead of the shipped one.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Make a library of your own illustrations: use it with `--set model.decoder.library=FOLDER`."""
    from rich.console import Console

    with Console(stderr=True).status("Reading the illustrations …") as status:
        infos, sprites, left_out = read_folder(folder)
        status.update("Loading the model …")
        from s2i_core.config import ModelConfig
        from s2i_core.models import registry

        model = registry.load(ModelConfig(checkpoint=str(checkpoint or "")))
        status.update(f"Looking at {len(sprites)} illustrations …")
        library = SpriteLibrary.from_arrays(infos, sprites)
        library.embed(model)
        with written(out) as folder_to_write:
            library.save(folder_to_write)
    _print(out, library, left_out, as_json=as_json)


def _print(out: str, library: SpriteLibrary, left_out: list[UnusedPicture], *, as_json: bool) -> None:
    if as_json:
        facts: dict[str, Any] = {"library": out, "sprites": len(library), "embedded_by": library.embedded_by}
        facts["refused"] = [asdict(each) for each in left_out]
        typer.echo(json.dumps(facts, ensure_ascii=False))
        return
    for each in left_out:
        typer.echo(f"left out: {each.path}: {each.reason}", err=True)
    typer.echo(
        f"{counted(len(library), 'illustration')} in {out}\nUse them: s2i run … --set model.decoder.library={out}"
    )
