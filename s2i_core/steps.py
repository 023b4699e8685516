"""The steps from utterances to table rows, once for the local command, the jobs, the service and the evaluation.

    utterances ─ embed ─▶ Embedded ─ plan ─▶ scenes ─ focus ─▶ SpeechEmbedding ─ draw_batch ─▶ Picture ─▶ image_row

They run in the process that has the model; only `plan` and the rows need neither a model nor torch.
"""

from __future__ import annotations

import bisect
import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as arrays_of
from safetensors.numpy import save

from s2i_core import identity
from s2i_core.audio.listen import Heard, Utterance
from s2i_core.config import ImageConfig, RunConfig
from s2i_core.english.alt import alt_text
from s2i_core.errors import ModelError
from s2i_core.models.contracts import F16, F32, U8, Drawing, Model, OnStep, ThingHearer
from s2i_core.records import (
    NAMED,
    SHOWN_THINGS,
    Contents,
    Gap,
    HeardThing,
    ImageSample,
    Recording,
    Scene,
    Skip,
    SpeechEmbedding,
    Status,
    Thing,
    now,
)
from s2i_core.scenes import MOST_THINGS, Embedded, plan_scenes
from s2i_core.weights import least_confidence, scene_settings

if TYPE_CHECKING:
    import torch

_LAID_END_TO_END = "layout"
"""The one extra whose tokens follow the condition tokens in `focus_tokens`, in rows written before extras had names."""
_UNNAMED: NDArray[np.float32] = np.zeros((0, 2), np.float32)
_AGAIN = "Delete the row from `scenes` and the recording's from `recordings`, and plan again."


@dataclass(frozen=True)
class Planned:
    """What drawing needs from a row of `scenes`."""

    scene_id: str
    recording_id: str
    start_s: float
    end_s: float
    speech_share: float
    focus_pooled: bytes
    focus_tokens: bytes
    focus_extras: bytes | None


Drawable: TypeAlias = Scene | Planned


class DrawnBy(Protocol):
    """What a row says of who drew its picture: a `Model`, or a service's."""

    @property
    def decoder_digest(self) -> str:
        """Digest of the decoder and its library."""

    @property
    def device(self) -> str:
        """Where it draws."""


@dataclass(frozen=True)
class Picture:
    """Pixels `(H, W, 3)` uint8 of a scene, and what is known about them.

    Attributes:
        similarity: cosine similarity of the picture's vector and that of the things it is to show, or else of the
            speech it was made from.
        compute_ms: its share of its batch's time.
        contents: what it shows, where the decoder knows.
    """

    pixels: U8
    seed: int
    similarity: float
    compute_ms: float
    contents: Contents | None


def encode(features: Sequence[F16], model: Model) -> SpeechEmbedding:
    """Features of B utterances, as the frontend gave them, to their embeddings.

    Raises:
        ModelError: one is not finite.
    """
    return _finite(model.encoder.encode(features))


def _finite(speech: SpeechEmbedding) -> SpeechEmbedding:
    import torch

    if not all(torch.isfinite(part).all() for part in (speech.tokens, speech.pooled, *speech.extras.values())):
        raise ModelError("the speech encoder", "its output is not finite", "Try dtype float32.")
    return speech


def embed(utterances: Sequence[Utterance], model: Model, least: float | None = None) -> list[Embedded]:
    """Utterances as the model sees them; raises as `encode` does.

    Args:
        utterances: in any order.
        model: what listens.
        least: confidence from which named things are returned, if the model hears single things; None asks for none.
    """
    encoder = model.encoder
    things: list[list[Thing]] = [[] for _ in utterances]
    if least is not None and isinstance(encoder, ThingHearer) and encoder.grounding is not None:
        from s2i_core.hearing import hear

        speech, things = hear(encoder, [(each.start_s, each.end_s, each.features) for each in utterances], least)
        _finite(speech)
    else:
        speech = encode([utterance.features for utterance in utterances], model)
    confidence = model.space.confidence(speech.pooled).tolist()
    tokens, extras = _half(speech.tokens), {name: _half(extra) for name, extra in speech.extras.items()}
    pooled = speech.pooled.float().cpu().numpy()
    return [
        Embedded(
            start_s=utterance.start_s,
            end_s=utterance.end_s,
            tokens=tokens[row],
            extras={name: extra[row] for name, extra in extras.items()},
            pooled=pooled[row],
            confidence=confidence[row],
            speech_share=float(speech.speech_share[row]),
            things=things[row],
        )
        for row, utterance in enumerate(utterances)
    ]


def _half(x: torch.Tensor) -> F16:
    return np.asarray(x.float().cpu().numpy().astype("<f2"))


def plan(
    utterances: Sequence[Embedded],
    gaps: Sequence[Gap],
    config: RunConfig,
    *,
    recording_id: str,
    encoder_digest: str,
    run_id: str,
) -> list[Scene]:
    """The scenes of a recording (`plan_scenes`), with the confidence limits that apply to these settings."""
    return plan_scenes(
        utterances,
        gaps,
        scene_settings(config),
        least=least_confidence(config),
        recording_id=recording_id,
        model_digest=encoder_digest,
        plan_digest=config.plan_digest,
        run_id=run_id,
    )


def readings(
    utterances: Sequence[Utterance], model: Model, most: int, first: Sequence[str] = (), without: Sequence[str] = ()
) -> list[Thing]:
    """What utterances may mean (`s2i_core.readings`); nothing where the model hears no single things."""
    encoder = model.encoder
    if not utterances or not isinstance(encoder, ThingHearer) or encoder.grounding is None:
        return []
    from s2i_core.readings import readings as of

    return of(encoder, [utterance.features for utterance in utterances], most, first=first, without=without)


def meaning(scene: Scene, things: Sequence[Thing]) -> Scene:
    """The scene, with a picture of these things in place of what it is planned to show.

    Args:
        scene: with a focus.
        things: up to `MOST_THINGS`, with their vectors.
    """
    extras = arrays_of(scene.focus_extras) if scene.focus_extras else {}
    extras[SHOWN_THINGS] = np.stack([np.asarray(thing.vector, np.float16) for thing in things])
    extras[NAMED] = np.array([(thing.confidence, thing.start_s) for thing in things], np.float32)
    return replace(scene, focus_extras=save(extras), things=[thing.title for thing in things])


def shown_things(scene: Scene) -> list[Thing]:
    """What a scene's picture is planned to show, in the order of `scene.things`; their ends are not known."""
    extras = arrays_of(scene.focus_extras) if scene.focus_extras else {}
    rows = zip(scene.things or (), extras.get(SHOWN_THINGS, ()), extras.get(NAMED, ()), strict=True)
    return [Thing(title, float(at), float(at), float(sure), vector) for title, vector, (sure, at) in rows]


def things_heard(utterances: Sequence[Embedded], scenes: Sequence[Scene]) -> list[HeardThing]:
    """The rows of what is named in a recording, with the scenes that were planned of it, which cover it."""
    starts_s = [scene.start_s for scene in scenes]
    rows = []
    for thing in (each for utterance in utterances for each in utterance.things):
        scene = scenes[max(0, bisect.bisect_right(starts_s, thing.start_s) - 1)]
        names = scene.model_digest, scene.plan_digest
        rows.append(
            HeardThing(
                thing_id=identity.thing_id(scene.recording_id, round(thing.start_s * 1000), thing.title, *names),
                recording_id=scene.recording_id,
                scene_id=scene.scene_id,
                start_s=thing.start_s,
                end_s=thing.end_s,
                thing=thing.title,
                confidence=thing.confidence,
                shown=thing.title in (scene.things or ()),
                model_digest=scene.model_digest,
                plan_digest=scene.plan_digest,
                run_id=scene.run_id,
                created_at=scene.created_at,
            )
        )
    return rows


def focus(scenes: Sequence[Drawable], model: Model) -> SpeechEmbedding:
    """What the scenes' pictures are made from, read from their rows; in float16, as the tables keep it.

    Raises:
        ModelError: a row does not fit the model.
    """
    import torch

    tokens, pooled, extras = zip(*(_stored(scene, model) for scene in scenes), strict=True)
    unit = torch.nn.functional.normalize(torch.from_numpy(np.stack(pooled)).float(), dim=1)
    names = list(model.decoder.info.extras)
    if any(SHOWN_THINGS in each for each in extras):
        for name, none in ((SHOWN_THINGS, np.zeros((0, unit.shape[1]), np.float16)), (NAMED, _UNNAMED)):
            names.append(name)
            for each in extras:
                own = each.get(name, none)[:MOST_THINGS]
                each[name] = np.pad(own, ((0, MOST_THINGS - len(own)), (0, 0)))
    return SpeechEmbedding(
        torch.from_numpy(np.stack(tokens)),
        unit,
        torch.tensor([scene.speech_share for scene in scenes]),
        {name: torch.from_numpy(np.stack([each[name] for each in extras])) for name in names},
    )


def _stored(scene: Drawable, model: Model) -> tuple[F16, F16, dict[str, F16]]:
    """Tokens `(K, C)`, pooled vector `(E,)` and extras of a row."""
    encoder = model.encoder
    try:
        tokens = _floats(scene.focus_tokens).reshape(-1, encoder.token_width)
        pooled = _floats(scene.focus_pooled).reshape(encoder.embedding_width)
        extras = arrays_of(scene.focus_extras) if scene.focus_extras else {}
        if scene.focus_extras is None:
            tokens, extras[_LAID_END_TO_END] = tokens[: encoder.tokens], tokens[encoder.tokens :]
        tokens = tokens.reshape(encoder.tokens, encoder.token_width)
    except (ValueError, TypeError, SafetensorError) as error:
        raise ModelError(
            f"scene {scene.scene_id}", f"its stored focus_tokens does not fit the model ({error})", _AGAIN
        ) from error
    if extras.get(SHOWN_THINGS, np.zeros((0, len(pooled)))).shape[1:] != pooled.shape:
        raise ModelError(f"scene {scene.scene_id}", "the things of its focus_extras are of another width", _AGAIN)
    for name in model.decoder.info.extras:
        wanted = (encoder.extras[name], encoder.token_width)
        if name not in extras or extras[name].shape != wanted:
            found = f"tokens {extras[name].shape}" if name in extras else "none"
            reason = f"the decoder reads tokens {wanted} for the {name}, its focus_extras has {found}"
            raise ModelError(f"scene {scene.scene_id}", reason, _AGAIN)
    return tokens, pooled, extras


def _floats(data: bytes) -> F16:
    """Little-endian float16 as a writable array.

    Raises:
        ValueError: the bytes are not a whole number of values, or one is not finite.
    """
    values = np.frombuffer(data, "<f2").astype(np.float16)
    if not np.isfinite(values).all():
        raise ValueError("it holds values that are not finite")
    return values


def draw(
    speech: SpeechEmbedding, seeds: Sequence[int], image: ImageConfig, model: Model, on_step: OnStep | None = None
) -> Drawing:
    """Pictures of B embeddings; raises as `ImageDecoder.draw` does."""
    return model.decoder.draw(speech, seeds, image, on_step)  # type: ignore[no-any-return]


def look(images: U8, model: Model) -> F32:
    """Pictures `(B, H, W, 3)` to their vectors `(B, E)` in the space that they share with speech."""
    vectors: F32 = model.space.embed_images(images).float().cpu().numpy()
    return vectors


def draw_batch(
    scenes: Sequence[Drawable], seeds: Sequence[int], image: ImageConfig, model: Model, on_step: OnStep | None = None
) -> list[Picture]:
    """Pictures of scenes; raises as `focus` and `draw` do."""
    started = time.monotonic()
    speech = focus(scenes, model)
    drawing = draw(speech, seeds, image, model, on_step)
    similarity = (model.space.embed_images(drawing.images).float().cpu() * _meant(speech)).sum(1).tolist()
    compute_ms = (time.monotonic() - started) * 1000 / len(seeds)
    shows: Sequence[Contents | None] = drawing.shows or [None] * len(seeds)
    rows = zip(drawing.images, seeds, similarity, shows, strict=True)
    return [Picture(pixels, seed, alike, compute_ms, contents) for pixels, seed, alike, contents in rows]


def _meant(speech: SpeechEmbedding) -> torch.Tensor:
    """What each picture is of `(B, E)`: the things that it is to show, or else all that was said."""
    if SHOWN_THINGS not in speech.extras:
        return speech.pooled
    together = speech.extras[SHOWN_THINGS].float().sum(1)
    length = together.norm(dim=1, keepdim=True)
    meant: torch.Tensor = (together / length.clamp(min=1e-6)).where(length > 0, speech.pooled)
    return meant


def image_row(
    scene: Drawable,
    picture: Picture,
    data: bytes,
    key: str,
    *,
    image: ImageConfig,
    model: DrawnBy,
    image_digest: str,
    run_id: str,
    things: Sequence[str] | None = None,
    edit_id: str | None = None,
) -> ImageSample:
    """The row of a picture whose file has this content and this key.

    Args:
        things: titles of what it was to show, where an editor named them.
        edit_id: the edit that asked for it.
    """
    height, width = picture.pixels.shape[:2]
    return ImageSample(
        image_id=identity.image_id(scene.scene_id, model.decoder_digest, image_digest),
        scene_id=scene.scene_id,
        recording_id=scene.recording_id,
        start_s=scene.start_s,
        end_s=scene.end_s,
        key=key,
        sha256=hashlib.sha256(data).hexdigest(),
        size_bytes=len(data),
        format=image.format,
        width_px=width,
        height_px=height,
        seed=picture.seed,
        variant=image.variant,
        style=image.style,
        steps=image.steps,
        guidance=image.guidance,
        similarity=picture.similarity,
        **shown(picture.contents),
        compute_ms=picture.compute_ms,
        device=model.device,
        model_digest=model.decoder_digest,
        image_digest=image_digest,
        run_id=run_id,
        created_at=now(),
        settings=settings_cell(image, things),
        edit_id=edit_id,
    )


def settings_cell(image: ImageConfig, things: Sequence[str] | None = None) -> str:
    """For the column `settings`: what `settings_of` reads."""
    told: dict[str, Any] = {"image": image.model_dump()}
    return json.dumps(told if things is None else told | {"things": list(things)}, separators=(",", ":"))


def of_another_scene(cell: str | None, scene_id: str) -> str:
    """The column `settings` of a picture that is the one of another scene: `drawn_scene` reads whose."""
    return json.dumps((json.loads(cell) if cell else {}) | {"scene": scene_id}, separators=(",", ":"))


def drawn_scene(row: Mapping[str, Any]) -> str:
    """Id of the scene that the picture of a row of `images` was drawn from: its own, unless it was reused."""
    told = json.loads(row["settings"]) if row["settings"] else {}
    return str(told.get("scene") or row["scene_id"])


def settings_of(cell: str) -> tuple[ImageConfig, list[str] | None]:
    """The image settings of a row of `images`, and the titles of what it was to show, where an editor named them.

    Raises:
        ValueError: `settings_cell` of this version or an earlier one did not write it.
    """
    told = json.loads(cell)
    things = told.get("things")
    return ImageConfig.model_validate(told["image"]), None if things is None else [str(each) for each in things]


def shown(contents: Contents | None) -> dict[str, Any]:
    """What a row of `images` says of what the picture shows."""
    if contents is None:
        return dict.fromkeys(("shows", "alt", "setting", "time_of_day"))
    return {
        "shows": list(contents.things),
        "alt": alt_text(contents),
        "setting": contents.setting,
        "time_of_day": contents.time_of_day,
    }


def recording_row(
    source_uri: str,
    etag: str,
    size_bytes: int,
    heard: Heard | None,
    scenes: Sequence[Scene],
    *,
    encoder_digest: str,
    plan_digest: str,
    run_id: str,
    status: Status | None = None,
    reason: str | None = None,
    retryable: bool = False,
) -> Recording:
    """The row of a recording.

    Args:
        heard: what is known about it; None if it was not read to its end.
        scenes: those that were planned.
        status: its outcome, where that does not follow from the scenes.
        reason: why it has this `status`.
    """
    planned = sum(scene.status == Status.OK for scene in scenes)
    if status is None:
        status = Status.OK if planned else Status.SKIPPED
        reason = None if planned or heard is None else _why_empty(scenes, heard)
    return Recording(
        source_uri=source_uri,
        etag=etag,
        size_bytes=size_bytes,
        recording_id=None if heard is None else identity.recording_id(heard.sha256),
        status=status.value,
        reason=reason,
        codec=None if heard is None else heard.info.codec,
        channels=None if heard is None else heard.info.channels,
        sampling_rate_hz=None if heard is None else heard.info.sampling_rate_hz,
        duration_s=None if heard is None else heard.duration_s,
        speech_s=None if heard is None else heard.speech_s,
        tracks=None if heard is None else heard.tracks,
        damage=None if heard is None else heard.damage,
        scenes=planned,
        retryable=retryable,
        model_digest=encoder_digest,
        plan_digest=plan_digest,
        run_id=run_id,
        created_at=now(),
    )


def _why_empty(scenes: Sequence[Scene], heard: Heard) -> str:
    if any(scene.reason == Skip.BELOW_CONFIDENCE for scene in scenes):
        return Skip.BELOW_CONFIDENCE.value
    music = any(gap.kind == Skip.NO_SPEECH for gap in heard.gaps)
    return (Skip.NO_SPEECH if music else Skip.SILENCE).value
