"""Edits of a destination: each is one row more in `edits`, and for a picture drawn anew a file and a row of `images`.

Nothing is locked and nothing is overwritten: of two editors at once, both have their row, and the later one counts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import pyarrow.compute as pc

from s2i_core import identity
from s2i_core.config import RunConfig
from s2i_core.editing import history, redraw
from s2i_core.editing.redraw import Artist, Recipe, Wish
from s2i_core.errors import ConfigError, ModelError
from s2i_core.publish.images import content_type
from s2i_core.records import Edit, EditKind, Status, row
from s2i_core.steps import Planned
from s2i_core.storage.objects import ObjectStore
from s2i_core.storage.places import parse_uri
from s2i_core.storage.tables import Lake, LakeTable

MAX_NOTE = 2000
"""Letters of a note at most."""
MAX_NAME = 128
"""Letters of an editor's name at most."""
_AT = re.compile(r"(?P<name>.+)@(?:(?P<hours>\d{1,3}):)?(?P<minutes>\d{1,4}):(?P<seconds>[0-5]?\d(?:\.\d+)?)")
_PREFIX = re.compile(r"[0-9a-f]{6,32}")
_LISTED = 5
_WHICH = (
    "Name its id, as the views have it, or a moment of its recording: talk.mp3@12:34. "
    's2i query "SELECT scene_id, source_uri, start_s FROM moments" lists them.'
)
_SCENE = ("scene_id", "recording_id", "start_s", "end_s", "status", "reason", "things", "model_digest", "created_at")
_IMAGE = (
    *("image_id", "scene_id", "recording_id", "start_s", "end_s", "key", "format", "seed", "variant", "style", "steps"),
    *("guidance", "width_px", "height_px", "similarity", "shows", "alt", "model_digest", "image_digest", "settings"),
    *("edit_id", "created_at"),
)


@dataclass(frozen=True)
class SceneState:
    """A scene with all of its pictures and edits.

    Attributes:
        scene: its row of `scenes`, without vectors.
        images: its rows of `images`, in the order in which they are listed: those of runs, then those of edits.
        edits: its rows of `edits`, in order.
    """

    scene: Mapping[str, Any]
    images: Sequence[Mapping[str, Any]]
    edits: Sequence[Edit]

    @property
    def decision(self) -> history.Decision:
        """What its edits come to."""
        return history.decision(self.edits)

    @property
    def drawn(self) -> Mapping[str, Any] | None:
        """The picture that is shown where no editor has decided: the first one of the run that drew it last."""
        mine = [each for each in self.images if each["edit_id"] is None and not each["variant"]]
        return max(mine, key=lambda each: each["created_at"], default=None)

    @property
    def shown(self) -> Mapping[str, Any] | None:
        """The picture that is shown; None if there is none, or an editor left the scene out."""
        decided = self.decision
        if decided.rejected:
            return None
        if decided.image_id is None:
            return self.drawn
        return next((each for each in self.images if each["image_id"] == decided.image_id), None)


@dataclass(frozen=True)
class Edited:
    """What an edit has done: the edit, and the scene as it was before and is now."""

    edit: Edit
    before: SceneState
    now: SceneState


class Editor:
    """Who edits a destination.

    Args:
        lake: the destination's tables.
        config: settings of the pictures, for rows that do not name theirs, and of the model.
        name: who edits.
        via: `command`, `api` or `run`.
        artist: gives what draws; called only where something is drawn.
    """

    def __init__(self, lake: Lake, config: RunConfig, name: str, via: str, artist: Callable[[], Artist]) -> None:
        if not name.strip() or len(name) > MAX_NAME or not name.isprintable():
            raise ConfigError(f"editor {name!r}", f"a name has 1 to {MAX_NAME} printable letters", "Say --by NAME.")
        self._lake = lake
        self._config = config
        self._name = name.strip()
        self._via = via
        self._artist = artist
        self._store = ObjectStore(lake.settings)

    def find(self, scene: str) -> str:
        """Id of a scene: by its id, by how that begins, or by a moment of its recording, such as `talk.mp3@12:34`.

        Raises:
            ConfigError: there is no such scene, or there are several.
        """
        if (moment := _AT.fullmatch(scene)) is not None:
            return self._at(scene, moment)
        if not _PREFIX.fullmatch(scene):
            found = set(self._lake.scenes.read(["scene_id"], pc.field("scene_id") == scene)["scene_id"].to_pylist())
        else:
            begins = pc.starts_with(pc.field("scene_id"), scene)
            found = set(self._lake.scenes.read(["scene_id"], begins)["scene_id"].to_pylist())
        if len(found) != 1:
            reason = f"{len(found)} scenes begin so" if found else f"there is no such scene in {self._lake.uri}"
            raise ConfigError(f"scene {scene}", reason, _WHICH)
        return str(found.pop())

    def _at(self, text: str, moment: re.Match[str]) -> str:
        seconds = 3600 * int(moment["hours"] or 0) + 60 * int(moment["minutes"]) + float(moment["seconds"])
        recordings = self._lake.recordings.read(
            ["source_uri", "recording_id", "model_digest", "plan_digest", "created_at"],
            pc.field("status") == Status.OK.value,
        ).sort_by("created_at")
        named = {
            each["recording_id"]: each  # the latest row of each
            for each in recordings.to_pylist()
            if each["recording_id"] == moment["name"] or f"/{each['source_uri']}".endswith(f"/{moment['name']}")
        }
        if len(named) != 1:
            reason = f"{len(named)} recordings are called so" if named else "no recording has this name"
            raise ConfigError(moment["name"], f"{reason} in {self._lake.uri}", _WHICH)
        (latest,) = named.values()
        mine = (pc.field("recording_id") == latest["recording_id"]) & (pc.field("start_s") <= seconds)
        for name in ("model_digest", "plan_digest"):
            mine = mine & (pc.field(name) == latest[name])
        found = self._lake.scenes.read(["scene_id", "start_s", "end_s"], mine).sort_by("start_s").to_pylist()
        if not found or found[-1]["end_s"] <= seconds:
            raise ConfigError(text, "the recording ends before that", _WHICH)
        return str(found[-1]["scene_id"])

    def state(self, scene_id: str) -> SceneState:
        """A scene with its pictures and edits.

        Raises:
            ConfigError: there is no such scene.
        """
        mine = pc.field("scene_id") == scene_id
        scenes = self._lake.scenes.read(_SCENE, mine).to_pylist()
        if not scenes:
            raise ConfigError(f"scene {scene_id}", f"there is no such scene in {self._lake.uri}", _WHICH)
        return _state(scenes[0], self._lake.images.read(_IMAGE, mine).to_pylist(), edits_of(self._lake.edits, mine))

    def states(self, recording_id: str) -> list[SceneState]:
        """The scenes of a recording as it was planned last, in order of time.

        Raises:
            ConfigError: there is no such recording.
        """
        mine = pc.field("recording_id") == recording_id
        planned = self._lake.recordings.read(["model_digest", "plan_digest", "created_at"], mine)
        if not planned.num_rows:
            reason = f"there is no such recording in {self._lake.uri}"
            raise ConfigError(
                f"recording {recording_id}", reason, 'Name its id: s2i query "SELECT name, recording_id FROM episodes".'
            )
        last = planned.sort_by("created_at").to_pylist()[-1]
        same = (pc.field("model_digest") == last["model_digest"]) & (pc.field("plan_digest") == last["plan_digest"])
        scenes = self._lake.scenes.read(_SCENE, mine & same).sort_by("start_s").to_pylist()
        images = self._lake.images.read(_IMAGE, mine).to_pylist()
        edits = edits_of(self._lake.edits, mine)
        return [
            _state(
                scene,
                [each for each in images if each["scene_id"] == scene["scene_id"]],
                [each for each in edits if each.scene_id == scene["scene_id"]],
            )
            for scene in scenes
        ]

    def reject(self, scene_id: str, note: str | None = None) -> Edited:
        """Leave a scene out: no page and no pack shows it, and no run draws it, until somebody decides otherwise."""
        return self._decide(self.state(scene_id), EditKind.REJECT, None, note, rejected=True)

    def pin(self, scene_id: str, note: str | None = None) -> Edited:
        """Keep the picture that a scene has, whatever later runs draw; of one that was left out, the picture of runs.

        Raises:
            ConfigError: it has none.
        """
        state = self.state(scene_id)
        kept = state.shown or state.drawn
        if kept is None:
            raise ConfigError(f"scene {scene_id}", "it has no picture that could be kept", "Have one drawn: s2i redo.")
        return self._decide(state, EditKind.PIN, str(kept["image_id"]), note)

    def swap(self, scene_id: str, to: str | None = None, note: str | None = None) -> Edited:
        """Show another one of a scene's pictures.

        Args:
            to: its number, from 1, in the order of `SceneState.images`, or how its id begins; by default the next one.

        Raises:
            ConfigError: there is no other.
        """
        state = self.state(scene_id)
        return self._decide(state, EditKind.SWAP, _other(state, to), note)

    def redo(self, scene_id: str, wish: Wish, note: str | None = None) -> Edited:
        """Draw a scene's picture again, otherwise, and show it.

        Raises:
            ConfigError: it can't be drawn so.
            ModelError: the scene or its picture belongs to another model.
        """
        note = _note(note)
        state = self.state(scene_id)
        planned = self._planned(state)
        artist = self._artist()
        if state.scene["model_digest"] != artist.encoder_digest:
            raise ModelError(
                f"scene {scene_id}",
                f"encoder {state.scene['model_digest']} heard it, and this model has {artist.encoder_digest}",
                "Name its checkpoint: --checkpoint.",
            )
        wanted = self._recipe(state).wished(wish, _unused_seed(state))
        edit = self._new(state, EditKind.REDO, None, note)
        picture, data = redraw.drawn(wanted, planned, artist)
        bucket, prefix = parse_uri(self._lake.uri)
        made = redraw.image_of(wanted, planned, picture, data, artist, self._config, prefix, edit.edit_id)
        self._store.put(bucket, made.key, data, content_type(wanted.image.format))
        self._lake.images.merge([row(made)])
        # The time is that of the decision, not that at which the picture was ready.
        return self._commit(state, replace(edit, image_id=made.image_id))

    def choose(self, scene_id: str, kind: EditKind, image_id: str | None, note: str) -> Edited:
        """Show this picture of a scene, or leave it out where none is named."""
        return self._decide(self.state(scene_id), kind, image_id, note, rejected=image_id is None)

    def undo(self, scene_id: str, edit_id: str | None = None, note: str | None = None) -> Edited:
        """Take an edit of a scene back.

        Args:
            edit_id: which, or how its id begins; by default the last one that was not taken back yet.

        Raises:
            ConfigError: there is none.
        """
        state = self.state(scene_id)
        held = history.standing(state.edits)
        wanted = [each for each in held if each.edit_id.startswith(edit_id or "")]
        if not wanted or (edit_id and len(wanted) > 1):
            reason = "there is no edit to take back" if not wanted else f"{len(wanted)} edits begin so"
            raise ConfigError(f"scene {scene_id}", reason, "See them all: s2i edits.")
        left = [each for each in held if each.edit_id != wanted[-1].edit_id]
        last = history.decision(left)
        return self._decide(
            state, EditKind.UNDO, last.image_id, note, rejected=last.rejected, undoes=wanted[-1].edit_id
        )

    def _decide(
        self,
        state: SceneState,
        kind: EditKind,
        image_id: str | None,
        note: str | None,
        *,
        rejected: bool = False,
        undoes: str | None = None,
    ) -> Edited:
        return self._commit(state, self._new(state, kind, image_id, _note(note), rejected=rejected, undoes=undoes))

    def _new(
        self,
        state: SceneState,
        kind: EditKind,
        image_id: str | None,
        note: str | None,
        *,
        rejected: bool = False,
        undoes: str | None = None,
    ) -> Edit:
        return history.new_edit(
            state.edits,
            kind,
            recording_id=str(state.scene["recording_id"]),
            scene_id=str(state.scene["scene_id"]),
            image_id=image_id,
            rejected=rejected,
            before=None if state.shown is None else str(state.shown["image_id"]),
            editor=self._name,
            via=self._via,
            note=note,
            undoes=undoes,
        )

    def _commit(self, before: SceneState, edit: Edit) -> Edited:
        self._lake.edits.merge([row(edit)])
        return Edited(edit, before, self.state(edit.scene_id))

    def _planned(self, state: SceneState) -> Planned:
        """What the scene is drawn from."""
        scene_id = str(state.scene["scene_id"])
        if state.scene["status"] != Status.OK.value:
            reason = f"there is nothing in it to draw ({state.scene['reason']})"
            raise ConfigError(f"scene {scene_id}", reason, "Choose another scene.")
        names = [each.name for each in fields(Planned)]
        (found,) = self._lake.scenes.read(names, pc.field("scene_id") == scene_id).to_pylist()
        return Planned(**found)

    def _recipe(self, state: SceneState) -> Recipe:
        """How the picture that is shown was drawn, or was shown last; by the settings where there never was one."""
        row = state.shown or state.drawn or (state.images[-1] if state.images else None)
        if row is None:
            return Recipe(identity.seed(str(state.scene["scene_id"])), self._config.image)
        return redraw.recipe(row, self._config)


def edits_of(table: LakeTable, rows: pc.Expression | None = None) -> list[Edit]:
    """The edits of a destination, those that are asked for, in order."""
    return history.in_order([Edit(**each) for each in table.read(filter=rows).to_pylist()])


def _state(scene: Mapping[str, Any], images: Sequence[Mapping[str, Any]], edits: Sequence[Edit]) -> SceneState:
    ordered = sorted(
        images,
        key=lambda each: (each["edit_id"] is not None, each["variant"] or 0, each["created_at"], each["image_id"]),
    )
    return SceneState(scene, ordered, history.in_order(edits))


def _other(state: SceneState, to: str | None) -> str:
    """Id of the picture to swap to."""
    scene, ids = f"scene {state.scene['scene_id']}", [str(each["image_id"]) for each in state.images]
    now = None if state.shown is None else str(state.shown["image_id"])
    if to is None:
        if (len(ids) < 2 and now is not None) or not ids:
            remedy = "Have another drawn: s2i redo; or several by each run: --set image.variants=3."
            raise ConfigError(scene, "it has no other picture", remedy)
        return ids[0] if now is None else ids[(ids.index(now) + 1) % len(ids)]
    found = [ids[int(to) - 1]] if to.isascii() and to.isdigit() and 1 <= int(to) <= len(ids) else []
    found = found or [each for each in ids if len(to) >= _LISTED and each.startswith(to)]
    if len(found) != 1:
        listed = ", ".join(f"{place} ({each[:8]})" for place, each in enumerate(ids, 1)) or "none"
        raise ConfigError(scene, f"it has no picture {to}", f"Name one of {listed}.")
    return found[0]


def _unused_seed(state: SceneState) -> int:
    """A seed that the scene had not yet, and that no variant of a run can have."""
    used = {each["seed"] for each in state.images}
    first = 8 + sum(each.kind == EditKind.REDO.value for each in state.edits)
    return next(
        seed
        for number in range(first, first + len(used) + 1)
        if (seed := identity.seed(str(state.scene["scene_id"]), number)) not in used
    )


def _note(note: str | None) -> str | None:
    if note is not None and len(note) > MAX_NOTE:
        raise ConfigError("the note", f"it has more than {MAX_NOTE} letters", "Shorten it.")
    return note or None
