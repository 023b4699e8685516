"""`s2i search`: the scenes of a destination that are nearest to a spoken question, a picture, a thing or a scene."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import typer

from s2i_core import options
from s2i_core.analysis import answers
from s2i_core.analysis.database import Answer, Database
from s2i_core.analysis.vectors import Nearest, Vectors, open_index
from s2i_core.errors import ConfigError

if TYPE_CHECKING:
    from s2i_core.config import RunConfig
    from s2i_core.models.contracts import Model
    from s2i_core.storage.tables import Lake

_LARGEST_PICTURE_BYTES = 50 << 20
_SHOWN = """
    SELECT source_uri, recording_id, scene_id, start_s, end_s, what, things, key, similarity
    FROM moments WHERE scene_id IN ({ids})
"""


@dataclass(frozen=True)
class Question:
    """A vector to search by, and the speech encoder in whose space it is."""

    vector: Vectors
    encoder: str


def by_scene(lake: Lake, scene_id: str) -> Question:
    """What is like a scene.

    Raises:
        ConfigError: there is no such scene.
    """
    rows = lake.scenes.read(["pooled", "model_digest"], pc.field("scene_id") == scene_id).to_pylist()
    if not rows:
        remedy = 'Name its id as the tables have it: s2i query "SELECT scene_id, start_s FROM moments".'
        raise ConfigError(f"scene {scene_id}", "there is none in the table", remedy)
    return Question(np.asarray(rows[0]["pooled"], np.float32), rows[0]["model_digest"])


def by_speech(path: Path, config: RunConfig, model: Model) -> Question:
    """What is like all that is said in a recording.

    Raises:
        ConfigError: it is no file, or nobody speaks in it.
        DecodeError, LimitExceeded: it can't be read.
    """
    from s2i_core import steps
    from s2i_core.audio.listen import listen

    if not path.is_file():
        raise ConfigError(str(path), "it is not a file", "Give the path of a recording.")
    with path.open("rb") as file:
        utterances = list(listen(file, str(path), config.audio, frontend=model.encoder.frontend))
    if not utterances:
        raise ConfigError(str(path), "nobody speaks in it", "Search by a recording with speech.")
    said = np.stack([each.pooled for each in steps.embed(utterances, model)])
    return Question(said.mean(axis=0), model.encoder_digest)


def by_picture(path: Path, model: Model) -> Question:
    """What is like a picture.

    Raises:
        ConfigError: it is no picture that can be read.
    """
    from PIL import Image, UnidentifiedImageError

    from s2i_core import steps

    remedy = "Give a PNG, JPEG or WebP."
    try:
        if path.stat().st_size > _LARGEST_PICTURE_BYTES:
            raise ConfigError(str(path), "it is larger than 50 MiB", "Give a smaller picture.")
        with Image.open(path) as image:
            side = min(image.size)
            left, top = (image.width - side) // 2, (image.height - side) // 2
            square = image.convert("RGB").crop((left, top, left + side, top + side)).resize((256, 256))
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise ConfigError(str(path), f"it is no picture that can be read ({error})", remedy) from error
    return Question(steps.look(np.asarray(square, np.uint8)[None], model)[0], model.encoder_digest)


def found(
    lake: Lake,
    question: Question,
    count: int,
    where: str | None,
    database: Database,
    tell: Callable[[str], None] = lambda _: None,
) -> list[dict[str, Any]]:
    """The nearest scenes, each with its recording, times, picture and `cosine`, the nearest first.

    Raises:
        ConfigError: `where` is no condition on `moments`.
    """
    index = open_index(lake, question.encoder, tell)
    if not len(index):
        return []
    if index.half.shape[1] != len(question.vector):
        reason = f"it has {len(question.vector)} dimensions, and the scenes have {index.half.shape[1]}"
        raise ConfigError("the question", reason, "Ask with the model that planned the scenes: --checkpoint.")
    tell("Search")
    if where is None:
        # Scenes of earlier plans are near as well, and not shown: as a rule there are few.
        some = _told(index.nearest(question.vector, 4 * count + 20), database)[:count]
        if len(some) == count:
            return some
    with database.ask(f"SELECT scene_id FROM moments WHERE ({where or 'true'}\n)") as answer:
        allowed = index.among(answer.table()["scene_id"])
    return _told(index.nearest(question.vector, count, allowed), database)


def _told(nearest: Nearest, database: Database) -> list[dict[str, Any]]:
    if not nearest.scene_ids:
        return []
    ids = ", ".join(f"'{each}'" for each in nearest.scene_ids)
    with database.ask(_SHOWN.format(ids=ids)) as answer:
        rows = {row["scene_id"]: row for row in answer.table().to_pylist()}
    pairs = zip(nearest.scene_ids, nearest.cosine, strict=True)
    return [{"cosine": round(cosine, 4)} | rows[each] for each, cosine in pairs if each in rows]


def naming(thing: str, count: int, where: str | None, database: Database) -> list[dict[str, Any]]:
    """The scenes in which a thing is named, the surest first.

    Raises:
        ConfigError: it is never named; what is like it is.
    """
    from difflib import get_close_matches

    with database.ask("SELECT DISTINCT thing FROM mentions") as answer:
        known = answer.table()["thing"].to_pylist()
    by_name = {each.lower(): each for each in known}
    if thing.lower() not in by_name:
        near = get_close_matches(thing.lower(), by_name, 5)
        some = ", ".join(by_name[each] for each in near)
        remedy = f"Named are {some}." if near else "s2i query lists them: SELECT DISTINCT thing FROM mentions."
        raise ConfigError(f"the thing {thing!r}", "it is never named in this destination", remedy)
    title = by_name[thing.lower()].replace("'", "''")
    condition = "true" if where is None else f"m.scene_id IN (SELECT scene_id FROM moments WHERE ({where}\n))"
    sql = f"""
        SELECT round(CAST(n.confidence AS DOUBLE), 4) AS confidence, n.start_s AS named_at_s,
               m.source_uri, m.recording_id, m.scene_id,
               m.start_s, m.end_s, m.what, m.things, m.key, m.similarity
        FROM (SELECT scene_id, max(confidence) AS confidence, min(start_s) AS start_s
              FROM mentions WHERE thing = '{title}' GROUP BY scene_id) AS n
        JOIN moments AS m USING (scene_id)
        WHERE {condition}
        ORDER BY n.confidence DESC, m.source_uri, n.start_s LIMIT {count}
    """
    with database.ask(sql) as answer:
        return list(answer.table().to_pylist())


def command(
    audio: Annotated[Path | None, typer.Argument(help="A spoken question: what is said there is searched for.")] = None,
    *,
    image: Annotated[Path | None, typer.Option(help="Search by a picture instead.")] = None,
    thing: Annotated[str | None, typer.Option(help="Search for what is named, by its title.")] = None,
    scene: Annotated[str | None, typer.Option(help="Search for scenes like this one, by its id.")] = None,
    where: Annotated[
        str | None, typer.Option(help="SQL that scenes must satisfy, over moments: \"source_uri LIKE '%2026%'\".")
    ] = None,
    top: Annotated[int, typer.Option(min=1, max=1000, help="How many scenes.")] = 10,
    destination: options.Destination = None,
    checkpoint: options.Checkpoint = None,
    preset: options.Preset = "cpu",
    settings: options.SetOptions = None,
    as_json: options.AsJson = False,
) -> None:
    """Find the scenes nearest to a spoken question, a picture, a thing or another scene."""
    from rich.console import Console

    from s2i_core.storage.objects import S3Settings
    from s2i_core.storage.tables import Lake

    if sum(each is not None for each in (audio, image, thing, scene)) != 1:
        reason = "it is a recording, or --image, --thing or --scene, and one of them"
        raise ConfigError("the question", reason, "s2i search question.wav")
    lake = Lake(S3Settings.from_env(), options.named_destination(destination))
    with Console(stderr=True).status("Look …") as status, Database(lake) as database:
        if thing is not None:
            rows = naming(thing, top, where, database)
        else:
            if scene is not None:
                question = by_scene(lake, scene)
            else:
                from s2i_core.models import registry

                status.update("Load the model")
                config = options.shaped(preset, options.changes(checkpoint=checkpoint, settings=settings))
                model = registry.load(config.model)
                question = by_speech(audio, config, model) if audio is not None else by_picture(_path(image), model)
            rows = found(lake, question, top, where, database, status.update)
    if as_json:
        typer.echo(json.dumps([answers.plain(each) for each in rows], ensure_ascii=False))
    elif not rows:
        typer.echo("nothing is found: no scene is of this model" + (", or none satisfies --where" if where else ""))
    else:
        answers.write(_as_answer(rows), "table", None, top)


def _path(path: Path | None) -> Path:
    assert path is not None
    return path


def _as_answer(rows: list[dict[str, Any]]) -> Answer:
    table = pa.Table.from_pylist([{name: row[name] for name in row if name not in {"recording_id"}} for row in rows])
    return Answer(table.schema, iter(table.to_batches()))
