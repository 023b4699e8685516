"""`s2i doctor`: what would stop a run, before one is started, and what to do about it.

Checks run side by side, each within `DEADLINE_S`. The layers above the core add theirs (Ray, Prefect) through the
entry-point group `s2i.checks`: a function of a `Subject` that gives `Check`s.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import platform
import shutil
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from email.message import Message
from email.utils import parsedate_to_datetime
from importlib.metadata import PackageNotFoundError, entry_points, requires, version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from s2i_core.errors import ConfigError, S2IError
from s2i_core.network import proxy_for, trouble
from s2i_core.state import state_home

if TYPE_CHECKING:
    from s2i_core.storage.objects import ObjectStore

ENTRY_POINTS = "s2i.checks"
DEADLINE_S = 15.0
"""Longest wait for all checks together; a check that has not answered by then counts as failed."""

_CLOCK_WARN_S, _CLOCK_FAIL_S = 60.0, 900.0  # S3 refuses signatures more than 15 minutes off
_DISK_WARN_BYTES, _DISK_FAIL_BYTES = 5 << 30, 1 << 30
_MEMORY_WARN_BYTES = 4 << 30
_TIMEOUT_S = 6.0
_LOOKED_AT = 1000  # a page of the listing
_LFS_POINTER = b"version https://git-lfs"

Status = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Check:
    """One thing that was checked.

    Attributes:
        detail: what was found, in one clause.
        remedy: what to do; empty if all is well.
    """

    name: str
    status: Status
    detail: str
    remedy: str = ""

    @classmethod
    def failed(cls, name: str, error: S2IError) -> Check:
        """From an error of ours."""
        return cls(name, "fail", f"{error.subject}: {error.reason}", error.remedy)


@dataclass(frozen=True)
class Subject:
    """What to examine besides this machine; None for what is not wanted.

    Attributes:
        source: folder or object that must be readable, such as `s3://bucket/folder`.
        destination: folder that must be writable.
        address: job server of a Ray cluster.
        checkpoint: folder of a saved model; empty for the shipped one.
        namespace: of a release of the chart on the Kubernetes cluster that kubectl is pointed at.
        manifests: a file of `helm template`, to be examined instead of what lies in the namespace.
    """

    source: str | None = None
    destination: str | None = None
    address: str | None = None
    checkpoint: str = ""
    namespace: str | None = None
    manifests: str | None = None


Checker = Callable[[Subject], Iterable[Check]]


def examine(subject: Subject, deadline_s: float = DEADLINE_S) -> list[Check]:
    """Run all checks side by side; returns their results in a fixed order, after `deadline_s` at the latest."""
    found: dict[str, list[Check]] = {}
    checkers = _CHECKERS | {point.name: _extension(point.name) for point in entry_points(group=ENTRY_POINTS)}

    def run(name: str, checker: Checker) -> None:
        try:
            found[name] = list(checker(subject))
        except S2IError as error:
            found[name] = [Check.failed(name, error)]
        except Exception as error:  # noqa: BLE001 - a check that breaks is a finding; the others still count
            found[name] = [Check(name, "fail", f"the check broke: {type(error).__name__}: {error}", "Report this.")]

    # Daemon threads: a check that hangs must not keep the program from ending.
    threads = {
        name: threading.Thread(target=run, args=(name, checker), daemon=True) for name, checker in checkers.items()
    }
    deadline = time.monotonic() + deadline_s
    for thread in threads.values():
        thread.start()
    for thread in threads.values():
        thread.join(max(0.0, deadline - time.monotonic()))
    checks: list[Check] = []
    for name in checkers:
        late = Check(
            name,
            "fail",
            f"no answer within {deadline_s:g} s",
            "See whether the network lets requests through (proxy, firewall), and whether the machine is overloaded.",
        )
        checks += found.get(name, [late])
    return checks


def fetch(request: urllib.request.Request, timeout_s: float = _TIMEOUT_S) -> Any:
    """Open a URL, through the environment's proxy if there is one for it.

    Raises:
        urllib.error.HTTPError: the answer is an error.
        OSError: there is no response.
    """
    proxy = proxy_for(request.full_url)
    by = urllib.request.ProxyHandler({"http": proxy, "https": proxy} if proxy else {})
    return urllib.request.build_opener(by).open(request, timeout=timeout_s)


def versions(_: Subject) -> Iterable[Check]:
    """Python, and whether every package has a version that this s2i was made for."""
    from packaging.requirements import Requirement

    remedy = "Install the pinned versions: infra/install.sh base."
    wrong = []
    wanted = [Requirement(text) for text in requires("s2i") or ()]
    for requirement in wanted:
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            there = version(requirement.name)
        except PackageNotFoundError:
            wrong.append(f"{requirement.name} is missing")
            continue
        if not requirement.specifier.contains(there, prereleases=True):
            wrong.append(f"{requirement.name} {there} is not {requirement.specifier}")
    here = f"s2i {version('s2i')}, Python {platform.python_version()}"
    yield Check("versions", "fail", "; ".join(wrong), remedy) if wrong else Check("versions", "ok", here)


def weights(subject: Subject) -> Iterable[Check]:
    """Whether the model's files are complete, and are those that its card describes."""
    from s2i_core.config import ModelConfig, RunConfig
    from s2i_core.weights import checkpoint_folder, digests

    folder = checkpoint_folder(subject.checkpoint)
    again = "Fetch them again: git lfs pull, or install the package anew."
    damaged = [path.name for path in sorted(folder.rglob("*.safetensors")) if not _whole(path)]
    if damaged:
        yield Check("weights", "fail", f"{folder}: damaged or cut off: {', '.join(damaged)}", again)
        return
    digest = digests(RunConfig(name="doctor", model=ModelConfig(checkpoint=subject.checkpoint))).model
    card = folder / "README.md"
    told = card.read_text("utf-8") if card.exists() else ""
    if "Digest `" in told and digest not in told:
        remedy = (
            "They were changed after they were measured: fetch them again, or measure them and write the card anew."
        )
        yield Check("weights", "warn", f"digest {digest} is not the one that the model's card describes", remedy)
        return
    yield Check("weights", "ok", f"digest {digest}")


def _whole(path: Path) -> bool:
    """Whether a safetensors file is as long as its header says."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(len(_LFS_POINTER))
        length = int.from_bytes(start[:8], "little")
        if len(start) < 8 or start == _LFS_POINTER or length > size - 8:
            return False
        file.seek(8)
        try:
            header = json.loads(file.read(length))
            ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
        except (ValueError, KeyError, TypeError, AttributeError):
            return False
    return size == 8 + length + max(ends, default=0)


def gpu(_: Subject) -> Iterable[Check]:
    """The GPU and its driver, and whether this torch can use them."""
    program = shutil.which("nvidia-smi")
    if program is None:
        yield Check("gpu", "ok", f"none here: preset cpu, on {os.cpu_count()} CPUs")
        return
    query = [program, "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=10, check=False)
    except subprocess.TimeoutExpired:
        yield Check("gpu", "fail", "nvidia-smi does not answer", "The driver hangs: restart the machine.")
        return
    if answer.returncode or not answer.stdout.strip():
        told = (answer.stderr or answer.stdout).strip().splitlines()
        reason = told[0] if told else "it names no GPU"
        yield Check(
            "gpu", "warn", f"nvidia-smi fails: {reason}", "Install a driver that fits the GPU, or use preset cpu."
        )
        return
    device = answer.stdout.strip().splitlines()[0]
    if "+cpu" in version("torch"):
        remedy = "Install torch for CUDA: remove .venv and run infra/install.sh base on this machine."
        yield Check("gpu", "warn", f"{device}, but this torch is for the CPU only", remedy)
        return
    import torch

    if not torch.cuda.is_available():
        remedy = f"Update the driver to one for CUDA {torch.version.cuda}, or install another torch."
        yield Check("gpu", "warn", f"{device}, but torch cannot use it", remedy)
        return
    yield Check("gpu", "ok", device)


def disk(_: Subject) -> Iterable[Check]:
    """Disk space for logs, the embedded store and Ray's files, and memory."""
    state = state_home()
    place = next(folder for folder in (state, *state.parents) if folder.exists())
    free, least = min((shutil.disk_usage(folder).free, str(folder)) for folder in (place, tempfile.gettempdir()))
    remedy = "Make room there, or name another place with S2I_HOME and TMPDIR."
    status: Status = "fail" if free < _DISK_FAIL_BYTES else "warn" if free < _DISK_WARN_BYTES else "ok"
    yield Check("disk", status, f"{free / 2**30:.1f} GiB free in {least}", "" if status == "ok" else remedy)
    available = _memory_bytes()
    if available is not None:
        status = "warn" if available < _MEMORY_WARN_BYTES else "ok"
        remedy = "Stop something else, or take smaller pools: --set resources.generate.maximum=1."
        yield Check("memory", status, f"{available / 2**30:.1f} GiB free", "" if status == "ok" else remedy)


def _memory_bytes() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable")), None)


def credentials(subject: Subject) -> Iterable[Check]:
    """Whether boto's chain finds a login, where, and until when it is valid."""
    import boto3

    from s2i_core.storage.objects import LOGIN_REMEDY

    found = boto3.session.Session().get_credentials()
    if found is None:
        wanted = subject.source or subject.destination
        yield Check("login", "fail" if wanted else "warn", "no login for the object store was found", LOGIN_REMEDY)
        return
    until: datetime | None = getattr(found, "_expiry_time", None)
    if until is not None and until <= datetime.now(UTC):
        yield Check("login", "fail", f"from {found.method}, expired at {until:%Y-%m-%d %H:%M} UTC", "Log in again.")
        return
    ends = f", renewed by itself, now until {until:%H:%M} UTC" if until else ""
    yield Check("login", "ok", f"from {found.method}{ends}")


def source(subject: Subject) -> Iterable[Check]:
    """Whether the recordings can be listed and read."""
    from s2i_core.storage.places import Place

    if subject.source is None:
        return
    place = Place.of(subject.source)
    store = _store()
    store.check_readable(place.bucket, place.name)
    filled = (item for item in itertools.islice(store.within(place), _LOOKED_AT) if item.size_bytes)
    first = min(filled, key=lambda item: bool(item.archived), default=None)
    if first is None:
        remedy = "Correct the address, or put recordings there."
        yield Check("source", "warn", f"{subject.source} can be listed, and is empty", remedy)
        return
    store.read_range(first, 0, 1)
    yield Check("source", "ok", f"{subject.source} can be listed and read")


def destination(subject: Subject) -> Iterable[Check]:
    """Whether results can be written, by writing and deleting a small object."""
    from s2i_core.storage.places import destination as place_of
    from s2i_core.storage.places import keep_apart

    if subject.destination is None:
        return
    if subject.source is not None:
        keep_apart(subject.source, subject.destination)
    place = place_of(subject.destination)
    _store().check_writable(place.bucket, place.name)
    yield Check("destination", "ok", f"{subject.destination} can be listed, written and deleted in")


def tables(subject: Subject) -> Iterable[Check]:
    """Whether tables can be written and read: their client is another one, with its own way to the store."""
    import pyarrow as pa

    from s2i_core.storage.artifacts import join
    from s2i_core.storage.places import parse_uri
    from s2i_core.storage.tables import LakeTable

    if subject.destination is None:
        return
    bucket, prefix = parse_uri(subject.destination)
    store = _store()
    folder = join(prefix, f".s2i-table-check-{os.getpid()}-{time.time_ns()}")
    table = LakeTable(store.settings, f"s3://{bucket}/{folder}", pa.schema([("key", pa.string())]), ("key",))
    try:
        table.merge([{"key": "checked"}])
        table.read()
    finally:
        with contextlib.suppress(S2IError):  # if nothing could be written there is nothing to delete
            for item in store.list(bucket, f"{folder}/"):
                store.delete(bucket, item.key)
    yield Check("tables", "ok", f"tables can be written and read in {subject.destination}")


def clock(subject: Subject) -> Iterable[Check]:
    """This machine's clock against the object store's: signatures tolerate a quarter of an hour."""
    from s2i_core.storage.objects import S3Settings

    settings = S3Settings.from_env()
    url = settings.endpoint_url or f"https://s3.{settings.region}.amazonaws.com"
    wanted = subject.source or subject.destination or settings.endpoint_url
    try:
        with fetch(urllib.request.Request(url), _TIMEOUT_S) as answer:
            headers: Message = answer.headers
    except urllib.error.HTTPError as error:
        headers = error.headers  # it asks for a login, but tells the time nevertheless
    except OSError as error:
        if (found := trouble(str(error), url)) is not None:
            yield Check("store", "fail" if wanted else "warn", f"{url}: {found.reason}", found.remedy)
            return
        remedy = "Start it (`s2i store up` for the embedded one), or correct S2I_S3_ENDPOINT, AWS_REGION or the proxy."
        yield Check("store", "fail" if wanted else "warn", f"{url} does not answer ({error})", remedy)
        return
    yield Check("store", "ok", f"{settings.place} answers")
    try:
        off_s = time.time() - parsedate_to_datetime(headers["Date"]).timestamp()
    except (KeyError, TypeError, ValueError):
        yield Check("clock", "warn", f"{url} does not tell the time", "Compare this machine's clock with another's.")
        return
    status: Status = "fail" if abs(off_s) > _CLOCK_FAIL_S else "warn" if abs(off_s) > _CLOCK_WARN_S else "ok"
    detail = f"{abs(off_s):.0f} s {'ahead of' if off_s > 0 else 'behind'} the object store"
    yield Check("clock", status, detail, "" if status == "ok" else "Set the clock: timedatectl set-ntp true.")


def _store() -> ObjectStore:
    """A client that gives up quickly."""
    from s2i_core.storage.objects import ObjectStore, S3Settings

    patience = {"connect_timeout_s": 3.0, "read_timeout_s": 5.0, "max_attempts": 2}
    return ObjectStore(S3Settings.from_env().model_copy(update=patience))


def _extension(name: str) -> Checker:
    def check(subject: Subject) -> Iterable[Check]:
        (point,) = entry_points(group=ENTRY_POINTS, name=name)
        loaded: Checker = point.load()
        return loaded(subject)

    return check


_CHECKERS: dict[str, Checker] = {
    "versions": versions,
    "weights": weights,
    "gpu": gpu,
    "disk": disk,
    "login": credentials,
    "store": clock,
    "source": source,
    "destination": destination,
    "tables": tables,
}

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


def command(
    source: Annotated[str | None, typer.Argument(help="Recordings that must be readable: s3://bucket/prefix.")] = None,
    destination: Annotated[str | None, typer.Argument(help="Where must be written: s3://bucket/prefix.")] = None,
    *,
    address: Annotated[
        str | None, typer.Option(help="Job server of a Ray cluster that must answer, such as http://head:8265.")
    ] = None,
    checkpoint: Annotated[Path | None, typer.Option(help="Folder of a saved model instead of the shipped one.")] = None,
    cluster: Annotated[
        bool, typer.Option("--cluster", help="Look at the Kubernetes cluster that kubectl is pointed at as well.")
    ] = False,
    namespace: Annotated[str, typer.Option(help="Of the release, with --cluster.")] = "s2i",
    manifests: Annotated[
        Path | None,
        typer.Option(help="With --cluster, before the chart is installed: what `helm template` wrote, in this file."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Look for what would stop a run: versions, weights, login, buckets, clock, Ray, Prefect, GPU, disk, Kubernetes.

    Says what to do about each. Exit code 1 where something would fail. Takes 20 seconds at most.
    """
    started = time.monotonic()
    if manifests and not cluster:
        raise ConfigError("--manifests", "it is for a cluster, and none is looked at", "Add --cluster.")
    of_release = {"namespace": namespace, "manifests": str(manifests) if manifests else None} if cluster else {}
    checks = examine(Subject(source, destination, address, str(checkpoint or ""), **of_release))
    well = all(check.status != "fail" for check in checks)
    if as_json:
        facts = {"ok": well, "elapsed_s": round(time.monotonic() - started, 2), "checks": [asdict(c) for c in checks]}
        typer.echo(json.dumps(facts, ensure_ascii=False))
    else:
        width = max(len(check.name) for check in checks)
        for check in checks:
            typer.secho(f"{check.status:<4}", fg=_COLOURS[check.status], bold=True, nl=False)
            typer.echo(f"  {check.name:<{width}}  {check.detail}")
            if check.remedy:
                typer.echo(f"      {'':<{width}}  → {check.remedy}")
    if not well:
        raise typer.Exit(1)
