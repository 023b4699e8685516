"""The lake tables: Delta on S3, with atomic commits and no lock or catalog service.

A commit is one conditional put of a numbered log entry. All of our commits carry the same application transaction id,
and Delta refuses a commit if another one with this id came in between; so a writer that was overtaken looks at the
table again before it retries, and no number of writers loses or duplicates rows. Reference: the Delta
Lake transaction protocol, "Transaction Identifiers" and "Writer requirements".
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import re
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import boto3
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake import Schema as DeltaSchema
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from deltalake.transaction import AddAction, RemoveAction

from s2i_core import identity, tracing
from s2i_core.errors import ObjectArchived, S2IError, StorageError, StorageUnavailable
from s2i_core.identity import Digests
from s2i_core.network import trouble
from s2i_core.records import EDITS, FAILURES, IMAGES, RECORDINGS, SCENES, THINGS, AudioObject, Status
from s2i_core.storage.objects import LOGIN_REMEDY, ObjectStore, S3Settings
from s2i_core.storage.places import destination, parse_uri

Rows: TypeAlias = Sequence[Mapping[str, Any]] | pa.Table

APPLICATION = "s2i"
_LONGEST_WORDS = 300
#: A dummy proxy and what bypasses it, which is everything: for this client `*` covers names, but not addresses.
_DIRECTLY = {"proxy_url": "http://127.0.0.1:9", "proxy_excludes": "*,0.0.0.0/0,::/0"}
_NO_ANSWER = ("error sending request", "HTTP error", "client error", "operation timed out", "error decoding response")
_COMMIT_ATTEMPTS = 60
_PAUSE_S = 0.4
_ARCHIVED = "it is in Glacier"
_KEY_SEPARATOR = "\0"
_SMALL_FILE_BYTES = 16 << 20
_FILE_BATCH_ROWS = 1024
_CONFIGURATION = {"delta.checkpointInterval": "20"}
_RETRIES_AN_ATTEMPT = 20 / 9
_PATIENCE = {"backoff_config.init_backoff": "250ms", "backoff_config.max_backoff": "10s"}


class LakeTable:
    """A Delta table whose rows have a unique key.

    It need not exist: then reading gives no rows, and the first write creates it. Threads may share one, and it can be
    pickled.

    Args:
        settings: the object store; the login comes from boto's standard chain.
        uri: `s3://bucket/prefix` of the table.
        schema: Arrow schema of the rows.
        keys: columns that make a row unique; they are never null.
        objects: the same store, to share its client; by default one of its own.
    """

    def __init__(
        self,
        settings: S3Settings,
        uri: str,
        schema: pa.Schema,
        keys: tuple[str, ...],
        objects: ObjectStore | None = None,
    ) -> None:
        self.settings = settings
        self.uri = uri
        self.schema = schema
        self.key_columns = keys
        self._lock = threading.RLock()
        self._process = os.getpid()
        self._objects = objects or ObjectStore(settings)
        self._session: Any = None
        self._table: DeltaTable | None = None
        self._options: dict[str, str] = {}
        self._known = _KnownKeys.none()

    def __getstate__(self) -> tuple[S3Settings, str, pa.Schema, tuple[str, ...]]:
        return self.settings, self.uri, self.schema, self.key_columns

    def __setstate__(self, state: tuple[S3Settings, str, pa.Schema, tuple[str, ...]]) -> None:
        self.__init__(*state)  # type: ignore[misc]

    def __repr__(self) -> str:
        return f"LakeTable({self.uri})"

    def exists(self) -> bool:
        """Whether anything has ever been written."""
        return self._open() is not None

    def delta(self) -> DeltaTable | None:
        """The Delta table in its current version, for what is done to more than rows; None if there is none."""
        return self._open()

    def create(self) -> DeltaTable:
        """The Delta table, made if it is not there."""
        return self._open() or self._create()

    def version(self) -> int:
        """Number of the newest commit; -1 if nothing was ever written."""
        table = self._open()
        return -1 if table is None else int(table.version())

    def count(self) -> int:
        """Number of rows, from the log alone."""
        table = self._open()
        return 0 if table is None else int(table.count())

    def files(self) -> int:
        """Number of data files of the current version."""
        table = self._open()
        return 0 if table is None else len(table.file_uris())

    def dataset(self) -> pads.Dataset | None:
        """The current version as an Arrow dataset for streaming reads; None if nothing was ever written."""
        table = self._open()
        with self._errors():
            # Rows written before a column was added have nulls in it.
            return None if table is None else table.to_pyarrow_dataset().replace_schema(self.schema)

    def read(self, columns: Sequence[str] | None = None, filter: pc.Expression | None = None) -> pa.Table:
        """The rows of the current version; only the requested columns are fetched."""
        return pa.Table.from_batches(self.batches(columns, filter), schema=self.schema_of(columns))

    def batches(
        self, columns: Sequence[str] | None = None, filter: pc.Expression | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Like `read`, batch by batch in bounded memory."""
        dataset = self.dataset()
        if dataset is None:
            return
        with self._errors():
            schema = self.schema_of(columns)
            for batch in dataset.to_batches(columns=schema.names, filter=filter):
                yield batch.cast(schema)

    def merge(self, rows: Rows) -> int:
        """Insert the rows whose key is not in the table yet; among rows with the same key, the first counts.

        Doing it again changes nothing. Returns the number of rows that this call inserted, in one commit.

        Raises:
            StorageError: the bucket, the login or a right is lacking; or the table has other columns.
            StorageUnavailable: the store does not answer, or other writers were faster every time.
        """
        batch = _distinct(self._arrow(rows), self.key_columns, keep="first")
        return self._commit(batch, replace=False)

    def upsert(self, rows: Rows) -> int:
        """Insert the rows, replacing those with the same key; among rows with the same key, the last counts.

        Returns the number of rows inserted or replaced, in one commit. Raises as `merge` does.
        """
        batch = _distinct(self._arrow(rows), self.key_columns, keep="last")
        return self._commit(batch, replace=True)

    def file_batches(
        self, path: str, columns: Sequence[str], filter: pc.Expression | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Rows of one data file, batch by batch; `path` as in the fragments of `dataset`.

        A file that has been joined into another since can still be read for a week.
        """
        dataset = self.dataset()
        if dataset is None:
            return
        with self._errors():
            schema = self.schema_of(columns)
            fragment = dataset.format.make_fragment(path, filesystem=dataset.filesystem)
            file = pads.FileSystemDataset([fragment], dataset.schema, dataset.format, dataset.filesystem)
            # Small batches and no read-ahead: rows with embeddings are large.
            some = {"batch_size": _FILE_BATCH_ROWS, "batch_readahead": 1, "fragment_readahead": 1}
            for batch in file.to_batches(columns=schema.names, filter=filter, **some):
                yield batch.cast(schema)

    def tidy(self, files: int) -> bool:
        """`compact` if the table has at least this many small files; returns whether it did."""
        table = self._open()
        if table is None:
            return False
        sizes = pa.table(table.get_add_actions(flatten=True))["size_bytes"]
        if pc.sum(pc.less(sizes, _SMALL_FILE_BYTES)).as_py() < files:
            return False
        self.compact()
        return True

    def compact(self) -> None:
        """Join small files into large ones, and delete files that no version of the last week needs."""
        for pause_s in _pauses():
            table = self._open()
            if table is None:
                return
            try:
                with self._lock, self._errors():
                    table.optimize.compact()
                    table.vacuum(dry_run=False)
                return
            except CommitFailedError:  # someone replaced rows meanwhile
                time.sleep(pause_s)
        raise self._overtaken()

    def _commit(self, batch: pa.Table, *, replace: bool) -> int:
        if batch.num_rows == 0:
            return 0
        with tracing.span("table commit", {"s2i.table": self.uri, "s2i.rows": batch.num_rows}):
            for pause_s in _pauses():
                try:
                    with self._lock, self._errors():
                        table = self._open() or self._create()
                        self._add_new_columns(table)
                        return self._commit_once(table, batch, replace)
                except CommitFailedError:
                    time.sleep(pause_s)
            raise self._overtaken()

    def _add_new_columns(self, table: DeltaTable) -> None:
        """Adds columns that an older version of s2i did not write; they are null in its rows."""
        there = {field.name for field in table.schema().fields}
        new = [field for field in self.schema if field.name not in there]
        if new:
            table.alter.add_columns(DeltaSchema.from_arrow(pa.schema(new)).fields)

    def _commit_once(self, table: DeltaTable, batch: pa.Table, replace: bool) -> int:
        present = self._present(table, batch)
        properties = CommitProperties(
            app_transactions=[Transaction(APPLICATION, table.version() + 1)], max_commit_retries=10
        )
        if replace and pc.any(present).as_py():
            self._replace(table, batch, properties)
            return int(batch.num_rows)
        fresh = batch.filter(pc.invert(present))
        if fresh.num_rows:
            write_deltalake(table, fresh, mode="append", commit_properties=properties)
        return int(fresh.num_rows)

    def _replace(self, table: DeltaTable, batch: pa.Table, properties: CommitProperties) -> None:
        """Write the batch, and the other rows of the files that hold its keys, as one new file in place of those.

        The library's own merge writes `string_view` columns, on which pyarrow and DuckDB cannot filter.
        """
        wanted = _joined(batch, self.key_columns).combine_chunks()
        kept, replaced = [batch], []
        for fragment in table.to_pyarrow_dataset().get_fragments():
            hit = pc.is_in(
                _joined(fragment.to_table(columns=list(self.key_columns)), self.key_columns), value_set=wanted
            )
            if pc.any(hit).as_py():
                rows_there = fragment.to_table(schema=self.schema)
                kept.append(rows_there.filter(pc.invert(hit)).cast(self.schema))
                replaced.append(fragment.path)
        rows = pa.concat_tables(kept)
        buffer = io.BytesIO()
        pq.write_table(rows, buffer, compression="zstd")
        name, now_ms = f"part-{uuid.uuid4()}.parquet", time.time_ns() // 1_000_000
        bucket, prefix = parse_uri(self.uri)
        self._objects.put(bucket, f"{prefix.rstrip('/')}/{name}", buffer.getvalue())
        stats = json.dumps({"numRecords": rows.num_rows})
        table.create_write_transaction(
            [
                AddAction(name, buffer.getbuffer().nbytes, {}, now_ms, True, stats),
                *(RemoveAction(path=path, data_change=True, deletion_timestamp=now_ms) for path in replaced),
            ],
            mode="append",
            schema=table.schema(),
            commit_properties=properties,
        )

    def _present(self, table: DeltaTable, batch: pa.Table) -> pa.Array:
        """Which rows of the batch have their key in the table `(rows,)`; only reads files that it has not seen yet."""
        dataset = table.to_pyarrow_dataset()
        fragments = {fragment.path: fragment for fragment in dataset.get_fragments()}
        # If a file is gone, rows may have been deleted: then what is known about its keys no longer holds.
        known = self._known if self._known.files <= fragments.keys() else _KnownKeys.none()
        new = [fragment for path, fragment in fragments.items() if path not in known.files]
        if new:
            added = pads.FileSystemDataset(new, dataset.schema, dataset.format, dataset.filesystem)
            keys = _joined(added.to_table(columns=list(self.key_columns)), self.key_columns)
            chunks = [*known.keys.chunks, *keys.chunks]
            if len(chunks) > 256:
                chunks = [pa.concat_arrays(chunks)]
            known = _KnownKeys(frozenset(fragments), pa.chunked_array(chunks, pa.string()))
        self._known = known
        wanted = _joined(batch, self.key_columns)
        # The small side becomes the hash table; the large one is only scanned.
        found = known.keys.filter(pc.is_in(known.keys, value_set=wanted.combine_chunks()))
        return pc.is_in(wanted, value_set=found.combine_chunks())

    def _open(self) -> DeltaTable | None:
        """The table in its current version, or None."""
        with self._lock, self._errors():
            if self._process != os.getpid():  # forked: the parent's connections are not ours
                self._process, self._session, self._table = os.getpid(), None, None
            options = self._storage_options()
            if self._table is not None and options == self._options:
                self._table.update_incremental()
                return self._table
            if self._table is None:  # the first time, so that a wrong setting shows at once, before patient retries
                self._check()
            try:
                table = DeltaTable(self.uri, storage_options=options)
            except TableNotFoundError:
                return None
            self._check_schema(table)
            self._table, self._options = table, options
            return table

    def _create(self) -> DeltaTable:
        DeltaTable.create(
            self.uri, self.schema, mode="ignore", configuration=_CONFIGURATION, storage_options=self._storage_options()
        )
        table = self._open()
        if table is None:
            raise StorageError(self.uri, "the table was made and is not there", "See whether something deletes it.")
        return table

    def _storage_options(self) -> dict[str, str]:
        if self._session is None:
            self._session = boto3.session.Session()
        credentials = self._session.get_credentials()
        if credentials is None:
            raise StorageError(self.uri, "no login for the object store was found", LOGIN_REMEDY)
        login = credentials.get_frozen_credentials()  # renewed by boto when they expire
        options = {
            "AWS_ACCESS_KEY_ID": login.access_key,
            "AWS_SECRET_ACCESS_KEY": login.secret_key,
            "AWS_REGION": self.settings.region,
            "AWS_CONDITIONAL_PUT": "etag",
            **_PATIENCE,
            "max_retries": str(round(_RETRIES_AN_ATTEMPT * self.settings.max_attempts)),
        }
        if login.token:
            options["AWS_SESSION_TOKEN"] = login.token
        if self.settings.endpoint_url is not None:
            options["AWS_ENDPOINT_URL"] = self.settings.endpoint_url
            # S3Settings lets plain HTTP through for loopback, or where the owner said so.
            options["AWS_ALLOW_HTTP"] = str(self.settings.endpoint_url.startswith("http://")).lower()
        proxy = self.settings.proxy
        # Always set: this client would look for itself, and use a proxy even for loopback.
        return options | ({"proxy_url": proxy} if proxy else _DIRECTLY)

    def _check_schema(self, table: DeltaTable) -> None:
        there = pa.schema(table.schema().to_arrow())
        known = {
            field.name
            for field in there
            if field.name in self.schema.names and field.equals(self.schema.field(field.name))
        }
        differing = sorted(set(there.names) - known)
        differing += sorted(set(self.key_columns) - set(there.names))
        if differing:
            raise StorageError(
                self.uri,
                f"the table was written by another version of s2i: its columns differ in {', '.join(differing)}",
                "Use another destination, or move this one away.",
            )

    def located(self, columns: Sequence[str], filter: pc.Expression | None = None) -> pa.Table:
        """The rows, with the `path` of the data file that each is in."""
        schema = self.schema_of(columns)
        dataset = self.dataset()
        if dataset is None:
            return schema.append(pa.field("path", pa.string())).empty_table()
        with self._errors():
            table = dataset.to_table(columns=[*columns, "__filename"], filter=filter)
        return table.rename_columns([*columns, "path"]).cast(schema.append(pa.field("path", pa.string())))

    def schema_of(self, columns: Sequence[str] | None) -> pa.Schema:
        """The schema of these columns; of all if none are named."""
        return self.schema if columns is None else pa.schema([self.schema.field(name) for name in columns])

    def _arrow(self, rows: Rows) -> pa.Table:
        table = (
            rows.select(self.schema.names)
            if isinstance(rows, pa.Table)
            else pa.Table.from_pylist(list(rows), schema=self.schema)
        )
        table = table.cast(self.schema)
        for key in self.key_columns:
            if table[key].null_count:
                raise ValueError(f"{self.uri}: key column {key} has nulls")
        return table

    def _check(self) -> None:
        bucket, prefix = parse_uri(self.uri)
        self._objects.check_readable(bucket, prefix)

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        """Turns the table library's errors into ours; a lost race (`CommitFailedError`) passes, to be tried again."""
        try:
            yield
        except (CommitFailedError, S2IError):
            raise
        except (OSError, DeltaError) as error:
            # The library is unclear about a missing bucket or a bad login: ask the store itself.
            self._check()
            text = " ".join(re.sub(r"\x1b\[\d+m|↳", "", str(error)).split())
            raise _told(text, self.uri, self.settings) from error

    def _overtaken(self) -> StorageUnavailable:
        return StorageUnavailable(
            self.uri,
            f"{_COMMIT_ATTEMPTS} commits were overtaken by other writers",
            "Run fewer jobs at once on this destination, or commit more rows at a time.",
        )


def planned(digests: Digests) -> pc.Expression:
    """Which rows of `recordings` and `scenes` were made with these settings and this encoder."""
    return (pc.field("plan_digest") == digests.plan) & (pc.field("model_digest") == digests.encoder)


def drawn(digests: Digests) -> pc.Expression:
    """Which rows of `images` were made with these settings and this decoder."""
    return (pc.field("image_digest") == digests.image) & (pc.field("model_digest") == digests.decoder)


@dataclass(frozen=True)
class AsEdited:
    """What is shown of scenes.

    Attributes:
        drawn: rows of `images` of scenes that no editor has decided of.
        chosen: those that editors chose.
        left_out: ids of the scenes that they left out.
    """

    drawn: pa.Table
    chosen: pa.Table
    left_out: frozenset[str]


class Lake:
    """The tables of a destination, `tables/<name>/` under its prefix."""

    def __init__(self, settings: S3Settings, uri: str) -> None:
        self.settings = settings
        self.uri = destination(uri).uri.rstrip("/")
        self._objects = ObjectStore(settings)  # one client for all tables, as making one takes long
        self.recordings = self._table("recordings", RECORDINGS, "source_uri", "etag", "model_digest", "plan_digest")
        self.scenes = self._table("scenes", SCENES, "scene_id")
        self.things = self._table("things", THINGS, "thing_id")
        self.images = self._table("images", IMAGES, "image_id")
        self.edits = self._table("edits", EDITS, "edit_id")
        self.failures = self._table("failures", FAILURES, "subject", "stage", "run_id")

    def compact(self) -> dict[str, tuple[int, int]]:
        """`LakeTable.compact` for every table; returns the number of files of each, before and after."""
        files: dict[str, tuple[int, int]] = {}
        for name, table in self.tables.items():
            before = table.files()
            table.compact()
            files[name] = (before, table.files())
        return files

    @property
    def tables(self) -> dict[str, LakeTable]:
        """The tables by name."""
        return {
            "recordings": self.recordings,
            "scenes": self.scenes,
            "things": self.things,
            "images": self.images,
            "edits": self.edits,
            "failures": self.failures,
        }

    def unplanned(
        self, objects: Iterable[AudioObject], digests: Digests, *, retry_failed: bool = False
    ) -> list[AudioObject]:
        """The objects that still have to be planned: those never tried in their order, then those that failed before.

        An object counts as planned if it has an outcome for this etag, these plan settings and this encoder: ok,
        skipped, or failed for good. A failed row that is retryable does not count, with `retry_failed` no failed row
        does. What was found archived, and still is by the listing of AWS, which knows what was restored, is left alone.
        """
        again = pc.field("status") == Status.FAILED.value
        if not retry_failed:
            again = again & pc.field("retryable")
        mine = planned(digests)
        done, failed = self._known(mine & ~again), self._known(mine & again)
        waits = (
            self._known(mine & again & pc.starts_with(pc.field("reason"), _ARCHIVED)) if self.settings.on_aws else set()
        )
        fresh: list[AudioObject] = []
        tried: list[AudioObject] = []
        for item in objects:
            known = item.uri, item.etag
            if known not in done and not (item.archived and known in waits):
                (tried if known in failed else fresh).append(item)
        return fresh + tried

    def _known(self, rows: pc.Expression) -> set[tuple[str, str]]:
        """URI and etag of the objects that have such a row in `recordings`."""
        found: set[tuple[str, str]] = set()
        for batch in self.recordings.batches(["source_uri", "etag"], rows):
            found.update(zip(batch["source_uri"].to_pylist(), batch["etag"].to_pylist(), strict=True))
        return found

    def unillustrated(
        self, digests: Digests, columns: Sequence[str] | None = None, *, retry_failed: bool = False
    ) -> pa.Table:
        """The rows of `scenes` with status `ok` that have no image with these image settings and this decoder.

        Scenes whose image failed for good are left out, unless `retry_failed` asks for them; and those of which an
        editor has chosen a picture or none.

        Args:
            columns: columns wanted; all of them by default. Without the wide ones (`pooled`, `focus_pooled`,
                `focus_tokens`) a million rows fit in little memory.
        """
        scenes = self._wanted(digests)
        narrow = self.scenes.read(["scene_id"], scenes)
        pending = self._without_image(narrow, digests, retry_failed)["scene_id"]
        if len(pending) == 0:
            return self.scenes.schema_of(columns).empty_table()
        if len(pending) < narrow.num_rows:
            scenes = scenes & pc.field("scene_id").isin(pending.combine_chunks())
        return self.scenes.read(columns, scenes)

    def unillustrated_files(self, digests: Digests, *, retry_failed: bool = False) -> list[tuple[str, pa.Table]]:
        """Like `unillustrated`, per data file: path (for `LakeTable.file_batches`), `scene_id` and `recording_id`."""
        scenes = self._wanted(digests)
        where = self.scenes.located(["scene_id", "recording_id"], scenes)
        pending = self._without_image(where, digests, retry_failed)
        pending = pending.sort_by("path")
        ends = pc.run_end_encode(pending["path"].combine_chunks())
        starts = [0, *ends.run_ends.to_pylist()]
        narrow = pending.drop_columns("path")
        return [
            (path, narrow.slice(start, end - start))
            for path, start, end in zip(ends.values.to_pylist(), starts, starts[1:], strict=False)
        ]

    def decisions(self, rows: pc.Expression | None = None) -> pa.Table:
        """The last row of `edits` of each scene that an editor has something decided of, of those that are asked for.

        Scenes whose edits were all taken back are left out.
        """
        last = self.edits.read(filter=rows).sort_by([("created_at", "ascending"), ("edit_id", "ascending")])
        last = _distinct(last, ("scene_id",), keep="last")
        return last.filter(pc.or_(last["rejected"], last["image_id"].is_valid()))

    def as_edited(self, columns: Sequence[str], rows: pc.Expression, recording_id: str | None = None) -> AsEdited:
        """Pictures as editors left them.

        Args:
            columns: of `images`, `scene_id` among them.
            rows: which of `images` are shown where no editor has decided.
            recording_id: of this recording alone.
        """
        mine = None if recording_id is None else pc.field("recording_id") == recording_id
        decided = self.decisions(mine)
        images = self.images.read(columns, rows if mine is None else rows & mine)
        if not decided.num_rows:
            return AsEdited(images, images.slice(0, 0), frozenset())
        images = images.filter(pc.invert(pc.is_in(images["scene_id"], value_set=decided["scene_id"].combine_chunks())))
        chosen = pc.field("image_id").isin(decided["image_id"].drop_null().combine_chunks())
        left_out = decided.filter(decided["rejected"])["scene_id"].to_pylist()
        return AsEdited(images, self.images.read(columns, chosen), frozenset(left_out))

    def failed_runs(self) -> Counter[str]:
        """In how many runs each subject has failed; runs in which it lay in an archive do not count."""
        others = pc.field("error") != ObjectArchived.__name__
        return Counter(self.failures.read(["subject"], others)["subject"].to_pylist())

    def _wanted(self, digests: Digests) -> pc.Expression:
        """Which rows of `scenes` get an image."""
        return planned(digests) & (pc.field("status") == Status.OK.value)

    def _without_image(self, scenes: pa.Table, digests: Digests, retry_failed: bool) -> pa.Table:
        """Those of the given rows (with a `scene_id`) that have no image, did not fail for good and are no editor's."""
        done = self.images.read(["scene_id"], drawn(digests))["scene_id"].combine_chunks()
        pending = scenes.filter(pc.invert(pc.is_in(scenes["scene_id"], value_set=done)))
        if pending.num_rows:
            decided = self.decisions()["scene_id"].combine_chunks()
            pending = pending.filter(pc.invert(pc.is_in(pending["scene_id"], value_set=decided)))
        if retry_failed or not pending.num_rows:
            return pending
        final = self._given_up(digests)
        return pending.filter(pc.invert(pc.is_in(pending["scene_id"], value_set=final)))

    def given_up(self, digests: Digests) -> pa.Table:
        """`scene_id` and `recording_id` of the scenes without an image whose image failed for good."""
        scenes = self.scenes.read(["scene_id", "recording_id"], self._wanted(digests))
        pending = self._without_image(scenes, digests, retry_failed=True)
        if not pending.num_rows:
            return pending
        final = self._given_up(digests)
        return pending.filter(pc.is_in(pending["scene_id"], value_set=final))

    def _given_up(self, digests: Digests) -> pa.Array:
        """Ids of the scenes whose image has ever failed for good."""
        final = self.failures.read(["subject", "scene_id"], pc.field("scene_id").is_valid() & ~pc.field("retryable"))
        given_up = [
            scene
            for subject, scene in zip(final["subject"].to_pylist(), final["scene_id"].to_pylist(), strict=True)
            if subject == identity.image_id(scene, digests.decoder, digests.image)
        ]
        return pa.array(given_up, pa.string())

    def _table(self, name: str, schema: pa.Schema, *keys: str) -> LakeTable:
        return LakeTable(self.settings, f"{self.uri}/tables/{name}", schema, keys, self._objects)


@dataclass(frozen=True)
class _KnownKeys:
    """The keys in the data files seen so far, each joined into one string."""

    files: frozenset[str]
    keys: pa.ChunkedArray

    @classmethod
    def none(cls) -> _KnownKeys:
        return cls(frozenset(), pa.chunked_array([], pa.string()))


def _told(text: str, uri: str, settings: S3Settings) -> StorageError:
    """The error for a message of the table library: about the way to the store, the store's answer, or the table."""
    if (found := trouble(text, settings.url)) is not None:
        kind = StorageUnavailable if found.passes else StorageError
        reason = f"the client of the tables cannot ask the object store at {settings.place}: {found.reason}"
        return kind(uri, reason, found.remedy)
    answered = re.search(r"non-2xx status code (\d{3})", text)
    status = int(answered.group(1)) if answered else 0
    words = " ".join(re.findall(r"<(?:Code|Message)>(.*?)</", text)) or text[-_LONGEST_WORDS:]
    if 400 <= status < 500 and status not in {404, 408, 412, 429}:
        remedy = "Give this login the right to list, read, write and delete under this prefix."
        return StorageError(uri, f"{settings.way} refused the tables' client ({status} {words})", remedy)
    if status in {408, 429} or status >= 500:
        return StorageUnavailable(uri, f"{settings.way} is overloaded or ill ({status} {words})", "Run again later.")
    if not status and any(each in text for each in _NO_ANSWER):
        return StorageUnavailable(
            uri, f"{settings.way} does not answer the tables' client ({words})", "See that it is up, and run again."
        )
    return StorageUnavailable(
        uri,
        f"the table cannot be read or written ({text[:_LONGEST_WORDS]})",
        "Run again; if it stays so, see whether files under this prefix were deleted by hand.",
    )


def _distinct(table: pa.Table, keys: Sequence[str], keep: Literal["first", "last"]) -> pa.Table:
    """The table with one row per key, in the order of the rows."""
    numbered = table.select(list(keys)).append_column("row", pa.array(range(table.num_rows), pa.int64()))
    chosen = numbered.group_by(list(keys)).aggregate([("row", "min" if keep == "first" else "max")]).columns[-1]
    return table.take(chosen.take(pc.sort_indices(chosen)))


def _joined(table: pa.Table, keys: Sequence[str]) -> pa.ChunkedArray:
    """The key columns as one column of strings `(rows,)`."""
    if len(keys) == 1:
        return table[keys[0]]
    return pc.binary_join_element_wise(*(table[key] for key in keys), _KEY_SEPARATOR)


def _pauses() -> Iterator[float]:
    """Growing pauses with jitter between tries, as many as tries."""
    for attempt in range(_COMMIT_ATTEMPTS):
        yield random.uniform(0, min(_PAUSE_S, 0.02 * 2**attempt))
