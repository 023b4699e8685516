"""The scenes that are to be drawn, as a data source for Ray Data that reads them when they are needed.

A scene's embedding takes some kilobytes; those of a whole archive do not fit into a cluster's memory. So what is handed
out is a list of data files with the ids wanted from each, and the rows are read file by file while others are drawn;
Ray Data reads no further ahead than its share of the object store's memory allows. If there are only a few scenes, the
driver reads them itself, at once: a reading process would take longer to start than to read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from ray.data import Dataset, from_arrow, read_datasource
from ray.data.block import BlockMetadata
from ray.data.datasource import Datasource, ReadTask

from cluster.jobs import rows
from s2i_core.storage.tables import LakeTable

_READERS = 4
_FEW = 1_000
"""Scenes that the driver reads itself; with their tokens they take some tens of megabytes."""
_FULL = 0.9

Files = Sequence[tuple[str, pa.Array]]
"""Paths of data files of `scenes`, and the scene ids that are wanted from each."""


def dataset(scenes: LakeTable, files: Files, rows_per_block: int) -> Dataset:
    """The rows (`rows.PLANNED`) in blocks of `rows_per_block`; unless they are few, read when the dataset runs."""
    if sum(len(ids) for _, ids in files) <= _FEW:
        blocks = [block for path, ids in files for block in _reader(scenes, path, ids, rows_per_block)()]
        return from_arrow(blocks or rows.PLANNED.empty_table())
    return read_datasource(
        _Scenes(scenes, files, rows_per_block),
        # Readers mostly wait for the store, and must find a place beside pools that take all CPUs.
        num_cpus=0,
        concurrency=_READERS,
        override_num_blocks=len(files),
    )


def block_bytes(scenes: LakeTable, files: Files, rows_per_block: int) -> int:
    """Size of such a block in bytes, by which Ray Data shapes blocks."""
    for batch in scenes.file_batches(files[0][0], rows.PLANNED.names):
        if batch.num_rows:
            first = pa.table(batch.slice(0, 1)).take([0])
            return max(1, int(_FULL * rows_per_block * first.nbytes))
    return 1


class _Scenes(Datasource):  # type: ignore[misc]
    def __init__(self, scenes: LakeTable, files: Files, rows_per_block: int) -> None:
        super().__init__()
        self._scenes = scenes
        self._files = files
        self._rows = rows_per_block

    def estimate_inmemory_data_size(self) -> int | None:
        return None

    def get_read_tasks(self, parallelism: int, per_task_row_limit: int | None = None, **_: Any) -> list[ReadTask]:
        return [
            ReadTask(
                _reader(self._scenes, path, ids, self._rows),
                BlockMetadata(num_rows=len(ids), size_bytes=None, input_files=None, exec_stats=None),
                schema=rows.PLANNED,
            )
            for path, ids in self._files
        ]


def _reader(scenes: LakeTable, path: str, ids: pa.Array, size: int) -> Callable[[], Iterable[pa.Table]]:
    def read() -> Iterator[pa.Table]:
        wanted = pc.field("scene_id").isin(ids)
        rest = rows.PLANNED.empty_table()
        for batch in scenes.file_batches(path, rows.PLANNED.names, wanted):
            rest = pa.concat_tables([rest, pa.table(batch)])
            while rest.num_rows >= size:
                # A copy: a slice would keep the whole batch in memory.
                yield rest.slice(0, size).take(list(range(size)))
                rest = rest.slice(size)
        if rest.num_rows:
            yield rest.take(list(range(rest.num_rows)))

    return read
