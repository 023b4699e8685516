"""What runs make of the reference: the first is the baseline, what moved is refused, what is accepted is the next."""

from __future__ import annotations

import json

import numpy as np
import pytest
import rows_for_tests as rows

from s2i_core.analysis.drift import Sample
from s2i_core.analysis.reference import DriftFound, References, sampled
from s2i_core.config import DriftConfig
from s2i_core.errors import ConfigError, StorageError
from s2i_core.records import row
from s2i_core.storage.objects import ObjectStore
from s2i_core.storage.tables import Lake

CONFIG = DriftConfig(reference="s3://archive/reference")
ACCEPT = CONFIG.model_copy(update={"accept": True})


def sample(similarity: float, scenes: int = 50) -> Sample:
    random = np.random.default_rng(0)
    vectors = random.normal(size=(scenes, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    names = tuple(f"recording-{number}" for number in range(scenes))
    noise = random.normal(0, 0.05, scenes)
    none = np.where(np.arange(scenes) == 3, np.nan, similarity + noise)
    return Sample(vectors, 0.5 + noise, none, names)


def test_what_moved_is_refused_until_it_is_accepted(objects: ObjectStore, bucket: str) -> None:
    references = References(objects, bucket, "out")
    first = references.settle("run-1", sample(0.6), ACCEPT)
    assert (first.baseline, first.published, first.accepted, first.moved) == (None, True, False, [])
    same = references.settle("run-2", sample(0.6), CONFIG)
    assert (same.baseline, same.published) == ("run-1", True) and not any(each.found for each in same.moved)
    with pytest.raises(DriftFound, match=r"similarity moved from 0\.6.* to 0\.4.*drift.accept=true") as refused:
        references.settle("run-3", sample(0.4), CONFIG)
    assert "vectors" not in refused.value.reason and refused.value.subject == CONFIG.reference
    assert json.loads(objects.get(bucket, "out/runs/run-3/drift.json"))["published"] is False
    with pytest.raises(DriftFound):  # still: what was refused is no baseline
        references.settle("run-4", sample(0.4), CONFIG)
    accepted = references.settle("run-5", sample(0.4), ACCEPT)
    assert accepted.accepted and accepted.published
    assert references.settle("run-6", sample(0.4), CONFIG).baseline == "run-5"
    assert references.settle("run-7", sample(0.3), CONFIG.model_copy(update={"bound": 1.0})).published
    other = CONFIG.model_copy(update={"reference": "s3://archive/another"})
    assert references.settle("run-8", sample(0.1), other).baseline is None


def test_a_forgotten_or_broken_baseline(objects: ObjectStore, bucket: str) -> None:
    references = References(objects, bucket, "")
    references.settle("run-1", sample(0.6), CONFIG)
    objects.delete(bucket, "runs/run-1/reference.parquet")
    assert references.settle("run-2", sample(0.1), CONFIG).baseline is None
    objects.put(bucket, "runs/run-2/reference.parquet", b"broken")
    with pytest.raises(StorageError, match="Delete it: the next run is the baseline then"):
        references.settle("run-3", sample(0.1), CONFIG)


def test_a_sample_has_the_scenes_with_pictures(objects: ObjectStore, bucket: str) -> None:
    lake = Lake(objects.settings, f"s3://{bucket}/reference")
    with pytest.raises(ConfigError, match="no scene of its recordings gets a picture"):
        sampled(lake)
    scenes = [rows.scene("a", index) for index in range(3)]
    lake.scenes.merge([row(each) for each in (*scenes, rows.scene("a", 3, status="skipped", reason="silence"))])
    lake.images.merge([row(rows.image(scenes[1], similarity=0.25))])
    made = sampled(lake)
    assert made.names == ("id-a-0", "id-a-10000", "id-a-20000")
    assert np.isnan(made.similarity).tolist() == [True, False, True] and made.similarity[1] == 0.25
