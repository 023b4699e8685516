"""The demo: the sample archive, through the embedded object store, to pages that open from disk."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.launch import RunOutcome, launch
from flows.progress import Step, report, step
from s2i_core.errors import ConfigError
from s2i_core.state import state_home
from s2i_core.storage.artifacts import index_key
from s2i_core.storage.embedded import EmbeddedStore, StoreInfo
from s2i_core.storage.objects import ObjectStore

ARCHIVE, ILLUSTRATED = "archive", "illustrated"
_NO_RECORDINGS = {".py", ".md", ".json", ".toml"}


@dataclass(frozen=True)
class Demo:
    """What the demo made, and where it is."""

    outcome: RunOutcome
    page: Path
    store: StoreInfo
    destination: str


def run_demo(
    samples: Path, preset: str = "cpu", checkpoint: str = "", settings: Mapping[str, Any] | None = None
) -> Demo:
    """Start the store, upload what changed in `samples`, run the flow, download the pages.

    Args:
        samples: folder of recordings.
        preset: name of the settings.
        checkpoint: folder of a saved pipeline; empty for the weights in the package.
        settings: single settings instead of the preset's.

    Raises:
        S2IError: as `launch` raises; or there are no samples.
    """
    home = state_home()
    with step("Start the object store"):
        info = EmbeddedStore(home / "store").up()
    info.take()
    store = ObjectStore(info.settings())
    for bucket in (ARCHIVE, ILLUSTRATED):
        store.create_bucket(bucket)
    upload(store, samples)
    outcome = launch(f"s3://{ARCHIVE}", f"s3://{ILLUSTRATED}", preset, None, None, checkpoint, settings)
    page = download(store, home / "demo")
    return Demo(outcome, page, info, f"s3://{ILLUSTRATED}")


def find_samples() -> Path:
    """The folder `samples` of the project: here, or beside the package.

    Raises:
        ConfigError: there is none.
    """
    for folder in (Path("samples"), Path(__file__).parent.parent / "samples"):
        if folder.is_dir():
            return folder.absolute()
    raise ConfigError("samples/", "there is no such folder here", "Run this in a clone of the repository.")


def upload(store: ObjectStore, samples: Path) -> int:
    """Make the archive's bucket hold exactly the samples; files that it already has are not sent again."""
    files = {file.name: file for file in sorted(samples.iterdir()) if _is_sample(file)}
    if not files:
        raise ConfigError(str(samples), "there are no recordings in it", "Restore the folder from the repository.")
    sent = 0
    there = {item.key: item for item in store.list(ARCHIVE)}
    for key in there.keys() - files.keys():
        store.delete(ARCHIVE, key)
    for count, (name, file) in enumerate(files.items(), 1):
        data = file.read_bytes()
        md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()  # S3's etag for a plain put
        if name not in there or there[name].etag != md5:
            store.put(ARCHIVE, name, data)
            sent += 1
        report(Step("Upload the samples", count, len(files), f"{sent} new" if sent else "unchanged"))
    return sent


def download(store: ObjectStore, folder: Path) -> Path:
    """Fetch the pages that changed to `folder`; returns the path of the index."""
    folder.mkdir(parents=True, exist_ok=True)
    pages = [item for item in store.list(ILLUSTRATED, "pages/") if item.key.endswith(".html")]
    names = {Path(item.key).name for item in pages}
    for stale in folder.glob("*.html"):
        if stale.name not in names:
            stale.unlink()
    for count, item in enumerate(pages, 1):
        path = folder / Path(item.key).name
        known = path.with_suffix(".etag")
        if not (path.exists() and known.exists() and known.read_text() == item.etag):
            path.write_bytes(store.get(ILLUSTRATED, item.key))
            known.write_text(item.etag)
        report(Step("Fetch the pages", count, len(pages)))
    return folder / Path(index_key("")).name


def _is_sample(file: Path) -> bool:
    return file.is_file() and file.suffix not in _NO_RECORDINGS and not file.name.startswith(".")
