"""What runs make of the same reference recordings: kept by run, and compared with a baseline.

Under `runs/<run_id>/` of the destination lie `reference.parquet`, a row for each scene of the reference, and
`drift.json`, what was found; `runs/baseline.json` names the run that the others are compared with.
"""

from __future__ import annotations

import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from s2i_core.analysis.drift import Sample, moved
from s2i_core.analysis.report.figures import DRIFT_FILE, Reference
from s2i_core.config import DriftConfig
from s2i_core.errors import ConfigError, ObjectGone, S2IError, StorageError
from s2i_core.records import Status, now
from s2i_core.storage.artifacts import join, run_key
from s2i_core.storage.objects import ObjectStore
from s2i_core.storage.tables import Lake

_BASELINE = "runs/baseline.json"
_SAMPLE = "reference.parquet"


class DriftFound(S2IError):
    """The reference recordings come out otherwise than before; nothing was made or published."""


def sampled(lake: Lake) -> Sample:
    """What a lake says of the scenes that get a picture, each named by its recording and start.

    Raises:
        ConfigError: there is none.
    """
    columns = ["scene_id", "recording_id", "start_s", "pooled", "confidence"]
    scenes = lake.scenes.read(columns, pc.field("status") == Status.OK.value)
    scenes = scenes.sort_by([("recording_id", "ascending"), ("start_s", "ascending")]).to_pylist()
    if not scenes:
        remedy = "Give recordings in which things are named that can be drawn."
        raise ConfigError("drift.reference", "no scene of its recordings gets a picture", remedy)
    images = lake.images.read(["scene_id", "similarity"]).to_pylist()
    similarity = {image["scene_id"]: image["similarity"] for image in images}
    return Sample(
        np.array([scene["pooled"] for scene in scenes], np.float32),
        np.array([scene["confidence"] for scene in scenes], np.float64),
        np.array([similarity.get(scene["scene_id"], np.nan) for scene in scenes], np.float64),
        tuple(f"{scene['recording_id']}-{round(1000 * scene['start_s'])}" for scene in scenes),
    )


class References:
    """What the runs of a destination made of its reference recordings.

    Args:
        store: the object store.
        bucket, prefix: of the destination.
    """

    def __init__(self, store: ObjectStore, bucket: str, prefix: str) -> None:
        self._store = store
        self._bucket = bucket
        self._prefix = prefix

    def settle(self, run_id: str, sample: Sample, config: DriftConfig) -> Reference:
        """Compare what a run made with the baseline, and write both down.

        The first run is the baseline, as is one that is accepted.

        Raises:
            DriftFound: it is past the bound, and not accepted.
        """
        baseline, before = self._baseline(config.reference)
        found = [] if before is None else moved(before, sample)
        past = [each for each in found if each.found and each.amount > config.bound]
        published = not past or config.accept
        accepted = config.accept and baseline is not None
        at = now().isoformat(timespec="seconds")
        reference = Reference(run_id, at, baseline, len(sample), found, config.bound, published, accepted)
        self._put(run_key(run_id, _SAMPLE), _parquet(sample), "application/vnd.apache.parquet")
        self._put(run_key(run_id, DRIFT_FILE), json.dumps(reference.plain(), indent=1).encode(), "application/json")
        if baseline is None or config.accept:
            facts = {"run_id": run_id, "reference": config.reference}
            self._put(_BASELINE, json.dumps(facts).encode(), "application/json")
        if not published:
            raise DriftFound(
                config.reference,
                f"{', '.join(each.described() for each in past)}; the bound is {config.bound:g}, measured from the run "
                f"{baseline}, and nothing was made or published",
                "Look at `s2i report`, and mend the cause. If it is wanted, as after a change of the model, run once "
                "with --set drift.accept=true: what this one makes is the baseline then.",
            )
        return reference

    def _baseline(self, reference: str) -> tuple[str | None, Sample | None]:
        """The run to compare with, and its sample; none where there is none of these recordings."""
        try:
            facts = json.loads(self._store.get(self._bucket, join(self._prefix, _BASELINE)))
            if facts["reference"] != reference:
                return None, None
            run_id = str(facts["run_id"])
            return run_id, _sample(self._store.get(self._bucket, join(self._prefix, run_key(run_id, _SAMPLE))))
        except ObjectGone:  # as after a reference recording was forgotten
            return None, None
        except (ValueError, KeyError, TypeError, pa.ArrowException) as error:
            raise StorageError(
                f"s3://{self._bucket}/{join(self._prefix, _BASELINE)}",
                f"it does not name a run whose reference can be read ({error})",
                "Delete it: the next run is the baseline then.",
            ) from error

    def _put(self, name: str, data: bytes, content_type: str) -> None:
        self._store.put(self._bucket, join(self._prefix, name), data, content_type)


def _parquet(sample: Sample) -> bytes:
    table = pa.table(
        {
            "name": list(sample.names),
            "vector": pa.array(list(np.asarray(sample.vectors, np.float32)), pa.list_(pa.float32())),
            "confidence": sample.confidence,
            "similarity": pa.array(sample.similarity, from_pandas=True),
        }
    )
    file = io.BytesIO()
    pq.write_table(table, file, compression="zstd")
    return file.getvalue()


def _sample(data: bytes) -> Sample:
    table = pq.read_table(io.BytesIO(data))
    similarity = [np.nan if value is None else value for value in table["similarity"].to_pylist()]
    return Sample(
        np.array(table["vector"].to_pylist(), np.float32),
        np.array(table["confidence"].to_pylist(), np.float64),
        np.array(similarity, np.float64),
        tuple(table["name"].to_pylist()),
    )
