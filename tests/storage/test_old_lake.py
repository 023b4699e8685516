"""A lake that version 0.1 wrote with the model then shipped: nothing is listened to again, and what is drawn fits it.

`lake_0_1/` has one recording, three of its scenes (two to draw, one skipped) and two images, as that version kept them.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake

from s2i_core import steps
from s2i_core.config import CollageDecoderConfig, RunConfig, changed
from s2i_core.models import registry
from s2i_core.presets import cpu
from s2i_core.publish.images import encode_image
from s2i_core.records import AudioObject, row
from s2i_core.storage.objects import ObjectStore
from s2i_core.storage.tables import Lake
from s2i_core.weights import GROUNDING_FOLDER, checkpoint_folder, digests

OLD = Path(__file__).parent / "lake_0_1"
SHIPPED: RunConfig = changed(cpu(), {"image.format": "png"})


@pytest.fixture
def config(tmp_path: Path) -> RunConfig:
    """The model of then: the shipped one without what hears single things."""
    for path in checkpoint_folder("").iterdir():
        if path.name != GROUNDING_FOLDER:
            (tmp_path / path.name).symlink_to(path)
    return changed(SHIPPED, {"model.checkpoint": str(tmp_path)})


@pytest.fixture
def lake(objects: ObjectStore, bucket: str) -> Lake:
    """The old rows but for the second image, which is still to be drawn."""
    lake = Lake(objects.settings, f"s3://{bucket}/out")
    for name, table in lake.tables.items():
        if (path := OLD / f"{name}.parquet").exists():
            rows = pq.read_table(path)
            rows = rows.slice(0, 1) if name == "images" else rows
            write_deltalake(table.uri, rows, storage_options=table._storage_options())
    return lake


def test_nothing_is_listened_to_again_and_pictures_are_drawn_into_it(lake: Lake, config: RunConfig) -> None:
    (recording,) = pq.read_table(OLD / "recordings.parquet").to_pylist()
    bucket, _, key = recording["source_uri"].removeprefix("s3://").partition("/")
    source = AudioObject(bucket, key, recording["etag"], recording["size_bytes"])
    names = digests(config)
    # With the model of today it is listened to once more; CHANGELOG.md says so.
    assert lake.unplanned([source], digests(SHIPPED)) == [source]
    assert lake.unplanned([source], names) == []
    images = pq.read_table(OLD / "images.parquet").to_pylist()
    # Pictures are composed in another way since; each is drawn once more, as CHANGELOG.md says.
    left = lake.unillustrated(names)
    assert sorted(left["scene_id"].to_pylist()) == sorted(image["scene_id"] for image in images)

    # Another decoder, another library, other settings of the image: only pictures.
    for other in (
        config.model_copy(update={"model": config.model.model_copy(update={"decoder": CollageDecoderConfig()})}),
        changed(config, {"image.style": "sketch"}),
    ):
        assert lake.unplanned([source], digests(other)) == []
        assert lake.unillustrated(digests(other)).num_rows == 2

    # It is drawn from the rows of that version, and goes into its tables.
    model = registry.load(config.model)
    for kept in left.select(list(steps.Planned.__annotations__)).to_pylist():
        scene = steps.Planned(**kept)
        (picture,) = steps.draw_batch([scene], [images[1]["seed"]], config.image, model)
        data = encode_image(picture.pixels, config.image)
        made = steps.image_row(
            scene, picture, data, "k", image=config.image, model=model, image_digest=names.image, run_id="later"
        )
        lake.images.merge([row(made)])
    assert lake.unillustrated(names).num_rows == 0


def test_new_rows_go_beside_the_old(lake: Lake) -> None:
    old = lake.scenes.read()
    assert old["focus_extras"].null_count == old.num_rows == 3
    new = old.slice(0, 1).to_pylist()[0] | {"scene_id": "new", "focus_extras": b"named"}
    lake.scenes.merge([new])
    extras = dict(zip(*(lake.scenes.read(["scene_id", "focus_extras"])[n].to_pylist() for n in (0, 1)), strict=True))
    assert extras["new"] == b"named" and sum(each is None for each in extras.values()) == 3
    assert lake.scenes.read(["scene_id"], pc.field("focus_extras").is_valid())["scene_id"].to_pylist() == ["new"]
