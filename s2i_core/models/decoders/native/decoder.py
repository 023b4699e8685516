"""The native decoder: predict a layout, look its objects up in the library, denoise with them in view.

With references, a picture starts from the painted ground of the place that was heard (`painted/`), under noise, or from
a coarse one (`grounds.py`) where the layout predictor knows other places; without, from noise alone. The picture is
then composed at full size: the ground and the drawings painted anew, in the light that was drawn (`enlarge.py`).
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
from s2i_core.models.decoders.native.arrange import Thing, arrange
from s2i_core.models.decoders.native.denoiser import Denoiser, Parts
from s2i_core.models.decoders.native.enlarge import SHADELESS, cast_shadows, composed, enlarged, shade_of
from s2i_core.models.decoders.native.grounds import Grounds, start_picture
from s2i_core.models.decoders.native.kinds import size_m, support
from s2i_core.models.decoders.native.layout import Layout, LayoutPredictor, showing
from s2i_core.models.decoders.native.library import SpriteLibrary
from s2i_core.models.decoders.native.painted import paint
from s2i_core.models.decoders.native.places import fitted, place_of
from s2i_core.models.decoders.native.recolour import COLOURS
from s2i_core.models.decoders.native.redraw import PRINTS
from s2i_core.models.decoders.native.reference import Slot, SpritePainter
from s2i_core.models.parts import load_part
from s2i_core.records import SHOWN_THINGS, Contents, SpeechEmbedding
from s2i_core.weights import GROUNDS_FOLDER, LIBRARY_FOLDER

_MAY_TURN = frozenset(
    {"animal", "bird", "sea", "plant", "person", "vehicle", "boat", "air", "fruit", "body", "instrument"}
)
"""Categories of drawings that stay right when mirrored: no letters, no clocks."""
_ALIKE, _AS_NEAR = 6, 0.03
"""How many drawings may be as near to what was asked for as the nearest, and how much less near that is."""
_COMPOSING = 3.0
"""Cost of composing a picture of 1,024 pixels, in denoising steps at 256: see `DecoderInfo.composing`."""
_LAYOUT = "layout"
"""Name of the extra that a layout predictor with tokens of its own reads."""


@dataclass(frozen=True)
class NativeDrawing(Drawing):
    """Pictures and what they were made from.

    Attributes:
        slots: for each picture the library images it saw, in place; numbers are those of the library in its style.
        taken: for each picture the share of the pixels under its references that was taken from them, in the light of
            the scene, 0 to 1; 0 where it saw none.
        grounds: the grounds that they started from `(B, R, R, 3)` uint8; None where they started from noise.
    """

    slots: list[tuple[Slot, ...]]
    taken: list[float]
    grounds: U8 | None = None


@dataclass(frozen=True)
class Composition:
    """What a picture is to show.

    Attributes:
        slots: library images in their places; numbers are those of the library in its style.
        setting, time: where and when, as the layout predictor counts them; 0 where it knows none.
        sky: whether something that is part of the sky is among the things.
    """

    slots: tuple[Slot, ...]
    setting: int = 0
    time: int = 0
    sky: bool = False


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
            styles=(*knows.styles, *_prints(library)),
            unit_px=denoiser.unit_px,
            native_px=knows.sample_size,
            token_width=knows.token_width,
            embedding_width=knows.embedding_width,
            extras=(_LAYOUT,) if layout.config.own_tokens else (),
            composing=_COMPOSING if self.paints else 0.0,
        )

    @torch.inference_mode()
    def predict(self, speech: SpeechEmbedding) -> Layout:
        """What lies where, by the layout predictor; where the speech says what to show, that and no more."""
        device, dtype = self.layout.device, self.layout.dtype
        tokens = speech.extras[_LAYOUT] if self.info.extras else speech.tokens
        layout: Layout = self.layout(tokens.to(device, dtype), speech.pooled.to(device, dtype))
        return showing(layout, speech.extras[SHOWN_THINGS].to(device)) if SHOWN_THINGS in speech.extras else layout

    def plan(self, layout: Layout, image: ImageConfig, seeds: Sequence[int]) -> list[Composition]:
        """For each utterance where it is set, and which library images of the style to look at, in their places.

        The surest slot is always filled, the others where an object is more likely than not.
        """
        library = self.library.styled(image.style)
        parts = (layout.presence, layout.boxes, layout.queries, layout.colours, layout.settings, layout.times)
        presence, boxes, queries, colours, settings, times = (x.float().cpu().numpy() for x in parts)
        plans: list[Composition] = []
        for row, seed in enumerate(seeds):
            filled = [n for n in range(presence.shape[1]) if presence[row, n] > 0] or [int(presence[row].argmax())]
            surest = sorted(filled, key=lambda n: -presence[row, n])[: image.references]
            chosen = []
            if surest:
                chosen = sorted(zip(surest, self._looked_up(library, queries[row, surest], image.variant), strict=True))
            things = [self._thing(library, sprite, boxes[row, n]) for n, sprite in chosen]
            kinds = [library.infos[sprite].category for _, sprite in chosen]
            fit = fitted(settings[row], [(thing.support, thing.size_m) for thing in things], kinds)
            setting, time = (int(logits.argmax()) if len(logits) else 0 for logits in (fit, times[row]))
            stage = place_of(setting, len(fit)).stage
            height, width = image.frame_px
            arranged = arrange(things, stage, seed, width / height, image.variant)
            slots = tuple(
                Slot(sprite, library.infos[sprite].concept, at.box, _colour(colours[row, n]), at.turned, at.aloft)
                for (n, sprite), at in zip(chosen, arranged, strict=True)
            )
            plans.append(Composition(slots, setting, time, any(thing.support == "sky" for thing in things)))
        return plans

    def _looked_up(self, library: SpriteLibrary, queries: NDArray[np.float32], variant: int = 0) -> list[int]:
        """The drawing nearest to each query; of those that are as near and show the same, one that shows all of it.

        Where there are several, variants of a picture take them by turns.
        """
        scores, found = library.nearest(_agreed(queries), k=_ALIKE)
        sprites = []
        for near, few in zip(scores, found.tolist(), strict=True):
            same = [
                sprite
                for score, sprite in zip(near, few, strict=True)
                if score > near[0] - _AS_NEAR and library.infos[sprite].concept == library.infos[few[0]].concept
            ]
            whole = [sprite for sprite in same if library.figure(sprite) == "whole"] or few[:1]
            sprites.append(whole[variant % len(whole)])
        return sprites

    def _thing(self, library: SpriteLibrary, sprite: int, box: NDArray[np.float32]) -> Thing:
        """A drawing as the arrangement sees it."""
        info = library.infos[sprite]
        width, height = library.extent(sprite)
        longer = max(width, height)
        return Thing(
            key=sprite,
            size_m=size_m(info.concept, info.category),
            support=support(info.concept, info.category),
            figure=library.figure(sprite),
            shape=(width / longer, height / longer),
            may_turn=info.category in _MAY_TURN,
            told=(float(box[0]), float(box[1]), float(box[2]), float(box[3])) if box.any() else None,
        )

    @property
    def paints(self) -> bool:
        """Whether it has the grounds of the places that are told apart here, which are painted at any size."""
        return self.grounds is not None and self.layout.config.num_settings == len(places.PLACES)

    def _style_token(self, style: str) -> int:
        """The number of a style among those of the denoiser; of a print, that of what it is taken for."""
        known: Sequence[str] = self.denoiser.config.styles
        as_drawn = style if style in known else PRINTS.get(style, style)
        return known.index(as_drawn) if as_drawn in known else 0

    def ground(self, plan: Composition, seed: int, style: str, height: int, width: int, aspect: float = 0) -> U8:
        """The painted ground of a place `(height, width, 3)`, as it looks in proportions of `aspect`."""
        setting, time = places.SETTINGS[plan.setting], places.TIMES[plan.time]
        if time not in places.PLACES[setting].times:
            time = "day"
        return paint(setting, time, seed, height, width, style, aspect, lights=not plan.sky)

    def starts(
        self, plans: Sequence[Composition], seeds: Sequence[int], image: ImageConfig, size: tuple[int, int]
    ) -> U8 | None:
        """What each picture starts from under its references and its noise `(B, R, R, 3)`; None where that is noise.

        The ground of its place, painted at `size`; coarse where a model tells other places apart.
        """
        if self.grounds is None or not image.references:
            return None
        rows = list(zip(plans, seeds, strict=True))
        if not self.paints:
            number = self._style_token(image.style)
            return np.stack([self.grounds.choose(number, plan.setting, plan.time, seed) for plan, seed in rows])
        height, width = image.frame_px
        return np.stack([self.ground(plan, seed, image.style, *size, width / height) for plan, seed in rows])

    def shows(self, plans: Sequence[Composition], speech: SpeechEmbedding, image: ImageConfig) -> list[Contents]:
        """What is in pictures of these compositions, which this speech asked for."""
        painter = SpritePainter(self.library.styled(image.style))
        rows = zip(plans, contents.Said.each(speech), strict=True)
        return [
            Contents(contents.shown(painter, plan.slots, image.frame_px, said), *self._place_names(plan, image))
            for plan, said in rows
        ]

    def _place_names(self, plan: Composition, image: ImageConfig) -> tuple[str | None, str | None]:
        """Setting and time of day of a picture."""
        if not self.layout.config.num_settings:
            return None, None
        time = plan.time
        if self.paints and places.TIMES[time] not in places.PLACES[places.SETTINGS[plan.setting]].times:
            time = 0
        return places.named(plan.setting, time)

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
        device, dtype, batch = self.denoiser.device, self.denoiser.dtype, len(speech)
        height, width = self.denoiser.frame_px(*(wanted := image.frame_px))
        tokens, pooled = speech.tokens.to(device, dtype), speech.pooled.to(device, dtype)
        layout = self.predict(speech)
        plans = self.plan(layout, image, seeds)
        place = layout.place([plan.setting for plan in plans])
        painter = SpritePainter(self.library.styled(image.style))
        canvas = np.stack([_canvas(painter, plan.slots, (height, width), wanted) for plan in plans])
        reference = canvas_tensor(canvas).to(device, dtype)
        styles = torch.full((batch,), self._style_token(image.style), dtype=torch.long, device=device)
        # One generator a picture, on the CPU: the same noise on every device and in every batch.
        noise = [torch.randn(3, height, width, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
        x = torch.stack(noise).to(device)
        grounds = self.starts(plans, seeds, image, (height, width))
        work = _Work(plans, seeds, image, canvas, grounds)
        if self.paints and grounds is not None and image.style in PRINTS:
            if on_step is not None:
                for step in range(image.steps):
                    on_step(step, functools.partial(self._printed, work, grounds, size=(height, width)))
            images = self._printed(work, grounds, range(batch), wanted)
            return self._drawing(images, plans, speech, image, [float(bool(plan.slots)) for plan in plans], grounds)
        most = 1.0
        if grounds is not None:
            most = image.start_noise
            start = torch.stack([start_picture(*each) for each in zip(grounds, canvas_tensor(canvas), strict=True)])
            x = torch.lerp(start.to(device), x, most)

        x, parts, taken = self._denoised(x, most, (tokens, pooled, styles, place), reference, work, on_step)
        refuse_non_finite(x, seeds)
        if self.paints and grounds is not None:
            images = self._composed(parts, work, grounds, range(batch), wanted)
            share = [float(bool(plan.slots)) for plan in plans]
        else:
            share = (taken.sum((1, 2, 3)) / reference[:, 3:].float().sum((1, 2, 3)).clamp(min=1)).tolist()
            if image.usual_frame or (height, width) == wanted:
                images = pixels(_resized(x, wanted))
            else:
                fine = SpritePainter(painter.library, fine=True)
                images = np.stack([_composed(parts, reference, n, fine, plans[n].slots, image) for n in range(batch)])
        return self._drawing(images, plans, speech, image, share, grounds)

    def _drawing(
        self,
        images: U8,
        plans: Sequence[Composition],
        speech: SpeechEmbedding,
        image: ImageConfig,
        share: list[float],
        grounds: U8 | None,
    ) -> NativeDrawing:
        return NativeDrawing(images, self.shows(plans, speech, image), [plan.slots for plan in plans], share, grounds)

    def _denoised(
        self,
        x: torch.Tensor,
        most: float,
        conditions: tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor],
        reference: torch.Tensor,
        work: _Work,
        on_step: OnStep | None,
    ) -> tuple[torch.Tensor, Parts, torch.Tensor]:
        """Pictures `(B, 3, H, W)` from `most` noise to none, their parts, and what they take of the canvas."""
        image, batch, device, dtype = work.image, len(x), x.device, self.denoiser.dtype
        guided = image.guidance > 1
        reference_in, dropped = reference, None
        if guided:
            conditions = tuple(torch.cat([each, each]) for each in conditions)  # type: ignore[assignment]
            reference_in = torch.cat([reference, reference])
            dropped = torch.arange(2 * batch, device=device) >= batch
        tokens, pooled, styles, place = conditions
        # A fresh copy holds the step counter, so that calls do not disturb each other.
        scheduler = FlowMatchEulerDiscreteScheduler.from_config(self.scheduler.config)
        scheduler.set_timesteps(sigmas=np.linspace(most, most / image.steps, image.steps), device=device)
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
                on_step(step, functools.partial(self._preview, parts, clean, work))
        return x, parts, taken

    def _composed(self, parts: Parts, work: _Work, grounds: U8, rows: Sequence[int], size: tuple[int, int]) -> U8:
        """Pictures of these rows at a size, on their painted grounds, in the light of the parts `(N, H, W, 3)`."""
        painter = SpritePainter(self.library.styled(work.image.style), fine=True)
        pictures = []
        for n in rows:
            given, on = canvas_tensor(work.canvas[n : n + 1]), grounds[n]
            said = parts.row(n)
            if len(parts.drawn) > len(work.plans):
                said = said.beyond(parts.row(n + len(work.plans)), work.image.guidance)
            shade = shade_of(said, given, torch.from_numpy(on.copy()).permute(2, 0, 1)[None] / 127.5 - 1)
            slots = work.plans[n].slots
            ground = self._ground_at(work, grounds, n, size)
            if work.image.style not in SHADELESS:
                ground = cast_shadows(ground, slots)
            pictures.append(composed(ground, shade, painter.painted(slots, *size), said.gains))
        return np.stack(pictures)

    def _printed(self, work: _Work, grounds: U8, rows: Sequence[int], size: tuple[int, int]) -> U8:
        """Pictures of these rows as prints: on their grounds, in no light `(N, H, W, 3)`."""
        painter = SpritePainter(self.library.styled(work.image.style), fine=True)
        even = torch.ones(1, 1, 1, 1)
        return np.stack(
            [
                composed(self._ground_at(work, grounds, n, size), even, painter.painted(work.plans[n].slots, *size))
                for n in rows
            ]
        )

    def _ground_at(self, work: _Work, grounds: U8, n: int, size: tuple[int, int]) -> U8:
        """The ground of a row at a size."""
        if grounds[n].shape[:2] == size:
            return grounds[n]
        height, width = work.image.frame_px
        return self.ground(work.plans[n], work.seeds[n], work.image.style, *size, width / height)

    def _preview(self, parts: Parts, clean: torch.Tensor, work: _Work, rows: Sequence[int]) -> U8:
        if self.paints and work.grounds is not None:
            return self._composed(parts, work, work.grounds, rows, (clean.shape[2], clean.shape[3]))
        return pixels(clean[list(rows)])


@dataclass(frozen=True)
class _Work:
    """What a batch of pictures is composed of.

    Attributes:
        plans, seeds: one a picture.
        image: the settings.
        canvas: the things as the denoiser sees them `(B, H, W, 4)` uint8.
        grounds: the painted grounds as it sees them `(B, H, W, 3)`, or None.
    """

    plans: Sequence[Composition]
    seeds: Sequence[int]
    image: ImageConfig
    canvas: U8
    grounds: U8 | None


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


def _prints(library: SpriteLibrary) -> list[str]:
    """The styles of prints that a library has."""
    found = {info.style for info in library.infos}
    return [style for style in PRINTS if style in found]


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


def _agreed(queries: NDArray[np.float32], alike: float = 0.8) -> NDArray[np.float32]:
    """Queries `(N, E)` of unit length, each replaced by the mean of those that ask for nearly the same.

    Three of a kind are asked for three times, and should be found as the same drawing.
    """
    kin = (queries @ queries.T > alike).astype(np.float32)
    means = kin @ queries
    return np.asarray(means / np.linalg.norm(means, axis=1, keepdims=True), dtype=np.float32)


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
