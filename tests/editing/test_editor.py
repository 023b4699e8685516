"""Pictures drawn again from their rows, and edits of a destination that another process filled."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from functools import cache
from pathlib import Path

import pyarrow.compute as pc
import pytest
from typer.testing import CliRunner

from editing.conftest import drawn_elsewhere
from editing.drawn_elsewhere import EACH_S, settings
from s2i_core import cli
from s2i_core.analysis.database import Database
from s2i_core.config import RunConfig, changed
from s2i_core.editing import history
from s2i_core.editing.editor import Editor, edits_of
from s2i_core.editing.redraw import ModelArtist, Wish, redrawn
from s2i_core.errors import ConfigError
from s2i_core.models import registry
from s2i_core.packs.destinations import Bucket
from s2i_core.packs.pack import Pack
from s2i_core.packs.publish import pending
from s2i_core.records import Edit, EditKind
from s2i_core.steps import Planned, drawn_scene
from s2i_core.storage.objects import ObjectStore
from s2i_core.storage.places import parse_uri
from s2i_core.storage.tables import Lake
from s2i_core.weights import digests

RECORDING = "id-a"


@pytest.fixture(scope="module")
def config(checkpoint: Path) -> RunConfig:
    return settings(checkpoint)


@pytest.fixture(scope="module")
def artist(config: RunConfig) -> Callable[[], ModelArtist]:
    return cache(lambda: ModelArtist(registry.load(config.model)))


@pytest.fixture(scope="module")
def editor(lake: Lake, config: RunConfig, artist: Callable[[], ModelArtist]) -> Editor:
    return Editor(lake, config, "ann", "command", artist)


@pytest.fixture(scope="module")
def scenes(editor: Editor) -> list[str]:
    return [str(each.scene["scene_id"]) for each in editor.states(RECORDING)]


def s2i(lake: Lake, *words: str, code: int = 0) -> dict:
    result = CliRunner().invoke(cli.app, [*words, "-d", lake.uri, "--json"])
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


def pack(lake: Lake, objects: ObjectStore) -> Pack:
    return Bucket(objects, lake).packs([RECORDING])[RECORDING]


def page(lake: Lake, objects: ObjectStore) -> str:
    bucket, prefix = parse_uri(lake.uri)
    return objects.get(bucket, f"{prefix}/pages/{RECORDING}.html").decode()


def same_again(lake: Lake, config: RunConfig, artist: ModelArtist) -> int:
    planned = {
        each["scene_id"]: Planned(**each) for each in lake.scenes.read(list(Planned.__annotations__)).to_pylist()
    }
    rows = lake.images.read().to_pylist()
    for row in rows:
        data = redrawn(row, planned[drawn_scene(row)], config, artist)
        assert hashlib.sha256(data).hexdigest() == row["sha256"], row
    return len(rows)


def test_a_picture_is_drawn_again_from_its_row_alone(
    lake: Lake, config: RunConfig, artist: Callable[[], ModelArtist]
) -> None:
    other = changed(config, {"image.steps": 3, "image.quality": 50})  # what this process is set to has no part in it
    assert same_again(lake, other, artist()) >= 16
    (old,) = lake.images.read().slice(0, 1).to_pylist()
    (scene,) = lake.scenes.read(list(Planned.__annotations__), pc.field("scene_id") == old["scene_id"]).to_pylist()
    old |= {"settings": None}
    assert hashlib.sha256(redrawn(old, Planned(**scene), config, artist())).hexdigest() == old["sha256"]
    with pytest.raises(ConfigError, match="did not write its settings down"):
        redrawn(old, Planned(**scene), other, artist())


@pytest.mark.slow
def test_a_hundred_pictures_are_drawn_again_from_their_rows(
    objects: ObjectStore, checkpoint: Path, home: Path, config: RunConfig, artist: Callable[[], ModelArtist]
) -> None:
    assert same_again(drawn_elsewhere(objects, checkpoint, home, 50), config, artist()) == 100


def test_redo_is_shown_by_page_and_pack_and_undone(
    lake: Lake, objects: ObjectStore, scenes: list[str], checkpoint: Path, config: RunConfig
) -> None:
    before = pack(lake, objects)
    moment = f"Farm talk.wav@0:0{int(EACH_S / 2)}"
    redo = ("redo", moment, "--checkpoint", str(checkpoint), "--by", "ann")
    told = s2i(lake, *redo, "--things", "Blue disc", "--note", "too red")
    assert told["edit"]["scene_id"] == scenes[0] and told["page"] and told["pack"] and len(told["pictures"]) == 3
    new, old = told["shown"]["image_id"], told["edit"]["before"]
    after = pack(lake, objects)
    assert new in after.shown[0]["file"] and old in before.shown[0]["file"]
    assert after.shown[1:] == before.shown[1:] and after.settings == before.settings
    bucket, prefix = parse_uri(lake.uri)
    gallery = objects.get(bucket, f"{prefix}/packs/index.html").decode()
    assert new in gallery and old not in gallery
    first = page(lake, objects)
    assert not pending(Bucket(objects, lake), config.packs, config.provenance, Bucket(objects, lake).recordings())

    told = s2i(lake, "undo", scenes[0][:8], "--by", "bob")
    assert told["edit"]["image_id"] is None and told["shown"]["image_id"] == old
    assert [each["file"] for each in pack(lake, objects).shown] == [each["file"] for each in before.shown]
    assert page(lake, objects) != first
    told = s2i(lake, "edits", "--scene", scenes[0])
    assert [(each["kind"], each["editor"], each["note"]) for each in told["edits"]] == [
        ("redo", "ann", "too red"),
        ("undo", "bob", None),
    ]
    assert told["edits"][1]["undoes"] == told["edits"][0]["edit_id"]
    # Both pictures stay, and the one drawn anew can be shown again.
    assert s2i(lake, "swap", scenes[0], "--to", "3", "--no-publish")["shown"]["image_id"] == new
    s2i(lake, "undo", scenes[0])


def test_what_is_rejected_is_nowhere_and_is_not_drawn(
    lake: Lake, objects: ObjectStore, scenes: list[str], config: RunConfig
) -> None:
    other = digests(changed(config, {"image.size_px": 96}))
    assert lake.unillustrated(other).num_rows == 8
    shown = pack(lake, objects).shown[1]
    told = s2i(lake, "reject", scenes[1], "--note", "not for children")
    assert told["shown"] is None and told["page"] and told["pack"]
    now = pack(lake, objects)
    assert now.pictures == 7 and shown["file"] not in {file.name for file in now.files}
    assert "Left out" in page(lake, objects)
    assert scenes[1] not in lake.unillustrated(other)["scene_id"].to_pylist()
    assert all(scenes[1] not in ids["scene_id"].to_pylist() for _, ids in lake.unillustrated_files(other))
    with Database(lake) as database, database.ask("SELECT what, image_id FROM moments ORDER BY start_s") as answer:
        found = [row for batch in answer.batches for row in batch.to_pylist()]
    assert found[1] == {"what": "rejected", "image_id": None} and found[0]["what"] == "illustrated"
    s2i(lake, "undo", scenes[1], "--no-publish")
    assert scenes[1] in lake.unillustrated(other)["scene_id"].to_pylist()


def test_what_is_pinned_stays_whatever_runs_draw(
    lake: Lake, editor: Editor, scenes: list[str], config: RunConfig
) -> None:
    pinned = editor.pin(scenes[2], "good").now.shown
    other = digests(changed(config, {"image.size_px": 96}))
    assert scenes[2] not in lake.unillustrated(other)["scene_id"].to_pylist()
    (rows,) = [Bucket(editor._store, lake, each).recordings() for each in (other,)]
    assert [image["image_id"] for image in rows[0].images] == [pinned["image_id"]]
    other_one = editor.swap(scenes[2]).now.shown
    assert other_one["variant"] == 1 and editor.swap(scenes[2]).now.shown["image_id"] == pinned["image_id"]
    # Back through all of it.
    assert editor.undo(scenes[2]).now.shown["variant"] == 1
    assert editor.undo(scenes[2]).now.decision.edit.image_id == pinned["image_id"]
    assert not editor.undo(scenes[2]).now.decision.made
    with pytest.raises(ConfigError, match="no edit to take back"):
        editor.undo(scenes[2])


def test_two_editors_at_once_lose_nothing(
    lake: Lake, config: RunConfig, artist: Callable[[], ModelArtist], scenes: list[str]
) -> None:
    def edit(number: int) -> Edit:
        one = Editor(Lake(lake.settings, lake.uri), config, f"editor {number}", "api", artist)
        return (one.reject if number % 2 else one.pin)(scenes[3], str(number)).edit

    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(edit, range(8)))
    held = edits_of(lake.edits, pc.field("scene_id") == scenes[3])
    assert {each.edit_id for each in held} == {each.edit_id for each in done} and len(held) == 8
    last = max(done, key=lambda each: (each.created_at, each.edit_id))
    found = history.decision(held)
    assert (found.image_id, found.rejected) == (last.image_id, last.rejected)
    decided = lake.decisions(pc.field("scene_id") == scenes[3]).to_pylist()
    assert [each["edit_id"] for each in decided] == [last.edit_id]


def test_seeds_are_not_used_twice_and_the_same_wish_gives_the_same_picture(editor: Editor, scenes: list[str]) -> None:
    first, second = (editor.redo(scenes[4], Wish()).now.shown for _ in range(2))
    assert first["seed"] != second["seed"] and first["image_id"] != second["image_id"]
    again = editor.redo(scenes[4], Wish(seed=first["seed"])).now
    assert again.shown["image_id"] == first["image_id"] and len(again.images) == 4
    drawn = again.drawn
    assert editor.redo(scenes[4], Wish(seed=drawn["seed"])).now.shown["image_id"] == drawn["image_id"]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("pin", "f" * 32), "no such scene"),
        (("pin", "no id"), "no such scene"),
        (("reject", "nothing.mp3@0:10"), "no recording has this name"),
        (("reject", "Farm talk.wav@9:00"), "ends before that"),
        (("swap", "Farm talk.wav@0:11", "--to", "9"), "no picture 9"),
        (("redo", "Farm talk.wav@0:16"), "nothing in it to draw"),
        (("redo", "Farm talk.wav@0:11", "--things", "unicorn"), "under this name"),
        (("redo", "Farm talk.wav@0:11", "--things", "a,b,c,d,e"), "one to 4"),
        (("redo", "Farm talk.wav@0:11", "--style", "oil"), "does not know it"),
        (("undo", "Farm talk.wav@0:11"), "no edit to take back"),
        (("pin", "Farm talk.wav@0:11", "--by", "a\nb"), "printable"),
        (("reject", "Farm talk.wav@0:11", "--note", "x" * 3000), "2000 letters"),
    ],
)
def test_what_cannot_be_done_says_why_and_leaves_no_row(
    lake: Lake, checkpoint: Path, words: tuple[str, ...], reason: str
) -> None:
    before = lake.edits.count(), lake.images.count()
    more = ("--checkpoint", str(checkpoint)) if words[0] == "redo" else ()
    told = s2i(lake, *words, *more, code=2)
    assert reason in told["reason"] and told["remedy"]
    assert (lake.edits.count(), lake.images.count()) == before


def test_an_edit_is_later_than_what_its_editor_knew() -> None:
    facts = {"recording_id": "r", "scene_id": "s", "image_id": "i", "rejected": False, "before": None}
    facts |= {"editor": "ann", "via": "api"}
    first = history.new_edit([], EditKind.PIN, **facts)
    ahead = replace(first, created_at=first.created_at + timedelta(hours=1))  # by a clock that is fast
    undone = history.new_edit([ahead], EditKind.UNDO, **facts | {"undoes": ahead.edit_id})
    assert undone.created_at > ahead.created_at and history.standing([undone, ahead]) == []
