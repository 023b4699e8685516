"""One local recording, illustrated in this process: no object storage, no cluster.

It takes the same steps as the jobs over an archive, with the same ids, seeds and settings: a recording gets the same
pictures either way.
"""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from s2i_core import identity, steps
from s2i_core.audio.listen import Heard, listen
from s2i_core.errors import ConfigError, GenerationError
from s2i_core.publish.audio import web_audio
from s2i_core.publish.images import EXTENSIONS, content_type, encode_image
from s2i_core.publish.page import Frame, Stretch, recording_page
from s2i_core.records import Failure, HeardThing, ImageSample, Recording, Scene, Skip, Stage, Status, row
from s2i_core.scenes import Embedded
from s2i_core.weights import least_heard

if TYPE_CHECKING:
    from s2i_core.config import RunConfig
    from s2i_core.models.contracts import Model

Item = TypeVar("Item")

#: Called for every step: what is being done, how much of it is done, and how much there is in all, if known.
Progress = Callable[[str, int, int | None], None]

PAGE = "index.html"
#: Columns with vectors, which are of no use to a reader of JSON lines.
_VECTORS = ("pooled", "focus_pooled", "focus_tokens", "focus_extras")


@dataclass(frozen=True)
class Illustrated:
    """What was made of a recording, and where it lies."""

    page: Path
    recording: Recording
    scenes: list[Scene]
    things: list[HeardThing]
    images: list[ImageSample]
    failures: list[Failure] = field(default_factory=list)
    elapsed_s: float = 0.0

    @property
    def skipped(self) -> list[Scene]:
        """Scenes that have no picture on purpose."""
        return [scene for scene in self.scenes if scene.status == Status.SKIPPED]

    def summary(self) -> dict[str, Any]:
        """What `s2i illustrate --json` prints."""
        return {
            "recording_id": self.recording.recording_id,
            "duration_s": self.recording.duration_s,
            "speech_s": self.recording.speech_s,
            "tracks": self.recording.tracks,
            "damage": self.recording.damage,
            "scenes": self.recording.scenes,
            "images": len(self.images),
            "skipped": len(self.skipped),
            "failures": len(self.failures),
            "elapsed_s": round(self.elapsed_s, 2),
            "page": str(self.page),
        }


def illustrate_file(
    path: Path,
    out_dir: Path,
    config: RunConfig,
    model: Model,
    progress: Progress | None = None,
    *,
    seed: int | None = None,
) -> Illustrated:
    """Illustrate one recording.

    Writes into `out_dir`: `index.html`, which plays the recording with its pictures; `images/`; and, without vectors,
    the rows of the tables: those of scenes, things, images and failures in `scenes.jsonl`, `things.jsonl`,
    `images.jsonl` and `failures.jsonl`, that of the recording in `recording.json`.

    Args:
        path: an audio file, or a video with an audio track.
        out_dir: made if missing; files of the same name in it are written over.
        config: settings of the run.
        model: the model that listens and draws.
        progress: called for every step.
        seed: draws other pictures of the same scenes; by default each scene has its own seed, as in the jobs.

    Raises:
        ConfigError: `path` is no file, `out_dir` can't be made, or the model doesn't know the style.
        DecodeError, LimitExceeded: the recording can't be read.
    """
    started = time.monotonic()
    tell = progress or (lambda *_: None)
    run_id = f"local-{uuid.uuid4().hex[:12]}"
    if not path.is_file():
        raise ConfigError(str(path), "it is not a file", "Give the path of a recording.")
    model.decoder.info.check(config.image)
    folder = _folder(out_dir)
    with path.open("rb") as file:
        heard, embedded = _listen(file, path, config, model, tell)
    scenes = steps.plan(
        embedded,
        heard.gaps,
        config,
        recording_id=identity.recording_id(heard.sha256),
        encoder_digest=model.encoder_digest,
        run_id=run_id,
    )
    things = steps.things_heard(embedded, scenes)
    images: list[ImageSample] = []
    failures: list[Failure] = []
    frames: list[Frame] = []
    wanted = [scene for scene in scenes if scene.status == Status.OK]
    variants = config.each_variant()
    tell("Drawing", 0, len(wanted) * len(variants))
    for scene, drawn in (each for variant in variants for each in _draw(wanted, variant, model, seed, run_id)):
        if isinstance(drawn, Failure):
            failures.append(drawn)
        else:
            image, data = drawn
            (folder / image.key).write_bytes(data)
            images.append(image)
            if image.variant == variants[0].image.variant:
                kind = content_type(config.image.format)
                measures = (image.similarity, scene.confidence)
                frames.append(Frame(scene.start_s, scene.end_s, data, kind, *measures, image.alt, image.shows or ()))
        tell("Drawing", len(images) + len(failures), len(wanted) * len(variants))

    tell("Writing the page", 0, None)
    with path.open("rb") as file:
        sound, sound_type = web_audio(file, str(path), config.audio)
    missing = [Stretch(one.start_s, one.end_s, one.reason or "") for one in scenes if one.status == Status.SKIPPED]
    shown = {frame.start_s for frame in frames}
    missing += [Stretch(one.start_s, one.end_s, "No picture: failed") for one in wanted if one.start_s not in shown]
    if not frames and not missing:
        missing = [Stretch(0.0, heard.duration_s, Skip.NO_SPEECH)]
    page = folder / PAGE
    page.write_text(
        recording_page(_title(path), sound, sound_type, frames, heard.duration_s, skipped=missing, damage=heard.damage),
        "utf-8",
    )

    recording = steps.recording_row(
        path.resolve().as_uri(),
        "",
        heard.size_bytes,
        heard,
        scenes,
        encoder_digest=model.encoder_digest,
        plan_digest=config.plan_digest,
        run_id=run_id,
    )
    _write_lines(folder / "recording.json", [row(recording)])
    _write_lines(folder / "scenes.jsonl", map(row, scenes))
    _write_lines(folder / "things.jsonl", map(row, things))
    _write_lines(folder / "images.jsonl", map(row, images))
    _write_lines(folder / "failures.jsonl", map(row, failures))
    return Illustrated(page, recording, scenes, things, images, failures, time.monotonic() - started)


def _title(path: Path) -> str:
    words = " ".join(re.split(r"[\s_-]+", path.stem)).strip() or path.name
    return words[0].upper() + words[1:]


def _folder(out_dir: Path) -> Path:
    try:
        (out_dir / "images").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            str(out_dir), f"the folder cannot be made: {error.strerror}", "Choose another one."
        ) from error
    return out_dir


def _listen(file: Any, path: Path, config: RunConfig, model: Model, tell: Progress) -> tuple[Heard, list[Embedded]]:
    tell("Listening", 0, None)
    listening = listen(file, str(path), config.audio, frontend=model.encoder.frontend)
    embedded: list[Embedded] = []
    least = least_heard(config)
    for utterances in _batches(listening, config.resources.encode.batch_size):
        embedded += steps.embed(utterances, model, least)
        tell("Listening", round(utterances[-1].end_s), None)
    return listening.result, embedded


def _draw(
    scenes: Sequence[Scene], config: RunConfig, model: Model, seed: int | None, run_id: str
) -> Iterator[tuple[Scene, tuple[ImageSample, bytes] | Failure]]:
    """Each scene with its image or its failure; a batch that fails is drawn again one scene at a time."""
    for batch in _batches(scenes, config.resources.generate.batch_size):
        try:
            drawn = _draw_batch(batch, config, model, seed, run_id)
        except GenerationError:
            for scene in batch:
                try:
                    yield scene, _draw_batch([scene], config, model, seed, run_id)[0]
                except GenerationError as error:
                    yield (
                        scene,
                        Failure.of(
                            error,
                            subject=scene.scene_id,
                            stage=Stage.GENERATE,
                            run_id=run_id,
                            recording_id=scene.recording_id,
                            scene_id=scene.scene_id,
                        ),
                    )
        else:
            yield from zip(batch, drawn, strict=True)


def _draw_batch(
    scenes: Sequence[Scene], config: RunConfig, model: Model, seed: int | None, run_id: str
) -> list[tuple[ImageSample, bytes]]:
    image = config.image
    image_digest = config.image_digest if seed is None else identity.digest(config.image_digest, seed)
    seeds = [_seed(scene.scene_id, seed, image.variant) for scene in scenes]
    pictures = steps.draw_batch(scenes, seeds, image, model)
    drawn: list[tuple[ImageSample, bytes]] = []
    for scene, picture in zip(scenes, pictures, strict=True):
        data = encode_image(picture.pixels, image, picture.contents)
        image_id = identity.image_id(scene.scene_id, model.decoder_digest, image_digest)
        key = f"images/{scene.start_ms:09d}-{image_id}.{EXTENSIONS[image.format]}"
        made = steps.image_row(
            scene, picture, data, key, image=image, model=model, image_digest=image_digest, run_id=run_id
        )
        drawn.append((made, data))
    return drawn


def _seed(scene_id: str, seed: int | None, variant: int) -> int:
    return identity.seed(scene_id if seed is None else identity.digest("seed", scene_id, seed), variant)


def _batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    batch: list[Item] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _write_lines(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8") as file:
        for each in rows:
            kept = {name: value for name, value in each.items() if name not in _VECTORS}
            file.write(json.dumps(kept, ensure_ascii=False, default=str) + "\n")
