"""The native decoder: predict a layout, look its objects up in the library, denoise with them in view.

With references, a picture starts from a coarse ground of the place that was heard (`native/grounds.py`), under noise;
without, from noise alone.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from numpy.typing import NDArray
from PIL import Image
from torch.nn import functional as F

from s2i_core.config import ImageConfig, NativeDecoderConfig
from s2i_core.errors import ModelError
from s2i_core.models.contracts import U8, DecoderInfo, Drawing, OnStep, refuse_non_finite
from s2i_core.models.decoders.native import contents, places
from s2i_core.models.decoders.native.denoiser import Denoiser, Parts
from s2i_core.models.decoders.native.enlarge import enlarged
from s2i_core.models.decoders.native.grounds import Grounds, start_picture
from s2i_core.models.decoders.native.layout import Layout, LayoutPredictor, showing
from s2i_core.models.decoders.native.library import SpriteLibrary
from s2i_core.models.decoders.native.recolour import COLOURS
from s2i_core.models.decoders.native.reference import Box, Slot, SpritePainter
from s2i_core.models.parts import load_part
from s2i_core.records import SHOWN_THINGS, Contents, SpeechEmbedding
from s2i_core.weights import GROUNDS_FOLDER, LIBRARY_FOLDER

EDGE = 0.01
"""Free room at the edge of the frame, as a share of it."""
TOUCH = 0.15
"""How far drawings of a kind may reach into each other, as a share of their extent."""
MOST_IN_A_ROW = 3
_HIGH = frozenset({"air", "weather", "space"})
"""Categories of what one sees above the rest."""
_BEHIND = frozenset({"building", "plant", "vehicle", "boat"})
"""Categories of what stands behind the rest."""
_ROUNDS = 24
_SHRUNK = 0.98
"""What is left of the size of crowded drawings after a round of moving them apart."""
_LAYOUT = "layout"
"""Name of the extra that a layout predictor with tokens of its own reads."""


@dataclass(frozen=True)
class NativeDrawing(Drawing):
    """Pictures and what they were made from.

    Attributes:
        slots: for each picture the library images it saw, in place; numbers are those of the library in its style.
        taken: for each picture the share of the pixels under its references that was taken from them, in the light of
            the scene, 0 to 1; 0 where it saw none.
        grounds: the coarse grounds that they started from `(B, R, R, 3)` uint8; None where they started from noise.
    """

    slots: list[tuple[Slot, ...]]
    taken: list[float]
    grounds: U8 | None = None


class NativeDecoder:
    """Speech embeddings to pictures, by flow matching from noise (Euler steps).

    Every picture depends on its own embedding, seed and settings only, never on its neighbours in the batch.

    Args:
        layout: says what to draw and where.
        denoiser: draws.
        scheduler: the flow-matching schedule.
        library: the pictures that it may look at; its vectors are in the model's shared space.
        grounds: coarse grounds of the places that `layout` tells apart; without, all pictures start from noise.
        digest: of the files they come from.
    """

    def __init__(
        self,
        layout: LayoutPredictor,
        denoiser: Denoiser,
        scheduler: FlowMatchEulerDiscreteScheduler,
        library: SpriteLibrary,
        grounds: Grounds | None = None,
        digest: str = "",
    ) -> None:
        self.layout = layout
        self.denoiser = denoiser
        self.scheduler = scheduler
        self.library = library
        self.grounds = grounds
        self.digest = digest
        knows = denoiser.config
        self.info = DecoderInfo(
            styles=tuple(knows.styles),
            unit_px=denoiser.unit_px,
            native_px=knows.sample_size,
            token_width=knows.token_width,
            embedding_width=knows.embedding_width,
            extras=(_LAYOUT,) if layout.config.own_tokens else (),
        )

    @torch.inference_mode()
    def predict(self, speech: SpeechEmbedding) -> Layout:
        """What lies where, by the layout predictor; where the speech says what to show, that and no more."""
        device, dtype = self.layout.device, self.layout.dtype
        tokens = speech.extras[_LAYOUT] if self.info.extras else speech.tokens
        layout: Layout = self.layout(tokens.to(device, dtype), speech.pooled.to(device, dtype))
        return showing(layout, speech.extras[SHOWN_THINGS].to(device)) if SHOWN_THINGS in speech.extras else layout

    def plan(self, layout: Layout, image: ImageConfig) -> list[tuple[Slot, ...]]:
        """For each utterance, the library images of the style to look at, and where they lie.

        The surest slot is always filled, the others where an object is more likely than not.
        """
        if image.references == 0:
            return [() for _ in range(len(layout.presence))]
        library = self.library.styled(image.style)
        parts = (layout.presence, layout.boxes, layout.queries, layout.colours)
        presence, boxes, queries, colours = (x.float().cpu().numpy() for x in parts)
        plans: list[tuple[Slot, ...]] = []
        for row in range(len(presence)):
            filled = [n for n in range(presence.shape[1]) if presence[row, n] > 0] or [int(presence[row].argmax())]
            surest = sorted(filled, key=lambda n: -presence[row, n])[: image.references]
            _, found = library.nearest(_agreed(queries[row, surest]), k=1)
            chosen = sorted(zip(surest, found[:, 0].tolist(), strict=True))
            sprites = [sprite for _, sprite in chosen]
            wanted = [boxes[row, n] for n, _ in chosen]
            if not any(box.any() for box in wanted):
                wanted = arranged([library.infos[sprite].category for sprite in sprites])
            placed = [_within(box, library.extent(sprite)) for box, sprite in zip(wanted, sprites, strict=True)]
            plans.append(
                tuple(
                    Slot(sprite, library.infos[sprite].concept, _framed(box, image), _colour(colours[row, n]))
                    for (n, sprite), box in zip(chosen, _apart(placed, sprites), strict=True)
                )
            )
        return plans

    def places(self, layout: Layout, seeds: Sequence[int], style: str) -> U8 | None:
        """A coarse ground of each place `(B, R, R, 3)`; None where the model has none."""
        if self.grounds is None:
            return None
        number = self.info.styles.index(style)
        settings, times = (logits.argmax(1).tolist() for logits in (layout.settings, layout.times))
        rows = zip(settings, times, seeds, strict=True)
        return np.stack([self.grounds.choose(number, setting, time, seed) for setting, time, seed in rows])

    def shows(
        self, slots: Sequence[Sequence[Slot]], layout: Layout, speech: SpeechEmbedding, image: ImageConfig
    ) -> list[Contents]:
        """What is in pictures with these drawings, which this speech asked for."""
        painter = SpritePainter(self.library.styled(image.style))
        rows = zip(slots, self._place_names(layout, image), contents.Said.each(speech), strict=True)
        return [Contents(contents.shown(painter, own, image.frame_px, said), *place) for own, place, said in rows]

    def _place_names(self, layout: Layout, image: ImageConfig) -> list[tuple[str | None, str | None]]:
        """Setting and time of day of each picture."""
        if not layout.settings.shape[1]:
            return [(None, None)] * len(layout.settings)
        settings, times = (logits.argmax(1).tolist() for logits in (layout.settings, layout.times))
        if self.grounds is not None and image.references:
            style = self.info.styles.index(image.style)
            times = [self.grounds.time_of(style, *each) for each in zip(settings, times, strict=True)]
        return list(map(places.named, settings, times))

    @torch.inference_mode()
    def draw(
        self, speech: SpeechEmbedding, seeds: Sequence[int], image: ImageConfig, on_step: OnStep | None = None
    ) -> NativeDrawing:
        """Make one picture for each embedding; see the contract `ImageDecoder`.

        Args:
            speech: B embeddings.
            seeds: of the noise, one for each.
            image: size, style, steps, guidance, number of references, share of noise over the ground.
            on_step: told of every step; previews have the side at which the model draws (`Denoiser.drawn_px`).
        """
        self.info.check(image)
        self.info.check_speech(speech, seeds)
        device, dtype = self.denoiser.device, self.denoiser.dtype
        batch, wanted = len(speech), image.frame_px
        height, width = self.denoiser.frame_px(*wanted)
        tokens, pooled = speech.tokens.to(device, dtype), speech.pooled.to(device, dtype)
        layout = self.predict(speech)
        slots, place = self.plan(layout, image), layout.place()
        # A painter a call: it keeps every drawing in every colour that it was asked for.
        painter = SpritePainter(self.library.styled(image.style))
        canvas = np.stack([_canvas(painter, each, (height, width), wanted) for each in slots])
        reference = canvas_tensor(canvas).to(device, dtype)
        styles = torch.full((batch,), self.info.styles.index(image.style), dtype=torch.long, device=device)
        # One generator a picture, on the CPU: the same noise on every device and in every batch.
        noise = [torch.randn(3, height, width, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
        x = torch.stack(noise).to(device)
        grounds = self.places(layout, seeds, image.style) if image.references else None
        most = 1.0
        if grounds is not None:
            most = image.start_noise
            start = torch.stack([start_picture(*each) for each in zip(grounds, canvas_tensor(canvas), strict=True)])
            x = torch.lerp(start.to(device), x, most)

        guided = image.guidance > 1
        if guided:
            tokens, pooled, styles, place = (torch.cat([each, each]) for each in (tokens, pooled, styles, place))
            reference_in = torch.cat([reference, reference])
            dropped = torch.arange(2 * batch, device=device) >= batch
        else:
            reference_in, dropped = reference, None
        # A fresh copy holds the step counter, so that calls do not disturb each other.
        scheduler = FlowMatchEulerDiscreteScheduler.from_config(self.scheduler.config)
        scheduler.set_timesteps(sigmas=np.linspace(most, most / image.steps, image.steps), device=device)
        taken = torch.zeros(batch, 1, height, width, device=device)
        for step, (timestep, sigma) in enumerate(zip(scheduler.timesteps, scheduler.sigmas[:-1], strict=True)):
            noisy = torch.cat([x, x]) if guided else x
            t = sigma.to(device).expand(len(noisy)).to(dtype)
            parts = self.denoiser.parts(noisy.to(dtype), t, tokens, pooled, styles, reference_in, dropped, place)
            clean, gate = self.denoiser.blend(parts, reference_in)
            clean, taken = clean.float(), gate[:batch].float()
            if guided:
                said, unsaid = clean.chunk(2)
                clean = unsaid + image.guidance * (said - unsaid)
            clean = clean.clamp(-1, 1)
            x = scheduler.step((x - clean) / sigma, timestep, x, return_dict=False)[0]
            if on_step is not None:
                on_step(step, functools.partial(_preview, clean))
        refuse_non_finite(x, seeds)
        if image.usual_frame or (height, width) == wanted:
            images = pixels(_resized(x, wanted))
        else:
            fine = SpritePainter(painter.library, fine=True)
            images = np.stack([_composed(parts, reference, n, fine, slots[n], image) for n in range(batch)])
        share = (taken.sum((1, 2, 3)) / reference[:, 3:].float().sum((1, 2, 3)).clamp(min=1)).tolist()
        return NativeDrawing(images, self.shows(slots, layout, speech, image), slots, share, grounds)


def load(config: NativeDecoderConfig, folder: Path, device: str, dtype: torch.dtype, digest: str) -> NativeDecoder:
    """That of a checkpoint, with the library of the settings.

    Raises:
        ModelError: a part is missing or damaged.
    """
    try:
        schedule = FlowMatchEulerDiscreteScheduler.from_pretrained(str(folder / "scheduler"), local_files_only=True)
    except (OSError, ValueError) as error:
        raise ModelError(str(folder), f"it cannot be loaded: {error}", "Copy the checkpoint again.") from error
    return NativeDecoder(
        load_part(folder / "layout", LayoutPredictor, dtype).to(device),
        load_part(folder / "denoiser", Denoiser, dtype).to(device),
        schedule,
        SpriteLibrary.load(Path(config.library) if config.library else folder / LIBRARY_FOLDER),
        Grounds.load(folder / GROUNDS_FOLDER),
        digest,
    )


def pixels(x: torch.Tensor) -> U8:
    """Pictures `(B, 3, H, W)` in -1 to 1 as `(B, H, W, 3)` uint8."""
    return np.asarray(((x.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy())


def _resized(x: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    same = tuple(x.shape[-2:]) == size
    return x if same else F.interpolate(x, size, mode="bicubic", antialias=True, align_corners=False)


def _canvas(painter: SpritePainter, slots: Sequence[Slot], drawn: tuple[int, int], wanted: tuple[int, int]) -> U8:
    """The slots in the frame that is wanted, narrowed or flattened to the one that is drawn, `(H, W, 4)`."""
    height, width = drawn
    across = round(height * wanted[1] / wanted[0])
    canvas = painter.reference(slots, height, across if drawn[0] == drawn[1] else width)
    if canvas.shape[1] != width:
        squeezed = Image.fromarray(canvas).convert("RGBa").resize((width, height), Image.Resampling.BICUBIC)
        canvas = np.asarray(squeezed.convert("RGBA"))
    return canvas


def _composed(
    parts: Parts, reference: torch.Tensor, row: int, painter: SpritePainter, slots: Sequence[Slot], image: ImageConfig
) -> U8:
    """A picture `(H, W, 3)` of a row, or with guidance of two, in the size of the settings."""
    canvas = painter.painted(slots, *image.frame_px)
    on = reference[row : row + 1].float().cpu()
    rows = range(row, len(parts.drawn), len(reference))
    said, *unsaid = (enlarged(parts.row(n), on, canvas) for n in rows)
    for other in unsaid:
        said = other + image.guidance * (said - other)
    return np.asarray(pixels(said[None])[0])


def _preview(clean: torch.Tensor, rows: Sequence[int]) -> U8:
    return pixels(clean[list(rows)])


def _agreed(queries: NDArray[np.float32], alike: float = 0.8) -> NDArray[np.float32]:
    """Queries `(N, E)` of unit length, each replaced by the mean of those that ask for nearly the same.

    Three of a kind are asked for three times, and should be found as the same drawing.
    """
    kin = (queries @ queries.T > alike).astype(np.float32)
    means = kin @ queries
    return np.asarray(means / np.linalg.norm(means, axis=1, keepdims=True), dtype=np.float32)


def arranged(categories: Sequence[str]) -> list[NDArray[np.float32]]:
    """Boxes for one to four things of which nobody said where they are: what flies above what stands, left to right."""
    high = [place for place, category in enumerate(categories) if category in _HIGH]
    low = [place for place in range(len(categories)) if place not in high]
    if len(low) > MOST_IN_A_ROW:
        low.sort(key=lambda place: categories[place] not in _BEHIND)
    boxes: list[NDArray[np.float32]] = [np.zeros(4, np.float32)] * len(categories)
    parts = [(high, 0.24, 0.34), (low, 0.68, 0.5)] if high and low else [(high or low, 0.57, 0.62)]
    for members, y, most in parts:
        rows = [members[:2], members[2:]] if len(members) == MOST_IN_A_ROW + 1 else [members]
        for number, row in enumerate(rows):
            # Two rows are one before the other, and no chessboard.
            side = min(most, 0.88 / len(row)) if len(rows) == 1 else 0.4
            at_y, shift = (y, 0.0) if len(rows) == 1 else ((0.38, 0.04), (0.75, -0.04))[number]
            for turn, place in enumerate(row):
                boxes[place] = np.array([(turn + 0.5) / len(row) + shift, at_y, side, side], np.float32)
    return boxes


def _within(box: NDArray[np.float32], extent: tuple[float, float]) -> Box:
    """A box moved, and made smaller if need be, so that the drawing that fills it lies within the frame.

    Args:
        box: centre and extent, as the layout says.
        extent: width and height of the drawing on its canvas; it keeps its proportions, see `SpritePainter.placement`.
    """
    cx, cy, w, h = (float(value) for value in box)
    side = min(max(w / extent[0], h / extent[1]), (1 - 2 * EDGE) / max(extent))
    width, height = side * extent[0], side * extent[1]
    x, y = (min(max(at, EDGE + size / 2), 1 - EDGE - size / 2) for at, size in ((cx, width), (cy, height)))
    return x, y, width, height


def _apart(boxes: Sequence[Box], sprites: Sequence[int]) -> list[Box]:
    """The boxes, with those of one drawing moved apart, and made smaller if need be, until none hides another.

    Several of a kind are told by their number, which is not seen where they cover each other.
    """
    placed = np.array(boxes, dtype=np.float64)
    pairs = [(i, j) for j in range(len(placed)) for i in range(j) if sprites[i] == sprites[j]]
    for _ in range(_ROUNDS):
        moved = False
        for i, j in pairs:
            between = placed[j, :2] - placed[i, :2]
            deep = (1 - TOUCH) * (placed[i, 2:] + placed[j, 2:]) / 2 - np.abs(between)
            if deep.min() > 1e-3:
                axis = int(deep.argmin())
                step = deep[axis] / 2 * (1 if between[axis] >= 0 else -1)
                placed[i, axis] -= step
                placed[j, axis] += step
                moved = True
        if not moved:
            break
        crowded = sorted({n for pair in pairs for n in pair})
        placed[crowded, 2:] *= _SHRUNK
        half = placed[:, 2:] / 2
        placed[:, :2] = np.clip(placed[:, :2], EDGE + half, 1 - EDGE - half)
    return [(float(cx), float(cy), float(w), float(h)) for cx, cy, w, h in placed]


def _framed(box: Box, image: ImageConfig) -> Box:
    """A box of a square picture in the frame of the settings: as large as in a square on its shorter side."""
    height, width = image.frame_px
    shorter = min(height, width)
    cx, cy, w, h = box
    return cx, cy, w * shorter / width, h * shorter / height


def _colour(logits: NDArray[np.float32]) -> str | None:
    """The likeliest colour; None is the drawing's own."""
    return (None, *COLOURS)[int(logits.argmax())] if len(logits) else None


def canvas_tensor(canvas: NDArray[np.uint8]) -> torch.Tensor:
    """Straight-alpha RGBA canvases `(B, S, S, 4)` uint8 as the denoiser wants them.

    Returns:
        `(B, 4, S, S)` float32: colours -1 to 1 times alpha, alpha 0 to 1.
    """
    x = torch.from_numpy(canvas).permute(0, 3, 1, 2).float() / 255
    alpha = x[:, 3:]
    return torch.cat([(x[:, :3] * 2 - 1) * alpha, alpha], dim=1)
