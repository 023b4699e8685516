"""The retrieval library of the decoder: illustrations that ship with the model.

The decoder is a semi-parametric diffusion model (Blattmann et al. 2022, "Retrieval-Augmented Diffusion Models"): it
looks up illustrations near the speech in the shared space and gets them as a reference. The library is data beside the
weights, so a customer may swap it for one of their own drawings without training again (`s2i library build`).

On disk it is `sprites.safetensors` (WebP bytes end to end, their offsets, the vectors, and which of them is each
sprite's), `sprites.json`, and, for pictures finer than the sprites, `drawings.zip`. Sprites that are redrawn have no
WebP.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save_file

from s2i_core.errors import ModelError
from s2i_core.models.contracts import Model
from s2i_core.models.decoders.native import drawings
from s2i_core.models.decoders.native.drawings import VISIBLE, Drawings
from s2i_core.models.decoders.native.kinds import Figure, figure

SPRITE_SIZE = 128
WEBP_QUALITY = 90
#: Room around the tight box of a sprite, in pixels of its canvas.
MARGIN = 4
_EMBEDDED_BY = "embedded_by"
_CREDIT = ("source", "licence", "author", "url")
_LINE = ",\n"

RGBA: TypeAlias = drawings.RGBA


@dataclass(frozen=True)
class SpriteInfo:
    """What is known of one illustration.

    Attributes:
        id: its name in the library.
        concept: the thing that it shows.
        title: what people call it.
        category: what kind of thing that is.
        style: how it is drawn.
        source: the set that it comes from.
        licence: of the drawing, as SPDX names it.
        author: whom to credit.
        url: where it can be had, or the set where single drawings have no address.
        borrowed: it was drawn in another style, and redrawn in this one.
        drawing: its name in `drawings.zip`, where that is not `id`.
        redrawing: how that is redrawn in this style (`redraw.Redrawing`); empty where it is kept as it is.
    """

    id: str
    concept: str
    title: str
    category: str
    style: str
    source: str
    licence: str
    author: str = ""
    url: str = ""
    borrowed: bool = False
    drawing: str = ""
    redrawing: str = ""

    @property
    def name(self) -> str:
        """What it is called in plain words: a radio tower, where its title is that of Tokyo."""
        return self.concept.replace("_", " ")


def tight_canvas(image: Image.Image) -> RGBA | None:
    """A picture as a sprite, `(SPRITE_SIZE, SPRITE_SIZE, 4)` uint8: see `drawings.tight_canvas`."""
    return drawings.tight_canvas(image, SPRITE_SIZE, MARGIN)


class SpriteLibrary:
    """Illustrations on transparent ground, with their concepts and their vectors in the shared space.

    Args:
        infos: one entry a sprite.
        webp: the sprites as WebP files, each `SPRITE_SIZE` square with alpha; empty for one that is made of its drawing
            when it is asked for.
        vectors: `(N, E)` float32, L2-normalised, in the model's shared space, or `None` before they are known.
        embedded_by: digest of the model that made the vectors; empty for those that a checkpoint was trained with.
        large: the same drawings for finer canvases, where it has them.

    Raises:
        ModelError: the parts do not fit each other.
    """

    def __init__(
        self,
        infos: Sequence[SpriteInfo],
        webp: Sequence[bytes],
        vectors: npt.NDArray[np.float32] | None = None,
        embedded_by: str = "",
        large: Drawings | None = None,
    ) -> None:
        if len(infos) != len(webp):
            raise ModelError("sprite library", f"{len(infos)} entries for {len(webp)} images", "build it again")
        self.infos = tuple(infos)
        self.webp = tuple(webp)
        self._decoded: dict[int, RGBA] = {}
        self._extents: dict[int, tuple[float, float]] = {}
        self._figures: dict[int, Figure] = {}
        self._members: dict[str, list[int]] = {}
        for index, info in enumerate(self.infos):
            self._members.setdefault(info.concept, []).append(index)
        self._styled: dict[str, SpriteLibrary] = {}
        self._distinct: npt.NDArray[np.float32] | None = None
        self._vector_of = np.zeros(0, np.int32)
        self.embedded_by = embedded_by
        self.large = large
        self.vectors = vectors
        for info, data in zip(self.infos, self.webp, strict=True):
            if not data and (large is None or (info.drawing or info.id) not in large):
                raise ModelError(info.id, "it has neither a sprite nor a drawing", "copy or build the library again")

    @classmethod
    def from_arrays(cls, infos: Sequence[SpriteInfo], sprites: Iterable[RGBA]) -> SpriteLibrary:
        """Encode `(SPRITE_SIZE, SPRITE_SIZE, 4)` uint8 sprites; see `tight_canvas` for making them."""
        return cls(infos, [_encode(sprite) for sprite in sprites])

    @classmethod
    def joined(cls, libraries: Sequence[SpriteLibrary]) -> SpriteLibrary:
        """The sprites of several libraries, in their order; without vectors."""
        infos = [info for each in libraries for info in each.infos]
        paths = [path for each in libraries if each.large for path in each.large.paths]
        large = Drawings(*paths) if paths else None
        return cls(infos, [data for each in libraries for data in each.webp], large=large)

    def styled(self, style: str) -> SpriteLibrary:
        """The sprites of one style, with their vectors; all of them where there is none, as in a house style."""
        places = [place for place, info in enumerate(self.infos) if info.style == style]
        if len(places) in (0, len(self)):
            return self
        if style not in self._styled:
            self._styled[style] = self.kept(lambda info: info.style == style)
        return self._styled[style]

    @property
    def as_drawn(self) -> SpriteLibrary:
        """Those of the sprites that somebody drew in their style; the others are redrawn."""
        return self.kept(lambda info: not info.redrawing)

    def kept(self, wanted: Callable[[SpriteInfo], bool]) -> SpriteLibrary:
        """Those of the sprites that are wanted, with their vectors."""
        places = [place for place, info in enumerate(self.infos) if wanted(info)]
        vectors = None if self._distinct is None else self._distinct[self._vector_of[places]]
        chosen = [self.infos[n] for n in places], [self.webp[n] for n in places]
        return SpriteLibrary(*chosen, vectors, self.embedded_by, self.large)

    def __len__(self) -> int:
        return len(self.infos)

    @property
    def concepts(self) -> tuple[str, ...]:
        """The distinct concepts, in the order of their first sprite."""
        return tuple(self._members)

    @property
    def vectors(self) -> npt.NDArray[np.float32] | None:
        """`(N, E)` float32, L2-normalised, or `None`; put together when it is asked for, since sprites share them."""
        return None if self._distinct is None else self._distinct[self._vector_of]

    @vectors.setter
    def vectors(self, vectors: npt.NDArray[np.float32] | None) -> None:
        if vectors is not None:
            if vectors.ndim != 2 or len(vectors) != len(self):
                raise ModelError(
                    "sprite library", f"vectors {vectors.shape} for {len(self)} sprites", "embed every sprite once"
                )
            norms = np.linalg.norm(vectors.astype(np.float32), axis=1, keepdims=True)
            if not np.all(np.isfinite(norms)) or np.any(norms < 1e-6):
                raise ModelError("sprite library", "a vector is zero or not finite", "embed the sprites again")
            vectors = np.ascontiguousarray(vectors / norms, dtype=np.float32)
        self._distinct, self._vector_of = (None, np.zeros(0, np.int32)) if vectors is None else _distinct(vectors)
        self._styled.clear()

    def embed(self, model: Model, batch: int = 64) -> None:
        """Fill in the vectors, by the shared space of a model: the sprites on white."""
        vectors: list[npt.NDArray[np.float32]] = []
        for start in range(0, len(self), batch):
            stack = np.stack([self.rgba(n).astype(np.float32) for n in range(start, min(start + batch, len(self)))])
            alpha = stack[..., 3:] / 255
            white = (stack[..., :3] * alpha + 255 * (1 - alpha)).round().astype(np.uint8)
            vectors.append(model.space.embed_images(white).cpu().numpy())
        self.vectors = np.concatenate(vectors) if vectors else None
        self.embedded_by = model.encoder_digest

    def members(self, concept: str) -> tuple[int, ...]:
        """The sprites of a concept; empty for an unknown one."""
        return tuple(self._members.get(concept, ()))

    def rgba(self, index: int) -> RGBA:
        """`(SPRITE_SIZE, SPRITE_SIZE, 4)` uint8 with straight alpha; decoded or drawn once and kept. Read-only."""
        if index not in self._decoded and not self.webp[index]:
            fine = Image.fromarray(self.drawn(index, SPRITE_SIZE + 1)).convert("RGBa")
            smaller = fine.resize((SPRITE_SIZE, SPRITE_SIZE), Image.Resampling.LANCZOS).convert("RGBA")
            self._decoded[index] = np.asarray(smaller)
            self._decoded[index].setflags(write=False)
        if index not in self._decoded:
            with Image.open(io.BytesIO(self.webp[index]), formats=["WEBP"]) as image:
                if image.size != (SPRITE_SIZE, SPRITE_SIZE):
                    raise ModelError(
                        self.infos[index].id,
                        f"the sprite is {image.size[0]}x{image.size[1]} pixels, not {SPRITE_SIZE} square",
                        "make it with tight_canvas",
                    )
                decoded = np.asarray(image.convert("RGBA"))
            decoded.setflags(write=False)
            self._decoded[index] = decoded
        return self._decoded[index]

    def drawn(self, index: int, side_px: int) -> RGBA:
        """The drawing for a canvas of that side, of a side of its own: the sprite where there is no larger one."""
        info = self.infos[index]
        name = info.drawing or info.id
        if side_px <= SPRITE_SIZE or self.large is None or name not in self.large:
            return self.rgba(index)
        return self.large.rgba(name, side_px, MARGIN / SPRITE_SIZE, info.redrawing)

    def extent(self, index: int) -> tuple[float, float]:
        """Width and height of what is drawn, as shares of the canvas."""
        if index not in self._extents:
            drawn = self.rgba(index)[:, :, 3] > VISIBLE
            rows, columns = np.nonzero(drawn.any(1))[0], np.nonzero(drawn.any(0))[0]
            self._extents[index] = (
                float(columns[-1] - columns[0] + 1) / SPRITE_SIZE,
                float(rows[-1] - rows[0] + 1) / SPRITE_SIZE,
            )
        return self._extents[index]

    def figure(self, index: int) -> Figure:
        """What of a being the drawing shows."""
        if index not in self._figures:
            info = self.infos[index]
            self._figures[index] = figure(info.concept, info.category, self.rgba(index))
        return self._figures[index]

    def nearest(self, query: npt.NDArray[np.float32], k: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """The `k` most similar sprites of each query by inner product, best first.

        Args:
            query: `(B, E)` float32, L2-normalised.
            k: how many; at most the size of the library are returned.

        Returns:
            Scores `(B, k)` float32 and indices `(B, k)` int64.

        Raises:
            ModelError: the library has no vectors, or of another width.
        """
        if self._distinct is None:
            raise ModelError("sprite library", "it has no vectors", "embed its sprites with the model's image encoder")
        if query.ndim != 2 or query.shape[1] != self._distinct.shape[1]:
            raise ModelError(
                "sprite library",
                f"a query {query.shape} does not fit vectors of {self._distinct.shape[1]}",
                "embed the sprites with the image encoder of the same checkpoint",
            )
        scores = (query.astype(np.float32) @ self._distinct.T)[:, self._vector_of]
        # A stable sort, so that ties resolve alike whatever else is in the batch.
        indices = np.argsort(-scores, axis=1, kind="stable")[:, : min(k, len(self))]
        return np.take_along_axis(scores, indices, axis=1), indices.astype(np.int64)

    def save(self, folder: Path) -> None:
        """Write `sprites.safetensors` and `sprites.json` into `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        offsets = np.cumsum([0, *(len(data) for data in self.webp)], dtype=np.int64)
        arrays: dict[str, npt.NDArray[np.generic]] = {
            "webp": np.frombuffer(b"".join(self.webp), dtype=np.uint8),
            "offsets": offsets,
        }
        if self._distinct is not None:
            arrays |= {"vectors": self._distinct, "vector_of": self._vector_of}
        save_file(
            arrays, folder / "sprites.safetensors", {_EMBEDDED_BY: self.embedded_by} if self.embedded_by else None
        )
        if self.large is not None:
            self.large.save(folder)
        # Sprites that are redrawn are as their drawings are, which then count for the library's name.
        redrawn = self.large is not None and not all(self.webp)
        digest = hashlib.sha256((folder / drawings.FILE).read_bytes()).hexdigest() if redrawn else ""
        (folder / "sprites.json").write_text(_listed(self.infos, digest), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> SpriteLibrary:
        """Read a library that `save` wrote.

        Raises:
            ModelError: a file is missing or damaged.
        """
        try:
            arrays = load_file(folder / "sprites.safetensors")
            with safe_open(folder / "sprites.safetensors", framework="np") as file:
                embedded_by = (file.metadata() or {}).get(_EMBEDDED_BY, "")
            infos = _read(json.loads((folder / "sprites.json").read_text(encoding="utf-8")))
            data, offsets = arrays["webp"].tobytes(), arrays["offsets"]
            vectors = arrays.get("vectors")
            if vectors is not None and "vector_of" in arrays:  # libraries of before have one for each sprite
                vectors = vectors[arrays["vector_of"]]
        except (OSError, SafetensorError, ValueError, TypeError, LookupError) as error:
            raise ModelError(
                str(folder), f"not a sprite library: {error}", "copy or build the library again"
            ) from error
        if (
            len(offsets) != len(infos) + 1
            or offsets[0] != 0
            or offsets[-1] != len(data)
            or np.any(np.diff(offsets) < 0)
        ):
            raise ModelError(str(folder), "its images and its entries do not fit", "copy or build the library again")
        webp = [data[start:end] for start, end in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)]
        return cls(infos, webp, vectors, embedded_by, Drawings.load(folder))


def _distinct(vectors: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int32]]:
    """The different rows in their order, and which of them each row is."""
    places: dict[bytes, int] = {}
    vector_of = np.array([places.setdefault(row.tobytes(), len(places)) for row in vectors], np.int32)
    first = np.unique(vector_of, return_index=True)[1]
    return np.ascontiguousarray(vectors[first]), vector_of


def _listed(infos: Sequence[SpriteInfo], drawings_digest: str) -> str:
    """The sprites as JSON, a line each, and before them the credits that they share."""
    credits: dict[str, int] = {}
    sprites = []
    for info in infos:
        entry = asdict(info)
        credit = json.dumps({name: entry.pop(name) for name in _CREDIT}, ensure_ascii=False)
        entry["credit"] = credits.setdefault(credit, len(credits))
        for name in ("borrowed", "drawing", "redrawing"):
            if not entry[name]:
                del entry[name]
        sprites.append(json.dumps(entry, ensure_ascii=False))
    digest = f'"drawings": "{drawings_digest}",\n' if drawings_digest else ""
    return f'{{{digest}"credits": [\n{_LINE.join(credits)}\n],\n"sprites": [\n{_LINE.join(sprites)}\n]}}\n'


def _read(told: Any) -> list[SpriteInfo]:
    """What `_listed` wrote; libraries of before are a list of sprites, each with its credit."""
    if isinstance(told, list):
        return [SpriteInfo(**entry) for entry in told]
    credits = told["credits"]
    return [SpriteInfo(**credits[entry.pop("credit")], **entry) for entry in told["sprites"]]


def _encode(sprite: RGBA) -> bytes:
    if sprite.shape != (SPRITE_SIZE, SPRITE_SIZE, 4) or sprite.dtype != np.uint8:
        raise ModelError(
            "sprite",
            f"{sprite.dtype} {sprite.shape} is not uint8 ({SPRITE_SIZE}, {SPRITE_SIZE}, 4)",
            "use tight_canvas",
        )
    buffer = io.BytesIO()
    Image.fromarray(sprite).save(buffer, "WEBP", quality=WEBP_QUALITY, alpha_quality=100, method=4)
    return buffer.getvalue()
