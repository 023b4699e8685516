"""Folders on this machine or in the object store: `s3://bucket/prefix` wherever a folder will do.

They use fsspec, whose file system for S3 is s3fs. Archives, tables and pictures use `objects` and `tables` instead,
which know more about recordings, commits and outages.
"""

from __future__ import annotations

import contextlib
import fcntl
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s2i_core.errors import ConfigError, StorageUnavailable
from s2i_core.storage.objects import ObjectStore, S3Settings
from s2i_core.storage.places import destination, parse_uri

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem
    from s3fs import S3FileSystem

SCHEME = "s3://"


def s3_filesystem(settings: S3Settings | None = None) -> S3FileSystem:
    """The object store as an fsspec file system, for pandas, pyarrow, DuckDB and the like.

    Args:
        settings: by default those of the environment; the login is found as by boto3.
    """
    from s3fs import S3FileSystem

    store = ObjectStore(settings or S3Settings.from_env())
    return S3FileSystem(
        endpoint_url=store.settings.endpoint_url,
        client_kwargs={"region_name": store.settings.region},
        config_kwargs=store.client_options(),
        skip_instance_cache=True,  # an instance caches its listings, and would not see the writes of others
    )


def open_folder(place: str) -> tuple[AbstractFileSystem, str]:
    """The file system that a folder is in, and its path there.

    Raises:
        ConfigError: there is no such folder, or it is empty.
        StorageError: the object store refused, or does not answer within seconds.
    """
    if place.startswith(SCHEME):
        # Nothing is under way yet that would be worth waiting through an outage for, as s3fs would.
        ObjectStore(S3Settings.from_env()).check_readable(*parse_uri(place))
        with _clear_errors(place):
            system, root = s3_filesystem(), place.removeprefix(SCHEME).rstrip("/")
            found = bool(system.find(root, maxdepth=None, detail=False)[:1])
    else:
        from fsspec.implementations.local import LocalFileSystem

        system, root = LocalFileSystem(), str(Path(place).resolve())
        found = system.isdir(root)
    if not found:
        raise ConfigError(place, "there is no such folder", "Correct the name.")
    return system, root


def read_files(system: AbstractFileSystem, paths: list[str]) -> dict[str, bytes | Exception]:
    """The content of some files, or why one cannot be read; concurrently, if they are in the object store."""
    found: dict[str, Any] = system.cat(paths, on_error="return") if paths else {}
    return found


@contextlib.contextmanager
def written(place: str) -> Iterator[Path]:
    """A local folder to write to; its content goes to the object store at the end, unless there was an error.

    Raises:
        ConfigError: a folder on the way has no name.
        StorageError: the object store refuses writes; raised before anything is done.
    """
    if not place.startswith(SCHEME):
        yield Path(place)
        return
    target = destination(place)
    ObjectStore(S3Settings.from_env()).check_writable(target.bucket, target.name)
    with tempfile.TemporaryDirectory(prefix="s2i-") as folder:
        yield Path(folder)
        with _clear_errors(place):
            s3_filesystem().put(f"{folder}/", f"{SCHEME}{target.bucket}/{target.folder}", recursive=True)


def kept_copy(place: str, folder: Path, leave_out: str = "") -> Path:
    """A folder that can be read as local files repeatedly: the place itself, or a copy of it in `folder`.

    An existing copy is completed: files of the same size are kept. Other processes wait meanwhile.

    Args:
        place: address of the folder.
        folder: for the copy; made if missing.
        leave_out: prefix of the names that are not wanted.

    Raises:
        ConfigError: there is no such folder.
        StorageError: the object store refused.
    """
    if not place.startswith(SCHEME):
        return Path(place)
    system, root = open_folder(place)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock, _clear_errors(place):
        fcntl.flock(lock, fcntl.LOCK_EX)
        for path, about in system.find(root, detail=True).items():
            name = path.removeprefix(f"{root}/")
            own = folder / name
            if leave_out and name.startswith(leave_out):
                continue
            if not own.resolve().is_relative_to(folder.resolve()):
                raise ConfigError(f"{SCHEME}{path}", "its name leads out of the folder", "Rename the object.")
            if not own.exists() or own.stat().st_size != about["size"]:
                own.parent.mkdir(parents=True, exist_ok=True)
                partial = own.with_name(f"{own.name}.part")
                system.get_file(path, str(partial))
                partial.rename(own)
    return folder


@contextlib.contextmanager
def _clear_errors(place: str) -> Iterator[None]:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (OSError, BotoCoreError, ClientError) as error:
        if isinstance(error, OSError) and error.filename and not str(error.filename).startswith(SCHEME):
            raise  # about this machine's disk
        # The library's words for a missing bucket or a bad login are unclear: ask the store itself.
        ObjectStore(S3Settings.from_env()).check_readable(*parse_uri(place))
        raise StorageUnavailable(place, f"it cannot be read or written: {error}", "Run again.") from error
