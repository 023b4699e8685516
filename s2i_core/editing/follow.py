"""What is published follows an edit: the recording's page and its pack, where there are any.

Both are made from the tables as they are, and looked at again afterwards: of two editors at once, whoever writes last
sees what the other has decided.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import ValidationError

from s2i_core.config import PackConfig, RunConfig
from s2i_core.errors import ConfigError, S2IError
from s2i_core.identity import Digests
from s2i_core.packs.destinations import Bucket
from s2i_core.packs.episode import Rows
from s2i_core.packs.publish import publish, write_gallery
from s2i_core.pages import Pages
from s2i_core.provenance.stamp import stamp_of
from s2i_core.storage.objects import ObjectStore
from s2i_core.storage.tables import Lake

_LOOKS = 5
"""How often it is looked again, while other editors change the same recording."""
_RUN = "edit"


@dataclass(frozen=True)
class Followed:
    """What was published anew.

    Attributes:
        page, pack: whether there is one and it shows what the tables say.
        stale: what still shows the scene as it was, why, and what to do, for people.
    """

    page: bool = False
    pack: bool = False
    stale: tuple[str, ...] = ()


def follow(lake: Lake, recording_id: str, config: RunConfig) -> Followed:
    """Write the page and the pack of a recording anew, where it has them and they show something else.

    Args:
        config: limits on the recording, and whose keys sign; what the pack consists of is as it was made.
    """
    store = ObjectStore(lake.settings)
    bucket = Bucket(store, lake, recording_id=recording_id)
    found = bucket.recordings()
    if not found:
        return Followed()
    stale: list[str] = []
    page = pack = False
    try:
        page = _page(lake, store, found[0], config)
    except S2IError as error:
        stale.append(f"its page: {error.reason}. {error.remedy}")
    try:
        pack = _pack(bucket, recording_id, config)
    except S2IError as error:
        stale.append(f"its pack: {error.reason}. {error.remedy}")
    return Followed(page, pack, tuple(stale))


def _page(lake: Lake, store: ObjectStore, rows: Rows, config: RunConfig) -> bool:
    recording_id = str(rows.recording["recording_id"])
    digests = _digests(lake, rows)
    if digests is None:
        return False
    pages = Pages(store, lake, config, digests, None)
    if not pages.keys([recording_id]):
        return False
    for _ in range(_LOOKS):
        if not (pending := pages.pending(recording_id)):
            break
        if pages.publish(pending, None, lambda *_: None).unpublished:
            raise ConfigError(recording_id, "its recording can't be read any more", "Put it back, and publish again.")
    return True


def _digests(lake: Lake, rows: Rows) -> Digests | None:
    """Those of the run that planned and drew the recording last."""
    mine = pc.field("recording_id") == str(rows.recording["recording_id"])
    drawn = lake.images.read(
        ["model_digest", "image_digest", "created_at"],
        mine
        & pc.field("edit_id").is_null()
        & (pc.field("variant").is_null() | (pc.field("variant") == 0))
        & pc.field("scene_id").isin(pa.array([scene["scene_id"] for scene in rows.scenes], pa.string())),
    )
    if not drawn.num_rows:
        return None
    last = drawn.sort_by("created_at").slice(drawn.num_rows - 1).to_pylist()[0]
    planned = rows.recording
    return Digests(planned["model_digest"], planned["plan_digest"], last["model_digest"], last["image_digest"])


def _pack(place: Bucket, recording_id: str, config: RunConfig) -> bool:
    there = place.packs([recording_id]).get(recording_id)
    if there is None:
        return False
    try:
        own = PackConfig.model_validate(there.settings) if there.settings else config.packs
    except ValidationError as error:
        raise ConfigError(
            there.title,
            f"its manifest has settings that can't be read ({error.errors()[0]['msg']})",
            "Run s2i publish.",
        ) from error
    signed_by = stamp_of(config.provenance).signed_by
    if there.signed_by != signed_by:
        raise ConfigError(
            there.title,
            f"it is signed by {there.signed_by or 'nobody'}, and these settings sign as {signed_by or 'nobody'}",
            "Run s2i publish with the keys that signed it.",
        )
    for _ in range(_LOOKS):
        done = publish(place, own, config.audio, config.provenance, _RUN, [recording_id], with_gallery=False)
        if done.failures:
            failed = done.failures[0]
            raise ConfigError(there.title, failed.message, failed.remedy)
        if not done.made:
            break
    write_gallery(place)
    return True
