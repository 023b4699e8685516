"""`/v1/episodes`: what runs illustrated, scene by scene, and what an editor decides of it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from pydantic import ValidationError

from cluster.serve import problems
from cluster.serve.edits.editing import Editing
from cluster.serve.http.dependencies import ERRORS, PICTURE, CallerOf, ServiceOf
from cluster.serve.http.uploads import chunks
from cluster.serve.schemas import (
    EditAnswer,
    EditedScene,
    EditRequest,
    EditView,
    Episode,
    EpisodesAnswer,
    EpisodeView,
    PictureOfScene,
)
from s2i_core.editing.editor import SceneState
from s2i_core.editing.redraw import told
from s2i_core.publish.images import content_type
from s2i_core.records import Edit

_MAX_JSON_BYTES = 16 << 10
_MOST_EPISODES = 1000
_PATH = "/v1/episodes"

router = APIRouter(tags=["editing"])


def _editing(request: Request, service: ServiceOf, caller: CallerOf) -> Editing:
    """The editors' side of the service, for those who may edit."""
    editing: Editing | None = getattr(request.app.state, "editing", None)
    if editing is None:
        editing = request.app.state.editing = Editing(service)
    editing.admit(caller)
    return editing


EditingOf = Annotated[Editing, Depends(_editing)]


@router.get(_PATH, summary="What may be edited", responses=ERRORS)
async def list_episodes(editing: EditingOf) -> EpisodesAnswer:
    """The illustrated recordings of the service's destination; of more than 1,000, the first."""
    found = (await editing.episodes())[:_MOST_EPISODES]
    return EpisodesAnswer(
        destination=editing.lake.uri,
        episodes=[Episode(**each, url=f"{_PATH}/{each['recording_id']}") for each in found],
    )


@router.get(_PATH + "/{recording_id}", summary="Its scenes, pictures and edits", responses=ERRORS)
async def view_episode(recording_id: str, editing: EditingOf) -> EpisodeView:
    """The scenes of a recording as it was planned last, with all of their pictures and what editors did."""
    states = await editing.states(recording_id)
    publishing, stale = editing.publishing(recording_id)
    scenes = [_scene(each) for each in states]
    return EpisodeView(recording_id=recording_id, scenes=scenes, publishing=publishing, stale=list(stale))


@router.get(
    _PATH + "/{recording_id}/pictures/{image_id}",
    summary="The file of a picture",
    response_class=Response,
    responses={**ERRORS, 200: PICTURE},
)
async def episode_picture(recording_id: str, image_id: str, editing: EditingOf) -> Response:
    """The image file."""
    data, form = await editing.picture(recording_id, image_id)
    return Response(data, media_type=content_type(form))  # type: ignore[arg-type]


@router.post(
    _PATH + "/{recording_id}/scenes/{scene_id}/edits",
    summary="Decide about a scene",
    status_code=201,
    response_model=EditAnswer,
    responses=ERRORS,
    openapi_extra={
        "requestBody": {"required": True, "content": {"application/json": {"schema": EditRequest.model_json_schema()}}}
    },
)
async def edit_scene(
    recording_id: str, scene_id: str, request: Request, service: ServiceOf, caller: CallerOf, editing: EditingOf
) -> EditAnswer:
    """Draw its picture again, leave it out, keep its picture, show another, or take that back.

    Two editors at once lose nothing: both edits stay in the history, and the later one counts. The page and the pack of
    the recording follow in the background.
    """
    async with service.doorkeeper.holding(caller):
        with service.uploads.take(caller.key_name):
            body = b"".join([each async for each in chunks(request, _MAX_JSON_BYTES, service.limits)])
        try:
            wanted = EditRequest.model_validate_json(body)
        except ValidationError as error:
            raise problems.of_validation(error.errors()) from None
        done = await editing.edit(caller, recording_id, scene_id, wanted)
    return EditAnswer(edit=_edit(done.edit), scene=_scene(done.now))


@router.post(
    _PATH + "/{recording_id}/publish", summary="Write its page and its pack", status_code=202, responses=ERRORS
)
async def publish_episode(recording_id: str, editing: EditingOf) -> EpisodeView:
    """Write the pack of a recording, and its page if it has one, in the background; `publishing` says how long."""
    await editing.states(recording_id)
    editing.publish(recording_id, make=True)
    return await view_episode(recording_id, editing)


def _scene(state: SceneState) -> EditedScene:
    shown, decided = state.shown, state.decision
    scene = state.scene
    base = f"{_PATH}/{scene['recording_id']}/pictures"
    return EditedScene(
        **{name: scene[name] for name in ("scene_id", "start_s", "end_s", "status", "reason", "things")},
        shown=None if shown is None else str(shown["image_id"]),
        decision="rejected" if decided.rejected else "chosen" if decided.made else "none",
        pictures=[
            PictureOfScene(
                **{name: each[name] for name in ("image_id", "variant", "edit_id", "similarity", "alt")},
                **told(each),
                url=f"{base}/{each['image_id']}",
            )
            for each in state.images
        ],
        edits=[_edit(each) for each in state.edits],
    )


def _edit(edit: Edit) -> EditView:
    return EditView(**{**vars(edit), "created_at": edit.created_at.isoformat()})
