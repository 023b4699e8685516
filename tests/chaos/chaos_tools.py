"""What must hold after every fault, and jobs that last long enough to be disturbed."""

from __future__ import annotations

from collections.abc import Sequence

from s2i_core.config import ImageConfig, PoolConfig, RunConfig
from s2i_core.records import Scene
from s2i_core.storage.objects import ObjectStore
from s2i_core.storage.tables import Lake


def two_at_a_time(config: RunConfig, workers: int = 2) -> RunConfig:
    """Some tenths of a second an image, on as many workers as there are nodes."""
    generate = PoolConfig(initial=workers, minimum=1, maximum=workers, num_cpus=1, batch_size=1)
    resources = config.resources.model_copy(update={"generate": generate, "lost_node_s": 20, "outage_s": 120})
    return config.model_copy(update={"resources": resources, "image": ImageConfig(size_px=64, steps=60)})


def accounted_for(objects: ObjectStore, bucket: str, lake: Lake, scenes: Sequence[Scene]) -> None:
    """Every scene has one image; every row of `images` has its file, every file its row, with the same bytes."""
    rows = lake.images.read().to_pylist()
    assert sorted(each["scene_id"] for each in rows) == sorted(scene.scene_id for scene in scenes)
    assert len({each["image_id"] for each in rows}) == len(rows)
    files = {each.key: each.size_bytes for each in objects.list(bucket, "out/images/")}
    assert files == {each["key"]: each["size_bytes"] for each in rows}
