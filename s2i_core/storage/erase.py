"""Rows that go for good: out of a table, out of its old versions, and out of its log.

Deleting rows of a Delta table writes new files and leaves the old ones to its history; `vacuum` removes those, and
leaves the log, which holds the least and the greatest id of each file, and the condition of the deletion. Here files
are written anew without a condition, and the log is cut off behind a checkpoint. Reference: "Metadata cleanup" and
"Checkpoints" of the Delta transaction protocol.
"""

from __future__ import annotations

import json
import re
import tempfile
import time
import uuid
from collections.abc import Collection, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import CommitProperties, Transaction
from deltalake.exceptions import CommitFailedError
from deltalake.transaction import AddAction, RemoveAction

from s2i_core.errors import StorageUnavailable
from s2i_core.storage.objects import ObjectStore
from s2i_core.storage.places import parse_uri
from s2i_core.storage.tables import APPLICATION, LakeTable

_ATTEMPTS = 20
_BATCH_ROWS = 1024
_LOG_ENTRY = re.compile(r"(\d{20})\.(?:json|crc|checkpoint\b.*|compacted\.json|[0-9a-f-]+\.json)$")


def rows_of(table: LakeTable, values: Mapping[str, Collection[str]]) -> int:
    """How many rows have one of these values, by column; columns that the table lacks are left out."""
    columns = [name for name in values if name in table.schema.names]
    return sum(int(pc.sum(_hits(batch, values)).as_py() or 0) for batch in table.batches(columns)) if columns else 0


def erase_rows(table: LakeTable, values: Mapping[str, Collection[str]], store: ObjectStore) -> int:
    """Write every data file that has such rows anew without them, in one commit; returns the number of rows.

    Args:
        table: of a destination.
        values: what rows to erase have, by column.
        store: where the table is.

    Raises:
        StorageError: the store refuses it.
        StorageUnavailable: other writers were faster every time.
    """
    columns = [name for name in values if name in table.schema.names]
    for attempt in range(_ATTEMPTS):
        delta, dataset = table.delta(), table.dataset()
        if delta is None or dataset is None or not columns:
            return 0
        adds: list[AddAction] = []
        removes: list[RemoveAction] = []
        erased, now_ms = 0, time.time_ns() // 1_000_000
        for fragment in dataset.get_fragments():
            narrow = fragment.to_table(schema=table.schema_of(columns))
            hits = int(pc.sum(_hits(narrow, values)).as_py() or 0)
            if hits:
                erased += hits
                removes.append(RemoveAction(path=fragment.path, data_change=True, deletion_timestamp=now_ms))
                if hits < narrow.num_rows:
                    adds.append(_rewritten(table, fragment, values, now_ms, store))
        if not erased:
            return 0
        properties = CommitProperties(app_transactions=[Transaction(APPLICATION, delta.version() + 1)])
        try:
            delta.create_write_transaction(
                [*adds, *removes], mode="append", schema=delta.schema(), commit_properties=properties
            )
            return erased
        except CommitFailedError:
            time.sleep(0.05 * (attempt + 1))
    raise StorageUnavailable(
        table.uri, f"{_ATTEMPTS} commits were overtaken by other writers", "Wait until no run is under way."
    )


def _rewritten(
    table: LakeTable,
    fragment: pa.dataset.Fragment,
    values: Mapping[str, Collection[str]],
    now_ms: int,
    store: ObjectStore,
) -> AddAction:
    """A new file with the other rows of a data file; no more is in memory than the new file, which is compressed."""
    name, rows = f"part-{uuid.uuid4()}.parquet", 0
    with tempfile.TemporaryDirectory(prefix="s2i-") as folder:
        path = Path(folder) / name
        with pq.ParquetWriter(path, table.schema, compression="zstd") as writer:
            for batch in fragment.to_batches(schema=table.schema, batch_size=_BATCH_ROWS, batch_readahead=1):
                kept = pa.Table.from_batches([batch]).filter(pc.invert(_hits(batch, values)))
                writer.write_table(kept.cast(table.schema))
                rows += kept.num_rows
        bucket, prefix = parse_uri(table.uri)
        store.put(bucket, f"{prefix.rstrip('/')}/{name}", path.read_bytes())
        return AddAction(name, path.stat().st_size, {}, now_ms, True, json.dumps({"numRecords": rows}))


def _hits(rows: pa.Table | pa.RecordBatch, values: Mapping[str, Collection[str]]) -> pa.Array:
    """Which rows have one of these values `(rows,)`."""
    hits = pa.array([False] * rows.num_rows)
    for name, wanted in values.items():
        if name in rows.schema.names:
            found = pc.is_in(rows[name], value_set=pa.array(sorted(wanted), pa.string()))
            hits = pc.or_(hits, found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found)
    return hits


def forget_history(table: LakeTable, store: ObjectStore) -> int:
    """Delete every data file and log entry that the current version does not need; returns how many.

    Whoever reads or writes an older version meanwhile fails.

    Raises:
        StorageError: the store refuses it.
    """
    delta = table.delta()
    if delta is None:
        return 0
    gone = len(delta.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False, full=True))
    delta = table.delta()
    assert delta is not None
    delta.create_checkpoint()
    bucket, prefix = parse_uri(table.uri)
    for item in list(store.list(bucket, f"{prefix.rstrip('/')}/_delta_log/")):
        entry = _LOG_ENTRY.search(item.key)
        if entry is not None and int(entry[1]) < delta.version():
            store.delete(bucket, item.key)
            gone += 1
    return gone
