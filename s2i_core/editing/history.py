"""What the edits of a scene come to. The last one counts and says all that is shown; none is ever changed."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from s2i_core import identity
from s2i_core.records import Edit, EditKind, now


@dataclass(frozen=True)
class Decision:
    """What is shown of a scene.

    Attributes:
        image_id: the picture that an editor chose; None for the one that runs draw.
        rejected: an editor leaves the scene out.
        edit: the last edit of it; None where there is none.
    """

    image_id: str | None = None
    rejected: bool = False
    edit: Edit | None = None

    @property
    def made(self) -> bool:
        """Whether an editor has decided at all."""
        return self.rejected or self.image_id is not None


def in_order(edits: Sequence[Edit]) -> list[Edit]:
    """The edits in the order in which they count: by time; of one moment, by id."""
    return sorted(edits, key=lambda edit: (edit.created_at, edit.edit_id))


def decision(edits: Sequence[Edit]) -> Decision:
    """What the edits of one scene come to."""
    if not edits:
        return Decision()
    last = in_order(edits)[-1]
    return Decision(last.image_id, last.rejected, last)


def standing(edits: Sequence[Edit]) -> list[Edit]:
    """The edits of one scene that nobody has taken back, in order."""
    held: list[Edit] = []
    for edit in in_order(edits):
        if edit.kind == EditKind.UNDO.value:
            held = [each for each in held if each.edit_id != edit.undoes]
        else:
            held.append(edit)
    return held


def new_edit(
    edits: Sequence[Edit],
    kind: EditKind,
    *,
    recording_id: str,
    scene_id: str,
    image_id: str | None,
    rejected: bool,
    before: str | None,
    editor: str,
    via: str,
    note: str | None = None,
    undoes: str | None = None,
) -> Edit:
    """The row of a new edit, later than all that its editor knew of, whatever the clocks of their machines say.

    Args:
        edits: those of the scene that are known.
    """
    moment = now()
    if edits:
        moment = max(moment, in_order(edits)[-1].created_at + timedelta(microseconds=1))
    return Edit(
        edit_id=identity.digest("edit", scene_id, uuid.uuid4().hex),
        recording_id=recording_id,
        scene_id=scene_id,
        kind=kind.value,
        image_id=image_id,
        rejected=rejected,
        before=before,
        undoes=undoes,
        note=note,
        editor=editor,
        via=via,
        created_at=moment,
    )
