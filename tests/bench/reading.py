"""Reading recordings from S3: bytes a second, over those of `rclone copy` of the same files.

Both read the same files from the same server, turn by turn; files are read by ranges as the decoder reads them, as many
at a time as rclone transfers. Needs rclone (Debian package rclone), on the path or named in S2I_RCLONE.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from s2i_core.errors import ConfigError
from s2i_core.records import AudioObject
from s2i_core.storage.objects import ObjectStore
from tests.bench.results import Options
from tests.bench.setting import own_store

_FILES, _FILE_BYTES = 12, 32 << 20
_AT_ONCE = 4
_TURNS = 3


def run(options: Options) -> dict[str, Any]:
    """Put files into a bucket, and read them both ways, turn by turn; the best turn of each counts."""
    rclone = os.environ.get("S2I_RCLONE") or shutil.which("rclone")
    if rclone is None:
        raise ConfigError("rclone", "it is not installed", "Install the Debian package rclone, or set S2I_RCLONE.")
    size = 1 << 20 if options.quick else _FILE_BYTES
    with own_store() as store:
        store.create_bucket("archive")
        for number in range(_FILES):
            store.put("archive", f"{number}.wav", os.urandom(size))
        files = list(store.list("archive"))
        ours, theirs, equal = [], [], True
        for _ in range(1 if options.quick else _TURNS):
            read, seconds = _read(store, files)
            ours.append(read / seconds)
            copied, seconds = _copy(rclone, store)
            theirs.append(copied / seconds)
            equal &= read == copied == _FILES * size
    return {
        "over_rclone": round(max(ours) / max(theirs), 3),
        "mb_s": round(max(ours) / 1e6, 1),
        "rclone_mb_s": round(max(theirs) / 1e6, 1),
        "bytes_equal": equal,
        "at_once": _AT_ONCE,
    }


def _read(store: ObjectStore, files: list[AudioObject]) -> tuple[int, float]:
    def length(source: AudioObject) -> int:
        read = 0
        with store.open(source) as file:
            while data := file.read(1 << 20):
                read += len(data)
        return read

    started = time.monotonic()
    with ThreadPoolExecutor(_AT_ONCE) as readers:
        return sum(readers.map(length, files)), time.monotonic() - started


def _copy(rclone: str, store: ObjectStore) -> tuple[int, float]:
    remote = f":s3,provider=Other,env_auth=true,endpoint='{store.settings.endpoint_url}':archive"
    with tempfile.TemporaryDirectory() as folder:
        started = time.monotonic()
        command = [rclone, "copy", remote, folder, f"--transfers={_AT_ONCE}", "--config=/dev/null"]
        # Some versions end where this names certificates, which a store on loopback has no use for.
        variables = {name: value for name, value in os.environ.items() if name != "AWS_CA_BUNDLE"}
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=variables)
        seconds = time.monotonic() - started
        return sum(path.stat().st_size for path in Path(folder).iterdir()), seconds
