"""What there is to do: found by comparing the archive with the tables, before anything heavy is started."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from flows.overview import Found, Totals, found, outcomes, totals
from s2i_core.config import changed
from s2i_core.listing import Listed, Listing
from s2i_core.options import counted
from s2i_core.pages import Pages
from s2i_core.presets import preset
from s2i_core.storage.artifacts import join
from s2i_core.storage.objects import ObjectStore, S3Settings
from s2i_core.storage.places import Place, keep_apart
from s2i_core.storage.tables import Lake, drawn, planned
from s2i_core.weights import digests, name_in_0_1

if TYPE_CHECKING:
    from s2i_core.packs.destinations import Bucket


@dataclass(frozen=True)
class Work:
    """What a run over an archive has to do.

    Attributes:
        unplanned: recordings without an outcome, at most `limit`.
        unillustrated: images that scenes still lack.
        pages: recordings whose page is missing or out of date.
        unchanged: recordings that have an outcome and keep it.
        packs: recordings whose pack is missing or out of date, if packs are wanted.
    """

    unplanned: int
    unillustrated: int
    pages: int
    unchanged: int = 0
    packs: int = 0

    @property
    def nothing(self) -> bool:
        """Whether there is nothing to do at all."""
        return not (self.unplanned or self.unillustrated or self.pages or self.packs)


class Archive:
    """A source, a destination, and the settings to get from one to the other: everything a run needs, checked.

    Args:
        source: the recordings: a folder or one object, as `s2i_core/storage/places.py` says.
        destination: the folder for the results.
        preset_name: name of the preset.
        checkpoint: folder of a saved pipeline; empty for the weights in the package.
        settings: single settings instead of the preset's, such as `{"image.style": "sketch"}`.

    Raises:
        ConfigError: an address is not that of a bucket, source and destination lie in each other, or
            there is no such preset or setting.
        ModelError: there is no such checkpoint.
    """

    def __init__(
        self,
        source: str,
        destination: str,
        preset_name: str = "cpu",
        checkpoint: str = "",
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self.place, written = keep_apart(source, destination)
        self.source = self.place.uri
        self.destination = written.uri.rstrip("/")
        self.target, self.target_prefix = written.bucket, written.name
        chosen = {"model.checkpoint": checkpoint} if checkpoint else {}
        self.config = changed(preset(preset_name), chosen | dict(settings or {}))
        self.digests = digests(self.config)
        self._variants = [replace(self.digests, image=each.image_digest) for each in self.config.each_variant()]
        self.store = ObjectStore(S3Settings.from_env())
        self.lake = Lake(self.store.settings, self.destination)
        if self.config.drift.reference:
            keep_apart(self.config.drift.reference, destination)
        self.pages = Pages(self.store, self.lake, self.config, self.digests, self.place)

    def check(self) -> None:
        """Fail within seconds if the run could not work.

        Raises:
            StorageError: no such bucket, a refused login, or a missing permission.
            StorageUnavailable: nothing answers at the endpoint.
        """
        self.store.check_readable(self.place.bucket, self.place.name)
        self.store.check_writable(self.target, self.target_prefix)
        if self.config.drift.reference:
            reference = Place.of(self.config.drift.reference)
            self.store.check_readable(reference.bucket, reference.name)

    @contextmanager
    def at_hand(self) -> Iterator[None]:
        """Let a run that starts in the block, in this process, take this archive: it is checked and listed already."""
        token = _AT_HAND.set(self)
        try:
            yield
        finally:
            _AT_HAND.reset(token)

    @staticmethod
    def handed() -> Archive | None:
        """The archive that the caller of this run has at hand."""
        return _AT_HAND.get()

    @cached_property
    def listing(self) -> Listed:
        """The listing of the source, made at the first access, once per run."""
        return Listing(self.store, self.place, self.config.source).complete()

    def pending(self, limit: int | None = None, *, retry_failed: bool = False) -> Work:
        """What there is to do now; with `retry_failed`, including what failed for good."""
        unplanned = len(self.lake.unplanned(self.listing, self.digests, retry_failed=retry_failed))
        missing = sum(
            self.lake.unillustrated(each, ["scene_id"], retry_failed=retry_failed).num_rows for each in self._variants
        )
        return Work(
            unplanned=unplanned if limit is None else min(limit, unplanned),
            unillustrated=missing,
            pages=len(self.pages.pending()),
            unchanged=len(self.listing) - unplanned,
            packs=self._packs_pending() if self.config.packs.write else 0,
        )

    @property
    def packs(self) -> Bucket:
        """Where the packs of this archive's recordings are."""
        from s2i_core.packs.destinations import Bucket

        return Bucket(self.store, self.lake, self.digests, self.place.holds)

    def _packs_pending(self) -> int:
        from s2i_core.packs.publish import pending

        return len(pending(self.packs, self.config.packs, self.config.provenance, self.packs.recordings()))

    def renamed(self) -> str | None:
        """What to say if version 0.1 made this destination with these model parts, whose digests have changed since."""
        before = name_in_0_1(self.config.model)
        scenes = self.lake.recordings.read(["etag"], planned(replace(self.digests, encoder=before))).num_rows
        images = self.lake.images.read(["seed"], drawn(replace(self.digests, decoder=before))).num_rows
        again = [f"plans {counted(scenes, 'recording')}"] * (before != self.digests.encoder and scenes > 0)
        again += [f"draws {counted(images, 'picture')}"] * (before != self.digests.decoder and images > 0)
        return f"a model's parts are named apart since 0.2: this run {' and '.join(again)} once more" if again else None

    def found(self, unchanged: int) -> Found:
        """What is in the source, and what has become of it; `unchanged` as `pending` said before the run."""
        return found(self.lake, self.listing, self.digests, unchanged)

    def totals(self) -> Totals:
        """The state of the recordings in the source."""
        return totals(self.lake, self.listing, self.digests)

    def outcomes(self, limit: int) -> list[dict[str, Any]]:
        """A row for each recording of the source, failures first, at most `limit`."""
        return outcomes(self.lake, self.listing, self.digests)[:limit]

    def sample_images(self, count: int) -> list[bytes]:
        """At most `count` image files made with this model and these settings, evenly spread over all of them."""
        keys = self.lake.images.read(["key"], drawn(self.digests))["key"].sort().to_pylist() if count else []
        step = max(1, -(-len(keys) // max(1, count)))
        return [self.store.get(self.target, key) for key in keys[::step]]

    def key(self, name: str) -> str:
        """A key in the bucket of the destination."""
        return join(self.target_prefix, name)


_AT_HAND: ContextVar[Archive | None] = ContextVar("archive at hand", default=None)
