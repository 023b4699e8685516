"""`s2i plan`: hours, compute, storage and money of a run, before anything runs.

A listing tells how much there is: the lengths of a bounded sample are read from their headers, and scaled up by
format and bytes. The summary of a real run tells how long a second of audio and a picture take on one core or GPU.
The user describes the cluster and its prices in a small file.
"""

from __future__ import annotations

import json
import os
import random
import time
import tomllib
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from concurrent.futures import TimeoutError as FuturesTimeout
from dataclasses import asdict, dataclass, replace
from importlib import resources
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import typer
from pydantic import Field, ValidationError

from flows.overview import Found
from flows.progress import Step, report, step
from s2i_core import options
from s2i_core.audio.length import Length, length
from s2i_core.config import RunConfig, Settings
from s2i_core.errors import ConfigError, ObjectArchived, S2IError
from s2i_core.listing import NO_SUFFIX, Listing, suffix_in
from s2i_core.records import AudioObject
from s2i_core.storage.artifacts import join
from s2i_core.storage.objects import ObjectStore, S3Settings
from s2i_core.storage.places import Place, parse_uri

SHIPPED_RATES = Path(__file__).parent.parent / "docs" / "results" / "plan.json"
EXAMPLE = "cluster.example.toml"

SAMPLE = 64
"""Headers read at most."""
_SAMPLE_S = 30.0
_SAMPLE_THREADS = 8
_READ_BLOCK_BYTES = 8 << 20

#: By how much lengths may be off: those estimated from size and bit rate, and those assumed for the format; the spread
#: to assume after a single header; and the least spread to assume, even if a few are alike.
_ESTIMATED_DOUBT, _ASSUMED_DOUBT, _ONE_SPREAD, _LEAST_SPREAD = 0.15, 0.5, 0.5, 0.05

#: Bytes per second if no header can be read: usual rates of speech recordings.
TYPICAL_BYTES_PER_S = {".wav": 32_000.0, ".flac": 24_000.0, ".opus": 4_000.0, ".ogg": 8_000.0, ".mp3": 16_000.0}
_ELSE_BYTES_PER_S = 16_000.0


class NodeGroup(Settings):
    """Equal nodes of a cluster."""

    name: str = Field(description="For people.")
    count: int = Field(ge=1, description="How many of them work on a run.")
    cpus: int = Field(ge=0, description="CPU cores per node that do the work; 0 if they only feed its GPUs.")
    gpus: int = Field(0, ge=0, description="GPUs per node.")
    price_per_hour: float = Field(ge=0, description="Price of one node per hour.")


class StoragePrices(Settings):
    """What the object store costs."""

    gb_month: float = Field(0.0, ge=0, description="One GB (10⁹ bytes) for a month.")
    writes_per_1000: float = Field(0.0, ge=0, description="1000 requests that write or list.")
    reads_per_1000: float = Field(0.0, ge=0, description="1000 requests that read.")
    read_gb: float = Field(
        0.0, ge=0, description="One GB of recordings that is read, where its class costs at each read (Glacier IR)."
    )


class Cluster(Settings):
    """A cluster and its prices, as the user names them."""

    note: str = Field("", description="Where the prices come from; shown beside the money.")
    as_of: str = Field("", max_length=40, description="When they were looked up; shown beside the money.")
    currency: str = Field("", max_length=8, description="Such as USD; empty where there are no prices.")
    groups: tuple[NodeGroup, ...] = Field(min_length=1, description="The nodes that work.")
    storage: StoragePrices = StoragePrices()

    @classmethod
    def read(cls, path: Path) -> Self:
        """From a TOML file.

        Raises:
            ConfigError: it is not such a file.
        """
        try:
            return cls.model_validate(tomllib.loads(path.read_text("utf-8")))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(str(path), f"it is no TOML ({error})", "s2i plan --example prints one.") from error
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(str(part) for part in first["loc"])
            raise ConfigError(f"{path}: {name}", first["msg"], "s2i plan --example prints one.") from error

    @classmethod
    def here(cls) -> Self:
        """This machine, for nothing."""
        return cls(groups=(NodeGroup(name="this machine", count=1, cpus=os.cpu_count() or 1, price_per_hour=0),))

    @property
    def origin(self) -> str:
        """Where its prices come from, and as of when: what is not known is said as well."""
        if not self.currency:
            return ""
        note = self.note.strip() or "Prices: they do not say where they come from."
        return f"{note} {f'As of {self.as_of}.' if self.as_of else 'As of when is not said: check them.'}"

    def units(self, device: Literal["cpu", "gpu"]) -> int:
        """Cores or GPUs in all."""
        return sum(group.count * (group.gpus if device == "gpu" else group.cpus) for group in self.groups)

    @property
    def price_per_hour(self) -> float:
        """Price of all nodes per hour."""
        return sum(group.count * group.price_per_hour for group in self.groups)


class Rates(Settings):
    """What runs took: a fixed part, and a part per second of audio and per picture on one core or GPU."""

    device: Literal["cpu", "gpu"] = Field(description="What did the work: the unit of the seconds below.")
    preset: str = Field(description="Settings of the runs.")
    start_s: float = Field(ge=0, description="Seconds of a run besides the work itself: servers, models, pages.")
    held_s: float = Field(ge=0, description="Those of them in which jobs hold cores or GPUs: Ray, models.")
    plan_s: float = Field(ge=0, description="Seconds of one core or GPU to plan a second of audio.")
    draw_s: float = Field(ge=0, description="Seconds of one core or GPU to draw a picture.")
    images_per_audio_h: float = Field(ge=0, description="Pictures per hour of audio.")
    image_bytes: float = Field(ge=0, description="Size of a picture's file.")
    page_bytes_per_audio_s: float = Field(ge=0, description="Size of the pages, which hold the sound.")
    table_bytes_per_image: float = Field(ge=0, description="Size of the tables.")
    runs: tuple[str, ...] = Field(min_length=1, description="Where it was measured.")

    @classmethod
    def of(cls, summaries: Sequence[Mapping[str, Any]], sizes: Mapping[str, int]) -> Self:
        """From summaries of runs that had everything to do; two of different length separate start from work.

        Args:
            summaries: as `runs/<run_id>/summary.json`, all on the same machines with the same settings.
            sizes: bytes under `images`, `tables` and `pages` in the destination of the last run.

        Raises:
            ConfigError: a run planned or drew nothing, or the machines differ.
        """
        units, points = [], []
        for summary in summaries:
            jobs = {job["job"]: job for job in summary["jobs"]}
            subject = f"run {summary['run_id']}"
            remedy = "Name a run that planned and drew a few recordings: s2i run … --limit 10."
            if not {"plan", "illustrate"} <= jobs.keys() or not jobs["plan"]["audio_s"] or not jobs["illustrate"]["ok"]:
                raise ConfigError(subject, "it planned or drew nothing", remedy)
            if not (summary.get("gpus") or summary.get("cpus")):
                raise ConfigError(subject, "it does not say what it ran on", remedy)
            units.append(("gpu", summary["gpus"]) if summary["gpus"] else ("cpu", summary["cpus"]))
            points.append((jobs["plan"], jobs["illustrate"], summary["elapsed_s"]))
        if len(set(units)) > 1:
            raise ConfigError("the runs", "they ran on different machines", "Name runs of one cluster.")
        (device, number), last, (plan, draw, _) = units[0], summaries[-1], points[-1]
        plan_start_s, plan_s = _line([(each["audio_s"], each["elapsed_s"]) for each, _, _ in points])
        draw_start_s, draw_s = _line([(each["ok"], each["elapsed_s"]) for _, each, _ in points])
        beside_s = sum(total - each["elapsed_s"] - other["elapsed_s"] for each, other, total in points) / len(points)
        images = max(1, last["totals"]["images"])
        return cls(
            device=device,  # type: ignore[arg-type]
            preset=last["preset"],
            start_s=max(0.0, beside_s) + plan_start_s + draw_start_s,
            held_s=plan_start_s + draw_start_s,
            plan_s=plan_s * number,
            draw_s=draw_s * number,
            images_per_audio_h=draw["ok"] / plan["audio_s"] * 3600,
            image_bytes=sizes["images"] / images,
            page_bytes_per_audio_s=sizes["pages"] / plan["audio_s"],
            table_bytes_per_image=sizes["tables"] / images,
            runs=tuple(str(summary["run_id"]) for summary in summaries),
        )


def _line(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Intercept and slope, neither negative, of the line through points (size, seconds)."""
    if len({x for x, _ in points}) > 1:
        mean_x, mean_y = (sum(values) / len(points) for values in zip(*points, strict=True))
        slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / sum((x - mean_x) ** 2 for x, _ in points)
        if slope > 0 and (fixed := mean_y - slope * mean_x) >= 0:
            return fixed, slope
    return 0.0, sum(y for _, y in points) / sum(x for x, _ in points)


@dataclass(frozen=True)
class Content:
    """How much there is, or is left to do.

    Attributes:
        audio_s: seconds of audio.
        audio_s_error: half the width of the 95 % interval of `audio_s`, from the spread of the sample, plus what
            estimated lengths may be off.
        sampled: headers read, of which `unreadable` gave no length, and `estimated` only one by size and bit rate.
        assumed_bytes: bytes for which the usual rate of the format was assumed, for want of a readable header.
        archived: further recordings that lie in an archive: nothing to do before they are restored.
    """

    recordings: int
    size_bytes: int
    audio_s: float
    audio_s_error: float
    sampled: int
    unreadable: int
    assumed_bytes: int
    by_format: dict[str, int]
    estimated: int = 0
    archived: int = 0
    archived_bytes: int = 0


@dataclass(frozen=True)
class Estimate:
    """What a run will take. Money is None without prices.

    Attributes:
        compute_h: hours of one core or GPU (`device`), including those in which jobs start and models load.
        units: how many cores or GPUs there are.
        found: what is in the source, and what has become of it.
    """

    source: str
    destination: str | None
    content: Content
    waiting_images: int
    images: int
    compute_h: float
    device: str
    units: int
    elapsed_s: float
    image_bytes: int
    table_bytes: int
    page_bytes: int
    writes: int
    reads: int
    currency: str
    compute_money: float | None
    request_money: float | None
    storage_money_month: float | None
    prices: str
    rates: dict[str, Any]
    remarks: list[str]
    found: Found | None = None

    @property
    def stored_bytes(self) -> int:
        """Everything that is added to the destination."""
        return self.image_bytes + self.table_bytes + self.page_bytes


def estimate(
    source: str,
    destination: str | None,
    config: RunConfig,
    content: Content,
    waiting_images: int,
    rates: Rates,
    cluster: Cluster,
) -> Estimate:
    """From how much there is to what it takes.

    Args:
        waiting_images: scenes that are already planned and have no image.

    Raises:
        ConfigError: the cluster has nothing of the kind that the rates were measured on.
    """
    units = cluster.units(rates.device)
    if not units:
        raise ConfigError(
            "the cluster",
            f"it has no {rates.device.upper()} that works, and the rates were measured on {rates.device.upper()}s",
            "Run a few recordings there (s2i run … --limit 10), and name its summary: --rates s3://…/summary.json.",
        )
    images_per_h = min(rates.images_per_audio_h, config.scenes.images_per_hour or rates.images_per_audio_h)
    images = round(content.audio_s / 3600 * images_per_h) + waiting_images
    work_s = content.audio_s * rates.plan_s + images * rates.draw_s
    anything = bool(images or content.recordings)
    elapsed_s = rates.start_s + work_s / units if anything else 0.0
    compute_s = rates.held_s * units + work_s if anything else 0.0
    pages = content.recordings
    commits = -(-content.recordings // config.resources.commit_rows) + 2 * -(-images // config.resources.commit_rows)
    writes = images + 2 * pages + 3 * commits  # a commit is a data file, a log entry and a listing
    reads = content.size_bytes // _READ_BLOCK_BYTES + content.recordings + images  # a page holds its pictures
    priced = bool(cluster.currency)
    image_bytes = round(images * rates.image_bytes)
    table_bytes = round(images * rates.table_bytes_per_image)
    page_bytes = round(content.audio_s * rates.page_bytes_per_audio_s)
    stored = image_bytes + table_bytes + page_bytes
    remarks = []
    if rates.preset != config.name:
        remarks.append(f"the rates are those of preset {rates.preset}, not {config.name}")
    if rates.device == "cpu" and cluster.units("gpu"):
        remarks.append("the rates were measured on CPUs: the GPUs are paid for and do nothing here; measure there")
    if content.recordings and content.assumed_bytes * 10 > content.size_bytes:
        remarks.append("the lengths of more than a tenth are guessed from the format")
    if content.archived:
        remarks.append(
            f"not counted: {options.counted(content.archived, 'recording')} in an archive "
            f"({content.archived_bytes / 1e9:.3g} GB); once restored, a run takes them up by itself"
        )
    return Estimate(
        source=source,
        destination=destination,
        content=content,
        waiting_images=waiting_images,
        images=images,
        compute_h=round(compute_s / 3600, 4),
        device=rates.device,
        units=units,
        elapsed_s=round(elapsed_s, 1),
        image_bytes=image_bytes,
        table_bytes=table_bytes,
        page_bytes=page_bytes,
        writes=writes,
        reads=reads,
        currency=cluster.currency,
        compute_money=round(cluster.price_per_hour * elapsed_s / 3600, 2) if priced else None,
        request_money=round(
            writes / 1000 * cluster.storage.writes_per_1000
            + reads / 1000 * cluster.storage.reads_per_1000
            + content.size_bytes / 1e9 * cluster.storage.read_gb,
            2,
        )
        if priced
        else None,
        storage_money_month=round(stored / 1e9 * cluster.storage.gb_month, 2) if priced else None,
        prices=cluster.origin,
        rates=rates.model_dump(),
        remarks=remarks,
    )


@dataclass(frozen=True)
class Header:
    """What the beginning of an object told; `archived`: it cannot be read before it is restored."""

    length: Length
    archived: bool = False

    @property
    def audio_s(self) -> float:
        """Seconds that it adds to a run: none if it cannot be read, and so will fail."""
        return self.length.seconds or 0.0


def measure(store: ObjectStore, objects: Iterable[AudioObject], sample: int = SAMPLE) -> Content:
    """How much audio these objects hold: a bounded sample of headers for each format, scaled up by bytes.

    Memory is bounded, however many objects there are. What lies in an archive is counted apart: it cannot be done yet.

    Args:
        sample: headers read at most, shared among the formats by their bytes.
    """
    chance = random.Random(0)
    counts: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    kept: dict[str, list[AudioObject]] = {}
    archive = _Archived(store)
    for number, item in enumerate(archive.left_out(objects), 1):
        form = suffix_in(item.key)
        counts[form] += 1
        sizes[form] += item.size_bytes
        bin_ = kept.setdefault(form, [])
        if len(bin_) < sample:
            bin_.append(item)
        elif (place := chance.randrange(counts[form])) < sample:
            bin_[place] = item
        if number % 1000 == 0:
            report(Step("List", number, None))
    total = sum(sizes.values()) or 1
    chosen = {
        form: chance.sample(items, min(len(items), max(2, round(sample * sizes[form] / total))))
        for form, items in kept.items()
    }
    headers = _headers(store, [item for items in chosen.values() for item in items])
    parts = []
    for form, items in chosen.items():
        seen = [(item.size_bytes, headers[item]) for item in items if item in headers]
        parts.append(_part(form, counts[form], sizes[form], seen))
    archived = archive.recordings + sum(part.archived for part in parts)
    return Content(
        recordings=counts.total() - sum(part.archived for part in parts),
        size_bytes=sizes.total() - sum(part.archived_bytes for part in parts),
        audio_s=round(sum(part.audio_s for part in parts), 1),
        # Errors of sampling are random and add up in squares; errors of estimates may all go one way, and add up.
        audio_s_error=round(
            1.96 * sum(part.variance for part in parts) ** 0.5 + sum(part.doubt_s for part in parts), 1
        ),
        sampled=len(headers),
        unreadable=sum(each.length.seconds is None and not each.archived for each in headers.values()),
        assumed_bytes=sum(part.assumed_bytes for part in parts),
        by_format=dict(counts.most_common()),
        estimated=sum(each.length.estimated for each in headers.values()),
        archived=archived,
        archived_bytes=archive.size_bytes + sum(part.archived_bytes for part in parts),
    )


@dataclass(frozen=True)
class _Part:
    """The share of one format.

    Attributes:
        variance: of `audio_s`, from the spread of the sample.
        doubt_s: by how much it may be off besides, because lengths were estimated or assumed.
    """

    audio_s: float
    variance: float = 0.0
    doubt_s: float = 0.0
    assumed_bytes: int = 0
    archived: int = 0
    archived_bytes: int = 0


def _part(form: str, count: int, size_bytes: int, seen: Sequence[tuple[int, Header]]) -> _Part:
    """The audio of all objects of a format, from those whose header was read."""
    there = [(size, header) for size, header in seen if not header.archived]
    share = 1 - len(there) / len(seen) if seen else 0.0
    archived, archived_bytes = round(share * count), round(share * size_bytes)
    count, size_bytes = count - archived, size_bytes - archived_bytes
    told_s = sum(header.audio_s for _, header in there)
    if told_s <= 0:
        assumed_s = size_bytes / TYPICAL_BYTES_PER_S.get(form, _ELSE_BYTES_PER_S)
        return _Part(assumed_s, 0.0, _ASSUMED_DOUBT * assumed_s, size_bytes, archived, archived_bytes)
    # A file that cannot be read has no length, and will fail: it counts as bytes without seconds.
    ratio = told_s / max(1, sum(size for size, _ in there))
    audio_s, variance = ratio * size_bytes, 0.0
    if len(there) < count:
        mean_s = audio_s / count
        if len(there) > 1:
            spread = sum((header.audio_s - ratio * size) ** 2 for size, header in there) / (len(there) - 1)
            spread = max(spread, (_LEAST_SPREAD * mean_s) ** 2)  # a few that are alike do not prove that all are
        else:
            spread = (_ONE_SPREAD * mean_s) ** 2
        variance = count**2 * (1 - len(there) / count) * spread / len(there)
    estimated_s = sum(header.audio_s for _, header in there if header.length.estimated)
    doubt_s = _ESTIMATED_DOUBT * estimated_s / told_s * audio_s
    return _Part(audio_s, variance, doubt_s, 0, archived, archived_bytes)


class _Archived:
    """Recordings in an archive, which cost nothing before they are restored.

    The listing of AWS knows what was restored. Others keep naming the archive: there a few are tried, and if one
    can be read, all count as readable.
    """

    def __init__(self, store: ObjectStore) -> None:
        self.recordings = 0
        self.size_bytes = 0
        self._store = store

    def left_out(self, objects: Iterable[AudioObject]) -> Iterator[AudioObject]:
        """All objects but those that cannot be read before they are restored."""
        doubtful = []
        for item in objects:
            if not item.archived:
                yield item
            elif self._store.settings.on_aws:
                self._count(item)
            else:
                doubtful.append(item)
        tried = doubtful[: _SAMPLE_THREADS**2]
        with ThreadPoolExecutor(_SAMPLE_THREADS, thread_name_prefix="archived") as pool:
            readable = list(pool.map(lambda item: _readable(self._store, item), tried))
        others = [any(readable)] * (len(doubtful) - len(tried))
        for item, can in zip(doubtful, readable + others, strict=True):
            if can:
                yield item
            else:
                self._count(item)

    def _count(self, item: AudioObject) -> None:
        self.recordings += 1
        self.size_bytes += item.size_bytes


def _headers(store: ObjectStore, items: Sequence[AudioObject]) -> dict[AudioObject, Header]:
    """Headers by object; those that take too long are left out."""
    found: dict[AudioObject, Header] = {}
    pool = ThreadPoolExecutor(_SAMPLE_THREADS, thread_name_prefix="header")
    futures = {pool.submit(_header, store, item): item for item in items}
    try:
        for future in as_completed(futures, timeout=_SAMPLE_S):
            found[futures[future]] = future.result()
            report(Step("Read headers", len(found), len(items)))
    except FuturesTimeout:
        report(Step("Read headers", len(items), len(items), "the rest took too long"))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    return found


def _header(store: ObjectStore, item: AudioObject) -> Header:
    import av

    try:
        with store.open(item) as file:
            return Header(length(file, item.size_bytes))
    except ObjectArchived:
        return Header(Length(None), archived=True)
    except (av.error.FFmpegError, S2IError, OSError, ValueError):
        return Header(Length(None))


def _readable(store: ObjectStore, item: AudioObject) -> bool:
    try:
        store.read_range(item, 0, 1)
    except S2IError:
        return False
    return True


def read_rates(where: str | None) -> Rates:
    """The shipped rates, those of a file of `python -m tests.bench plan`, or those of a run's `summary.json`.

    Args:
        where: a path or an `s3://` address; None for the shipped ones.

    Raises:
        ConfigError: it is none of these.
    """
    name = where or str(SHIPPED_RATES)
    try:
        text = ObjectStore().get(*parse_uri(name)).decode() if name.startswith("s3://") else Path(name).read_text()
        found = json.loads(text)
        if "jobs" in found:
            return Rates.of([found], stored_bytes(ObjectStore(), found["destination"]))
        return Rates.model_validate(found["figures"]["rates"])
    except (FileNotFoundError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"rates {name}",
            f"they cannot be read ({type(error).__name__}: {error})",
            "Name the summary of a run: --rates s3://destination/runs/RUN/summary.json (`s2i status` lists the runs).",
        ) from error


def stored_bytes(store: ObjectStore, destination: str) -> dict[str, int]:
    """Bytes under `images`, `tables` and `pages` of a destination."""
    bucket, prefix = parse_uri(destination)
    return {
        name: sum(item.size_bytes for item in store.list(bucket, join(prefix, f"{name}/")))
        for name in ("images", "tables", "pages")
    }


def plan(
    source: str,
    destination: str | None = None,
    preset: str = "cpu",
    cluster: Cluster | None = None,
    rates: Rates | None = None,
    sample: int = SAMPLE,
    *,
    settings: Mapping[str, Any] | None = None,
    limit: int | None = None,
    retry_failed: bool = False,
) -> Estimate:
    """Look at a source, and at what a destination already has of it, and say what a run will take.

    Args:
        settings: single settings instead of the preset's.
        limit: recordings that the run plans at most.
        retry_failed: also count what failed for good as work to do.

    Raises:
        S2IError: a bucket, a login or an argument is wrong.
    """
    from flows.work import Archive

    rates = rates or read_rates(None)
    config = options.shaped(preset, settings or {})
    waiting = 0
    with step("List"):
        if destination is None:
            store = ObjectStore(S3Settings.from_env())
            place = Place.of(source)
            store.check_readable(place.bucket, place.name)
            listing = Listing(store, place, config.source)
            objects = iter(listing)
            content = measure(store, islice(objects, limit), sample)
            deque(objects, maxlen=0)  # those beyond the limit are counted as well
            found = Found.untouched(listing)
        else:
            archive = Archive(source, destination, preset, settings=settings)
            store = archive.store
            store.check_readable(archive.place.bucket, archive.place.name)
            store.check_readable(archive.target, archive.target_prefix)
            unplanned = archive.lake.unplanned(archive.listing, archive.digests, retry_failed=retry_failed)
            waiting = archive.lake.unillustrated(archive.digests, ["scene_id"], retry_failed=retry_failed).num_rows
            found = archive.found(len(archive.listing) - len(unplanned))
            content = measure(store, unplanned[:limit], sample)
    made = estimate(source, destination, config, content, waiting, rates, cluster or Cluster.here())
    return replace(made, found=found)


def command(
    source: Annotated[
        str | None, typer.Argument(help="Recordings: a folder or one object, s3://bucket or s3://bucket/folder.")
    ] = None,
    destination: Annotated[
        str | None, typer.Argument(help="Where results go; what is done there already is left out.")
    ] = None,
    *,
    preset: options.Preset = "cpu",
    style: options.Style = None,
    checkpoint: options.Checkpoint = None,
    library: options.Library = None,
    images_per_hour: options.ImagesPerHour = None,
    settings: options.SetOptions = None,
    limit: options.Limit = None,
    retry_failed: options.RetryFailed = False,
    cluster: Annotated[
        Path | None, typer.Option(help="A file with nodes and prices; see --example. By default this machine.")
    ] = None,
    rates: Annotated[
        str | None,
        typer.Option(help="summary.json of a run on such machines, a path or s3://; by default measured on 2 CPUs."),
    ] = None,
    sample: Annotated[int, typer.Option(min=1, max=10_000, help="Headers to read at most.")] = SAMPLE,
    example: Annotated[bool, typer.Option("--example", help="Print an example for --cluster, and leave.")] = False,
    as_json: options.AsJson = False,
) -> None:
    """Say what a run would take before it runs: hours of audio, pictures, compute, storage, time and money."""
    from flows.progress import Bars, watching

    if example:
        typer.echo((resources.files("flows") / EXAMPLE).read_text("utf-8"), nl=False)
        return
    if source is None:
        raise ConfigError("SOURCE", "it is missing", "s2i plan s3://bucket/folder")
    started = time.monotonic()
    with Bars() as bars, watching(bars):
        made = plan(
            source,
            destination,
            preset,
            Cluster.read(cluster) if cluster else None,
            read_rates(rates),
            sample,
            settings=options.changes(
                style=style, checkpoint=checkpoint, library=library, images_per_hour=images_per_hour, settings=settings
            ),
            limit=limit,
            retry_failed=retry_failed,
        )
    if as_json:
        facts = asdict(made) | {"stored_bytes": made.stored_bytes, "took_s": round(time.monotonic() - started, 2)}
        typer.echo(json.dumps(facts, ensure_ascii=False))
        return
    for line in described(made):
        typer.echo(line)


def described(made: Estimate) -> list[str]:
    """The estimate for people, a line each."""
    content = made.content
    forms = ", ".join(f"{count} {form.lstrip('.') or NO_SUFFIX}" for form, count in list(content.by_format.items())[:6])
    device = f"{made.device.upper()}-hours"
    lines = [f"{word:<9} {text}" for word, text in made.found.described()] if made.found else []
    lines += [
        f"to do     {options.counted(content.recordings, 'recording')}, {content.size_bytes / 1e9:.3g} GB "
        f"({forms or 'none'})",
        f"audio     {content.audio_s / 3600:.3g} h{_off(content)}, from the headers of {content.sampled}"
        + (f"; {content.estimated} of them tell no length: estimated by size and bit rate" if content.estimated else "")
        + (f"; {content.unreadable} cannot be read" if content.unreadable else ""),
        f"pictures  {made.images:,}" + (f", {made.waiting_images:,} of them planned" if made.waiting_images else ""),
        f"compute   {made.compute_h:.3g} {device}: {_clock(made.elapsed_s)} on {made.units} {made.device.upper()}s",
        f"storage   {made.stored_bytes / 1e9:.3g} GB: pictures {made.image_bytes / 1e9:.3g}, "
        f"tables {made.table_bytes / 1e9:.3g}, pages {made.page_bytes / 1e9:.3g}; "
        f"{made.writes:,} writes, {made.reads:,} reads",
    ]
    if made.compute_money is not None and made.request_money is not None:
        total = made.compute_money + made.request_money
        lines.append(
            f"money     {total:,.2f} {made.currency}: compute {made.compute_money:,.2f}, requests "
            f"{made.request_money:,.2f}; then storage {made.storage_money_month:,.2f} a month. {made.prices}".rstrip()
        )
    else:
        lines.append(
            "money     no prices are known: s2i plan --example > cluster.toml, put yours in, --cluster cluster.toml"
        )
    lines.append(f"rates     preset {made.rates['preset']}, measured in {', '.join(made.rates['runs'])}")
    return lines + [f"note      {remark}" for remark in made.remarks]


def _off(content: Content) -> str:
    """By how much the audio may be off; empty if every header told."""
    if not content.audio_s or not content.audio_s_error:
        return ""
    return f" ± {max(0.01, content.audio_s_error / content.audio_s):.0%}"


def _clock(seconds: float) -> str:
    minutes = round(seconds / 60)
    return (
        f"{seconds:.0f} s"
        if seconds < 120
        else f"{minutes // 60} h {minutes % 60:02} min"
        if minutes >= 60
        else f"{minutes} min"
    )
