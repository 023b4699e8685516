"""Scenes as a source for Ray Data: read by the driver where they are few, and else by processes that read."""

from __future__ import annotations

import pyarrow as pa
import pytest

from cluster.jobs import pending, rows
from s2i_core.records import row
from s2i_core.weights import digests


@pytest.mark.usefixtures("ray_session")
@pytest.mark.parametrize("few", [100, 0], ids=["driver", "processes"])
def test_the_wanted_rows_come_in_blocks(request_for, make_scenes, lake, monkeypatch, few) -> None:
    monkeypatch.setattr(pending, "_FEW", few)
    request = request_for()
    scenes = make_scenes(request, 10)
    ((path, found),) = lake.unillustrated_files(digests(request.config))
    ids = pa.array(sorted(found["scene_id"].to_pylist())[1:])

    dataset = pending.dataset(lake.scenes, [(path, ids)], 4)
    dataset.context.target_max_block_size = pending.block_bytes(lake.scenes, [(path, ids)], 4)
    blocks = list(dataset.iter_batches(batch_size=None, batch_format="pyarrow"))
    assert sorted(block.num_rows for block in blocks) == [1, 4, 4]
    read = [each for block in blocks for each in block.to_pylist()]
    wanted = [row(scene) for scene in scenes if scene.scene_id in ids.to_pylist()]
    assert sorted(read, key=by_id) == sorted(rows.table(wanted, rows.PLANNED).to_pylist(), key=by_id)


def by_id(scene: dict[str, object]) -> str:
    return str(scene["scene_id"])
