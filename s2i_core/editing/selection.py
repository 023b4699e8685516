"""What an editor would do by numbers alone: leave out what was heard unsurely, draw again what came out badly, and not
show nearly the same picture twice.

Each decision is an edit with its reason, which people can undo; a scene with any edit is left alone, so that doing it
again changes nothing.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray
from PIL import Image
from safetensors.numpy import load as arrays_of

from s2i_core import identity, steps
from s2i_core.config import RunConfig
from s2i_core.editing.editor import Editor, SceneState
from s2i_core.editing.redraw import ModelArtist, Wish
from s2i_core.errors import ConfigError
from s2i_core.models.contracts import Model
from s2i_core.publish.images import content_type
from s2i_core.records import IMAGES, NAMED, EditKind, Status, now
from s2i_core.storage.artifacts import image_key
from s2i_core.storage.objects import ObjectStore
from s2i_core.storage.places import parse_uri
from s2i_core.storage.tables import Lake
from s2i_core.weights import least_confidence

BY = "s2i select"
"""The editor of these edits."""
_SAME = ("model_digest", "style", "width_px", "height_px")
"""What pictures have in common of which the best is shown: those of other runs may be of another style."""
Tell = Callable[[int, int], None]
"""Called with recordings done and recordings in all."""


@dataclass(frozen=True)
class Choice:
    """What is to become of a scene.

    Attributes:
        kind: `reject`, `redo` or `reuse`.
        reason: why, with the numbers.
        source: with `reuse`, the row of the picture that is shown instead.
    """

    scene_id: str
    recording_id: str
    kind: EditKind
    reason: str
    source: Mapping[str, Any] | None = None


@dataclass
class Selected:
    """What was decided, and of which recordings something is shown otherwise now.

    Attributes:
        choices: in the order in which they were made.
        kept: scenes with a picture that are as they were.
    """

    choices: list[Choice] = field(default_factory=list)
    kept: int = 0

    @property
    def recordings(self) -> list[str]:
        """Ids of the recordings that changed."""
        return list(dict.fromkeys(each.recording_id for each in self.choices))

    @property
    def counted(self) -> dict[str, int]:
        """How many decisions of which kind."""
        return dict(Counter(each.kind.value for each in self.choices)) | {"keep": self.kept}


class Selection:
    """Decides, and edits.

    Args:
        lake: the destination's tables.
        config: `selection` says what is asked for.
        model: looks at the pictures.
        editor: draws and writes; its name is in the history.

    Raises:
        ConfigError: nothing is asked for.
    """

    def __init__(self, lake: Lake, config: RunConfig, model: Model, editor: Editor) -> None:
        if not config.selection.asks:
            raise ConfigError(
                "selection", "no setting asks for anything", "Give --precision, --similarity or --repeats."
            )
        self._lake = lake
        self._config = config.selection
        self._model = model
        self._editor = editor
        self._store = ObjectStore(lake.settings)
        self._bucket, self._prefix = parse_uri(lake.uri)
        self._least = None if config.selection.precision is None else _limit(config)
        self._seen: list[tuple[NDArray[np.float32], Mapping[str, Any]]] = []

    def select(self, *, dry: bool = False, tell: Tell = lambda done, total: None) -> Selected:
        """Go through all recordings, in the order of their addresses.

        Args:
            dry: decide, and change nothing.
            tell: told of progress.
        """
        rows = self._lake.recordings.read(["recording_id", "source_uri"], pc.field("status") == Status.OK.value)
        recordings = list(dict.fromkeys(rows.sort_by("source_uri")["recording_id"].to_pylist()))
        done = Selected()
        tell(0, len(recordings))
        for number, recording_id in enumerate(recordings, 1):
            for state in self._editor.states(recording_id):
                if state.shown is None:
                    continue
                choice = None if state.edits else self._choice(state)
                shown: Mapping[str, Any] | None = state.shown
                if choice is None:
                    done.kept += not state.edits
                else:
                    done.choices.append(choice)
                    shown = state.shown if dry else self._do(choice, state)
                again = choice is not None and choice.kind != EditKind.REDO
                if self._config.repeats != "keep" and shown is not None and not again:
                    self._seen.append((self._vector(shown), shown))
            tell(number, len(recordings))
        return done

    def _choice(self, state: SceneState) -> Choice | None:
        shown = state.shown
        assert shown is not None
        ids = str(state.scene["scene_id"]), str(state.scene["recording_id"])
        if self._least is not None and (surest := self._surest(ids[0])) is not None and surest < self._least:
            reason = f"its surest thing was named with a probability of {surest:.2f}, less than {self._least:.2f}"
            return Choice(*ids, EditKind.REJECT, reason)
        if self._config.repeats != "keep" and (earlier := self._alike(shown)) is not None:
            cosine, row = earlier
            where = f"it looks like {row['image_id'][:8]} of {row['recording_id'][:8]} at {row['start_s']:.0f} s"
            reason = f"{where} (cosine {cosine:.3f})"
            if self._config.repeats == "leave_out":
                return Choice(*ids, EditKind.REJECT, reason)
            return Choice(*ids, EditKind.REUSE, reason, row)
        least = self._config.similarity
        if least is not None and shown["similarity"] < least:
            reason = f"its similarity to what it is to show was {shown['similarity']:.3f}, less than {least:.3f}"
            return Choice(*ids, EditKind.REDO, reason)
        return None

    def _do(self, choice: Choice, state: SceneState) -> Mapping[str, Any] | None:
        if choice.kind == EditKind.REJECT:
            return self._editor.choose(choice.scene_id, EditKind.REJECT, None, choice.reason).now.shown
        if choice.kind == EditKind.REUSE:
            return self._reuse(choice, state)
        return self._redo(choice)

    def _redo(self, choice: Choice) -> Mapping[str, Any] | None:
        """Draw with other seeds until one is good enough; the best of all, the first included, is shown at last."""
        least = self._config.similarity
        assert least is not None
        found = self._editor.state(choice.scene_id)
        for number in range(1, self._config.tries + 1):
            found = self._editor.redo(choice.scene_id, Wish(), f"{choice.reason}; try {number}").now
            if found.shown is not None and found.shown["similarity"] >= least:
                return found.shown
        shown = found.shown
        if shown is None:  # somebody has left it out meanwhile
            return None
        same = [each for each in found.images if all(each[name] == shown[name] for name in _SAME)]
        best = max(same, key=lambda each: each["similarity"])
        if best["image_id"] != shown["image_id"]:
            note = f"the best of {self._config.tries} tries and the first"
            return self._editor.choose(choice.scene_id, EditKind.SWAP, str(best["image_id"]), note).now.shown
        return shown

    def _reuse(self, choice: Choice, state: SceneState) -> Mapping[str, Any] | None:
        """Show the earlier picture: a row of its own, and a file of its own, so that each can be forgotten alone."""
        assert choice.source is not None
        (row,) = self._lake.images.read(filter=pc.field("image_id") == choice.source["image_id"]).to_pylist()
        image_id = identity.image_id(choice.scene_id, "reuse", row["image_id"])
        start_s = float(state.scene["start_s"])
        key = image_key(self._prefix, choice.recording_id, round(start_s * 1000), image_id, row["format"])
        self._store.put(self._bucket, key, self._store.get(self._bucket, row["key"]), content_type(row["format"]))
        own = {"image_id": image_id, "key": key, "start_s": start_s, "end_s": float(state.scene["end_s"])}
        own |= {"scene_id": choice.scene_id, "recording_id": choice.recording_id, "variant": None, "compute_ms": 0.0}
        own |= {"settings": steps.of_another_scene(row["settings"], steps.drawn_scene(row)), "created_at": now()}
        own |= {"edit_id": identity.digest("edit", choice.scene_id, row["image_id"]), "run_id": "select"}
        self._lake.images.merge([{name: (row | own)[name] for name in IMAGES.names}])
        return self._editor.choose(choice.scene_id, EditKind.REUSE, image_id, choice.reason).now.shown

    def _surest(self, scene_id: str) -> float | None:
        """How probable it is that the surest of the things that a scene's picture is to show was named."""
        (found,) = self._lake.scenes.read(["focus_extras"], pc.field("scene_id") == scene_id)[
            "focus_extras"
        ].to_pylist()
        named = arrays_of(found).get(NAMED) if found else None
        return None if named is None or not len(named) else float(named[:, 0].max())

    def _alike(self, shown: Mapping[str, Any]) -> tuple[float, Mapping[str, Any]] | None:
        """The earlier picture that a picture looks most like, if it looks like one."""
        if not self._seen:
            return None
        cosines = np.stack([vector for vector, _ in self._seen]) @ self._vector(shown)
        most = int(cosines.argmax())
        return (float(cosines[most]), self._seen[most][1]) if cosines[most] >= self._config.alike else None

    def _vector(self, shown: Mapping[str, Any]) -> NDArray[np.float32]:
        """Vector of a picture in the space that speech shares with pictures `(E,)`."""
        with Image.open(io.BytesIO(self._store.get(self._bucket, str(shown["key"])))) as opened:
            pixels = np.asarray(opened.convert("RGB"))
        (vector,) = steps.look(pixels[None], self._model)
        return np.asarray(vector)


def selected(
    lake: Lake, config: RunConfig, model: Model, via: str, *, dry: bool = False, tell: Tell = lambda done, total: None
) -> Selected:
    """Select as `config.selection` asks; raises as `Selection` does."""
    editor = Editor(lake, config, BY, via, lambda: ModelArtist(model))
    return Selection(lake, config, model, editor).select(dry=dry, tell=tell)


def _limit(config: RunConfig) -> float:
    """The confidence from which what is named has the precision that is asked for."""
    scenes = config.scenes.model_copy(update={"precision": config.selection.precision})
    least = least_confidence(config.model_copy(update={"scenes": scenes}))
    if least is None:
        raise ConfigError("selection.precision", "this model hears no single things", "Choose a model that does.")
    return least


def plain(choices: Sequence[Choice]) -> list[dict[str, Any]]:
    """Choices for programs."""
    return [
        {"scene_id": each.scene_id, "recording_id": each.recording_id, "kind": each.kind.value, "reason": each.reason}
        for each in choices
    ]
