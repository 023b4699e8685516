"""Rows of the tables with plausible values, for tests that need some."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from s2i_core.identity import Digests
from s2i_core.presets import cpu
from s2i_core.records import Edit, HeardThing, ImageSample, Recording, Scene, Status

CONFIG = cpu()
DIGESTS = Digests("m", CONFIG.plan_digest, "m", CONFIG.image_digest)
DAY = datetime(2026, 1, 1, tzinfo=UTC)


def recording(name: str, run: str = "one", **changes: object) -> Recording:
    made = Recording(
        source_uri=f"s3://in/{name}",
        etag="e1",
        size_bytes=1,
        recording_id=f"id-{name}",
        status=Status.OK.value,
        reason=None,
        codec="mp3",
        channels=1,
        sampling_rate_hz=16000,
        duration_s=61.0,
        speech_s=50.0,
        tracks=None,
        damage=None,
        scenes=2,
        retryable=False,
        model_digest="m",
        plan_digest=CONFIG.plan_digest,
        run_id=run,
        created_at=DAY,
    )
    return replace(made, **changes)


def scene(name: str, index: int, **changes: object) -> Scene:
    made = Scene(
        scene_id=f"{name}-{index}",
        recording_id=f"id-{name}",
        index=index,
        start_s=index * 10.0,
        end_s=index * 10.0 + 10,
        focus_start_s=0.0,
        focus_end_s=1.0,
        status=Status.OK.value,
        reason=None,
        confidence=0.5,
        speech_share=1.0,
        pooled=[1.0],
        focus_pooled=b"",
        focus_tokens=b"",
        focus_extras=b"",
        things=None,
        model_digest="m",
        plan_digest=CONFIG.plan_digest,
        run_id="one",
        created_at=DAY,
    )
    return replace(made, **changes)


def image(of: Scene, run: str = "one", **changes: object) -> ImageSample:
    made = ImageSample(
        image_id=f"image-{of.scene_id}",
        scene_id=of.scene_id,
        recording_id=of.recording_id,
        start_s=of.start_s,
        end_s=of.end_s,
        key=f"images/{of.scene_id}.webp",
        sha256="",
        size_bytes=1,
        format="webp",
        width_px=64,
        height_px=64,
        seed=1,
        variant=0,
        style="3d",
        steps=1,
        guidance=1.0,
        similarity=0.5,
        shows=None,
        alt=None,
        setting=None,
        time_of_day=None,
        compute_ms=1.0,
        device="cpu",
        model_digest="m",
        image_digest=CONFIG.image_digest,
        run_id=run,
        created_at=DAY,
    )
    return replace(made, **changes)


def thing(of: Scene, title: str, **changes: object) -> HeardThing:
    made = HeardThing(
        thing_id=f"{of.scene_id}-{title}",
        recording_id=of.recording_id,
        scene_id=of.scene_id,
        start_s=of.start_s,
        end_s=of.start_s + 0.6,
        thing=title,
        confidence=0.9,
        shown=True,
        model_digest=of.model_digest,
        plan_digest=of.plan_digest,
        run_id=of.run_id,
        created_at=of.created_at,
    )
    return replace(made, **changes)


def edit(of: Scene, **changes: object) -> Edit:
    made = Edit(
        edit_id=f"{of.scene_id}-edit",
        recording_id=of.recording_id,
        scene_id=of.scene_id,
        kind="reject",
        image_id=None,
        rejected=False,
        before=None,
        undoes=None,
        note=None,
        editor="ann",
        via="api",
        created_at=of.created_at,
    )
    return replace(made, **changes)
