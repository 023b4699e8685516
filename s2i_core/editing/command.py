"""The commands of editors: `s2i redo`, `reject`, `pin`, `swap`, `undo`, and `edits`, their history."""

from __future__ import annotations

import getpass
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from s2i_core import options

if TYPE_CHECKING:
    from s2i_core.config import RunConfig
    from s2i_core.editing.editor import Edited, Editor
    from s2i_core.editing.redraw import Artist
    from s2i_core.records import Edit

_Scene = Annotated[
    str, typer.Argument(help="Id of the scene, or how it begins; or a moment of its recording: talk.mp3@12:34.")
]
_Note = Annotated[str | None, typer.Option("--note", "-n", help="Why, for those who read the history.")]
_By = Annotated[
    str | None, typer.Option("--by", envvar="S2I_EDITOR", show_envvar=True, help="Who edits; by default this user.")
]
_Publish = Annotated[
    bool, typer.Option("--publish/--no-publish", help="Write the recording's page and pack anew, or leave them.")
]


def redo(
    scene: _Scene,
    *,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Of the noise and the composition; by default one not used yet.")
    ] = None,
    style: options.Style = None,
    steps: Annotated[int | None, typer.Option(min=1, max=100, help="Denoising steps.")] = None,
    things: Annotated[
        str | None, typer.Option(metavar="A,B", help="What it shows instead of what was heard, up to four: cow,barn.")
    ] = None,
    destination: options.Destination = None,
    note: _Note = None,
    by: _By = None,
    publish: _Publish = True,
    preset: options.Preset = "cpu",
    checkpoint: options.Checkpoint = None,
    library: options.Library = None,
    settings: options.SetOptions = None,
    as_json: options.AsJson = False,
) -> None:
    """Draw the picture of a scene again, and show it: by default as it was, with another seed.

    The page and the pack of its recording follow. Both pictures stay: s2i undo brings the one of before back.
    """
    from s2i_core.editing.redraw import Wish

    named = None if things is None else tuple(filter(None, (each.strip() for each in things.split(","))))
    wish = Wish(seed, style, steps, named)
    config = options.shaped(preset, options.changes(checkpoint=checkpoint, library=library, settings=settings))
    _edit(
        lambda editor: editor.redo(editor.find(scene), wish, note),
        destination,
        by,
        config,
        publish=publish,
        as_json=as_json,
    )


def reject(
    scene: _Scene,
    *,
    destination: options.Destination = None,
    note: _Note = None,
    by: _By = None,
    publish: _Publish = True,
    settings: options.SetOptions = None,
    as_json: options.AsJson = False,
) -> None:
    """Leave a scene out: nothing that is published shows it, and no run draws it, until somebody decides otherwise."""
    config = options.shaped("cpu", options.changes(settings=settings))
    act = lambda editor: editor.reject(editor.find(scene), note)  # noqa: E731
    _edit(act, destination, by, config, publish=publish, as_json=as_json)


def pin(
    scene: _Scene,
    *,
    destination: options.Destination = None,
    note: _Note = None,
    by: _By = None,
    publish: _Publish = True,
    settings: options.SetOptions = None,
    as_json: options.AsJson = False,
) -> None:
    """Keep the picture of a scene: later runs, of another style or model too, do not draw it again."""
    config = options.shaped("cpu", options.changes(settings=settings))
    act = lambda editor: editor.pin(editor.find(scene), note)  # noqa: E731
    _edit(act, destination, by, config, publish=publish, as_json=as_json)


def swap(
    scene: _Scene,
    *,
    to: Annotated[
        str | None, typer.Option(metavar="PICTURE", help="Its number from 1, or its id; by default the next one.")
    ] = None,
    destination: options.Destination = None,
    note: _Note = None,
    by: _By = None,
    publish: _Publish = True,
    settings: options.SetOptions = None,
    as_json: options.AsJson = False,
) -> None:
    """Show another one of the pictures of a scene: of the variants of runs, or of those drawn again."""
    config = options.shaped("cpu", options.changes(settings=settings))
    act = lambda editor: editor.swap(editor.find(scene), to, note)  # noqa: E731
    _edit(act, destination, by, config, publish=publish, as_json=as_json)


def undo(
    scene: _Scene,
    *,
    edit: Annotated[
        str | None, typer.Option(metavar="ID", help="The edit to take back; by default the last one of the scene.")
    ] = None,
    destination: options.Destination = None,
    note: _Note = None,
    by: _By = None,
    publish: _Publish = True,
    settings: options.SetOptions = None,
    as_json: options.AsJson = False,
) -> None:
    """Take the last edit of a scene back, or a certain one; again for the one before it."""
    config = options.shaped("cpu", options.changes(settings=settings))
    act = lambda editor: editor.undo(editor.find(scene), edit, note)  # noqa: E731
    _edit(act, destination, by, config, publish=publish, as_json=as_json)


def select(
    *,
    precision: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Leave out where the surest thing was named with less precision, as 0.9."),
    ] = None,
    similarity: Annotated[
        float | None,
        typer.Option(min=-1, max=1, help="Draw again, with other seeds, what is less like what it is to show, as 0.3."),
    ] = None,
    repeats: Annotated[
        str | None, typer.Option(help="What looks like an earlier picture: keep, reuse (show that one) or leave_out.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be decided, and change nothing.")] = False,
    destination: options.Destination = None,
    publish: _Publish = True,
    preset: options.Preset = "cpu",
    checkpoint: options.Checkpoint = None,
    library: options.Library = None,
    settings: options.SetOptions = None,
    as_json: options.AsJson = False,
) -> None:
    """Leave out, draw again or reuse pictures by numbers, as the settings under `selection` or these options ask.

    Each decision is an edit with its reason: s2i edits lists them, s2i undo takes them back. A scene with an edit is
    left alone.
    """
    from s2i_core.editing.follow import follow
    from s2i_core.editing.selection import plain, selected
    from s2i_core.models import registry
    from s2i_core.storage.objects import S3Settings
    from s2i_core.storage.tables import Lake

    asked: dict[str, Any] = {
        "selection.precision": precision,
        "selection.similarity": similarity,
        "selection.repeats": repeats,
    }
    told = {name: value for name, value in asked.items() if value is not None}
    config = options.shaped(preset, told | options.changes(checkpoint=checkpoint, library=library, settings=settings))
    lake = Lake(S3Settings.from_env(), options.named_destination(destination))
    done = selected(lake, config, registry.load(config.model), "command", dry=dry_run)
    stale: list[str] = []
    for recording_id in done.recordings if publish and not dry_run else ():
        stale += follow(lake, recording_id, config).stale
    if as_json:
        facts = {"decisions": plain(done.choices), "counted": done.counted, "stale": stale}
        typer.echo(json.dumps(facts, ensure_ascii=False))
    else:
        for each in done.choices:
            typer.echo(f"{each.kind}  {each.scene_id[:8]}  {each.reason}")
        counted = ", ".join(f"{count} {kind}" for kind, count in done.counted.items())
        typer.echo(f"{counted}{' (nothing was changed)' if dry_run else ''}")
        for line in stale:
            typer.secho(f"still as it was: {line}", fg="yellow", err=True)
    if stale:
        raise typer.Exit(1)


def edits(
    *,
    scene: Annotated[
        str | None, typer.Option(help="Of this scene alone: its id, how it begins, or talk.mp3@12:34.")
    ] = None,
    recording: Annotated[str | None, typer.Option(metavar="ID", help="Of the recording of this id alone.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="The last so many.")] = 100,
    destination: options.Destination = None,
    as_json: options.AsJson = False,
) -> None:
    """List what editors did: who, when, what, and which picture came for which."""
    import pyarrow.compute as pc

    from s2i_core.editing.editor import edits_of
    from s2i_core.presets import preset
    from s2i_core.storage.objects import S3Settings
    from s2i_core.storage.tables import Lake

    lake = Lake(S3Settings.from_env(), options.named_destination(destination))
    only = None if recording is None else pc.field("recording_id") == recording
    if scene is not None:
        mine = pc.field("scene_id") == _editor(lake, preset("cpu"), None).find(scene)
        only = mine if only is None else only & mine
    found = edits_of(lake.edits, only)[-limit:]
    if as_json:
        typer.echo(json.dumps({"edits": [as_plain(each) for each in found]}, ensure_ascii=False))
        return
    for each in found:
        when = each.created_at.strftime("%Y-%m-%d %H:%M:%S")
        why = f"  {each.note}" if each.note else ""
        typer.echo(f"{when}  {each.edit_id[:8]}  {each.scene_id[:8]}  {_did(each)}, by {each.editor}{why}")
    if not found:
        typer.echo("no edits", err=True)


def as_plain(edit: Edit) -> dict[str, Any]:
    """An edit for programs."""
    return {**vars(edit), "created_at": edit.created_at.isoformat()}


def _did(edit: Edit) -> str:
    pictures = f"{(edit.before or 'none')[:8]} → {'none' if edit.rejected else (edit.image_id or 'as drawn')[:8]}"
    return f"{edit.kind} {edit.undoes[:8]}: {pictures}" if edit.undoes else f"{edit.kind}: {pictures}"


def _edit(
    act: Callable[[Editor], Edited],
    destination: str | None,
    by: str | None,
    config: RunConfig,
    *,
    publish: bool,
    as_json: bool,
) -> None:
    from s2i_core.editing.follow import Followed, follow
    from s2i_core.storage.objects import S3Settings
    from s2i_core.storage.tables import Lake

    lake = Lake(S3Settings.from_env(), options.named_destination(destination))
    done = act(_editor(lake, config, by))
    followed = follow(lake, done.edit.recording_id, config) if publish else Followed()
    shown, others = done.now.shown, len(done.now.images)
    if as_json:
        facts = {
            "edit": as_plain(done.edit),
            "shown": None
            if shown is None
            else {name: shown[name] for name in ("image_id", "key", "alt", "similarity")},
            "pictures": [each["image_id"] for each in done.now.images],
            "page": followed.page,
            "pack": followed.pack,
            "stale": list(followed.stale),
        }
        typer.echo(json.dumps(facts, ensure_ascii=False))
    else:
        typer.echo(_did(done.edit))
        if shown is not None:
            typer.echo(f"shown: {shown['key']} ({options.counted(others, 'picture')} of this scene)")
        earlier = done.before.decision.edit
        if earlier is not None and earlier.editor != done.edit.editor:
            typer.echo(
                f"before: {earlier.kind} by {earlier.editor} at {earlier.created_at:%Y-%m-%d %H:%M:%S}", err=True
            )
        anew = [name for name, done_so in (("page", followed.page), ("pack", followed.pack)) if done_so]
        if anew:
            typer.echo(f"up to date: {' and '.join(anew)}")
        for each in followed.stale:
            typer.secho(f"still as it was: {each}", fg="yellow", err=True)
    if followed.stale:
        raise typer.Exit(1)


def _editor(lake: Any, config: RunConfig, by: str | None) -> Editor:
    from s2i_core.editing.editor import Editor

    def artist() -> Artist:
        from s2i_core.editing.redraw import ModelArtist
        from s2i_core.models import registry

        return ModelArtist(registry.load(config.model))

    return Editor(lake, config, by or getpass.getuser(), "command", artist)
