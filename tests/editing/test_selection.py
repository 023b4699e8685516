"""Decisions by numbers: each an edit with its reason, which people's edits precede and undo."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pytest
from PIL import Image
from typer.testing import CliRunner

from editing.conftest import drawn_elsewhere
from editing.drawn_elsewhere import settings
from editing.test_editor import s2i, same_again
from s2i_core import cli
from s2i_core.config import changed
from s2i_core.editing import selection
from s2i_core.editing.editor import Editor, edits_of
from s2i_core.editing.redraw import ModelArtist
from s2i_core.errors import ConfigError
from s2i_core.models import registry
from s2i_core.models.contracts import Model
from s2i_core.records import Edit
from s2i_core.storage.objects import ObjectStore
from s2i_core.storage.places import parse_uri
from s2i_core.storage.tables import Lake


@pytest.fixture(scope="module")
def model(checkpoint: Path) -> Model:
    return registry.load(settings(checkpoint).model)


@pytest.fixture
def own(objects: ObjectStore, checkpoint: Path, home: Path) -> Lake:
    """A destination of six scenes that no other test has."""
    return drawn_elsewhere(objects, checkpoint, home, 6)


def edits(lake: Lake) -> dict[str, list[Edit]]:
    found: dict[str, list[Edit]] = {}
    for edit in edits_of(lake.edits):
        found.setdefault(edit.scene_id, []).append(edit)
    return found


def test_each_decision_is_an_edit_with_its_reason_and_people_come_first(
    own: Lake, checkpoint: Path, model: Model, objects: ObjectStore
) -> None:
    base = settings(checkpoint)
    editor = Editor(own, base, "ann", "command", lambda: ModelArtist(model))
    states = editor.states("id-a")
    ids = [str(each.scene["scene_id"]) for each in states if each.images]
    editor.pin(ids[0], "mine")
    shown = states[1].shown
    assert shown is not None
    # The third scene's picture becomes that of the second, but for its bytes.
    bucket, _ = parse_uri(own.uri)
    with Image.open(io.BytesIO(objects.get(bucket, shown["key"]))) as opened:
        pixels = np.asarray(opened.convert("RGB"))
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "WEBP", lossless=True)
    assert states[2].shown is not None
    objects.put(bucket, states[2].shown["key"], out.getvalue())

    config = changed(base, {"selection.repeats": "reuse", "selection.alike": 0.9999})
    dry = selection.selected(own, config, model, "command", dry=True)
    assert edits(own).keys() == {ids[0]}
    done = selection.selected(own, config, model, "command")
    assert selection.plain(done.choices) == selection.plain(dry.choices)
    (choice,) = [each for each in done.choices if each.scene_id == ids[2]]
    assert choice.kind == "reuse" and "cosine 1.000" in choice.reason and shown["image_id"][:8] in choice.reason
    (reused,) = (
        own.images.read(filter=pc.field("scene_id") == ids[2]).filter(pc.field("edit_id").is_valid()).to_pylist()
    )
    (source,) = own.images.read(filter=pc.field("image_id") == shown["image_id"]).to_pylist()
    assert reused["sha256"] == source["sha256"] and reused["key"] != shown["key"]
    assert (reused["start_s"], reused["end_s"]) == (states[2].scene["start_s"], states[2].scene["end_s"])
    assert same_again(own, config, ModelArtist(model)) == 12 + len(done.choices)
    assert [each.editor for each in edits(own)[ids[0]]] == ["ann"]
    assert selection.selected(own, config, model, "command").choices == []

    # What nobody could like is tried again; the best of all is shown, and nothing that has an edit is touched.
    before = edits(own)
    config = changed(base, {"selection.similarity": 1.0, "selection.tries": 2})
    done = selection.selected(own, config, model, "command")
    tried = {each.scene_id for each in done.choices}
    assert tried == set(ids) - before.keys() and done.counted == {"redo": len(tried), "keep": 0}
    for state in editor.states("id-a"):
        if state.scene["scene_id"] in tried:
            assert len(state.images) == 4 and state.shown is not None
            assert state.shown["similarity"] == max(each["similarity"] for each in state.images)
            assert "try 2" in str(state.edits[1].note)
    assert {scene: each for scene, each in edits(own).items() if scene in before} == before

    undone = str(next(iter(tried)))
    while editor.state(undone).decision.made:
        editor.undo(undone)
    assert selection.selected(own, config, model, "command").choices == []


def test_what_was_heard_unsurely_is_left_out(lake: Lake, checkpoint: Path) -> None:
    # The tiny model is not calibrated, so that a confidence is taken at its word; every second scene has one, 0.9.
    told = s2i(lake, "select", "--precision", "0.95", "--checkpoint", str(checkpoint))
    assert [each["kind"] for each in told["decisions"]] == ["reject"] * 4 and told["counted"]["keep"] == 4
    assert "probability of 0.90, less than 0.95" in told["decisions"][0]["reason"] and told["stale"] == []
    assert {each[-1].editor for each in edits(lake).values()} == {selection.BY}


def test_nothing_happens_unless_it_is_asked_for(lake: Lake, checkpoint: Path, model: Model) -> None:
    with pytest.raises(ConfigError, match="selects nothing"):  # before a run has done all of its work
        changed(settings(checkpoint), {"selection.apply": True})
    with pytest.raises(ConfigError, match="no setting asks"):
        selection.selected(lake, settings(checkpoint), model, "run")
    refused = CliRunner().invoke(cli.app, ["select", "-d", lake.uri, "--repeats", "burn"])
    assert refused.exit_code == 2 and "repeats" in refused.output
