"""API keys: random, shown once, stored as hashes, with a quota each.

A key has 256 random bits, so that a plain SHA-256 cannot be turned round: the slow hashes that passwords need protect
what people choose, not this.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import time
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field, ValidationError

from s2i_core.config import Settings
from s2i_core.errors import ConfigError

PREFIX = "s2i_"
CHECK_S = 2.0
"""So often the file is looked at."""


class Key(Settings):
    """One client: who it is, how its key is recognised, how much it may use."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", description="For the log and for quotas.")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="Of the key.")
    images_per_minute: int = Field(60, ge=1, description="Pictures, clips and recordings together.")
    audio_s_per_day: float = Field(24 * 3600.0, gt=0, description="Seconds of recordings.")
    edits: bool = Field(False, description="Whether it may change what runs drew, under its name.")
    queries: bool = Field(False, description="Whether it may ask the tables, `/v1/query`.")


class KeyFile(Settings):
    """The file of keys."""

    keys: tuple[Key, ...] = ()


class Keys:
    """The keys of a file; a change of the file counts within seconds, so that a key can be withdrawn.

    Raises:
        ConfigError: the file is missing or damaged.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, int] | None = None
        self._checked = 0.0
        self._keys: tuple[Key, ...] = ()
        self._load()

    def find(self, key: str) -> Key | None:
        """Whose key this is; None for nobody's. Takes as long for a wrong one as for a right one."""
        self._refresh()
        given = digest(key)
        found = None
        for each in self._keys:
            if hmac.compare_digest(each.sha256, given):
                found = each
        return found

    def hold(self, key: Key) -> bool:
        """Whether this key is still there, and not another one of that name."""
        self._refresh()
        return any(each.sha256 == key.sha256 for each in self._keys)

    def _refresh(self) -> None:
        if time.monotonic() - self._checked > CHECK_S:
            self._load()

    def _load(self) -> None:
        self._checked = time.monotonic()
        try:
            status = self._path.stat()
            stamp = (status.st_mtime_ns, status.st_size)
            if stamp != self._stamp:
                self._keys, self._stamp = read(self._path).keys, stamp
        except FileNotFoundError as error:
            raise ConfigError(str(self._path), "the file of keys is missing", "Make one: s2i serve key.") from error


@dataclass
class _Bucket:
    level: float
    at: float


class Quotas:
    """What each has used: token buckets that fill up again at a steady rate.

    Args:
        most: buckets that are kept, those that were used last. Keys of the file are few; addresses are not.
    """

    def __init__(self, most: int = 10_000) -> None:
        self._buckets: dict[tuple[str, str], _Bucket] = {}
        self._most = most

    def spend(self, name: str, kind: str, amount: float, capacity: float, per_s: float) -> float:
        """Take an amount; returns 0, or the seconds after which there is enough again, and then nothing is taken."""
        now = time.monotonic()
        bucket = self._buckets.pop((name, kind), None) or _Bucket(capacity, now)
        self._buckets[name, kind] = bucket
        if len(self._buckets) > self._most:
            del self._buckets[next(iter(self._buckets))]
        bucket.level = min(capacity, bucket.level + (now - bucket.at) * per_s)
        bucket.at = now
        # What is larger than the bucket waits for a full one, and is not refused for ever.
        if bucket.level < min(amount, capacity):
            return (min(amount, capacity) - bucket.level) / per_s
        bucket.level -= amount
        return 0.0

    def images(self, key: Key, images: int) -> float:
        """Take pictures of a key's minute; as `spend`."""
        return self.spend(key.name, "images", images, float(key.images_per_minute), key.images_per_minute / 60)

    def audio(self, key: Key, seconds: float) -> float:
        """Take seconds of recordings of a key's day; as `spend`."""
        return self.spend(key.name, "audio", seconds, key.audio_s_per_day, key.audio_s_per_day / 86400)


def digest(key: str) -> str:
    """SHA-256 of a key, in hexadecimal."""
    # A WebSocket's protocols may hold bytes that are no text.
    return hashlib.sha256(key.encode(errors="surrogateescape")).hexdigest()


def read(path: Path) -> KeyFile:
    """The file of keys.

    Raises:
        FileNotFoundError: there is none.
        ConfigError: it is damaged.
    """
    try:
        return KeyFile.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise ConfigError(str(path), "the file of keys is damaged", "Restore it, or make new keys.") from error


def add(
    path: Path,
    name: str,
    images_per_minute: int,
    audio_s_per_day: float,
    *,
    edits: bool = False,
    queries: bool = False,
) -> str:
    """Make a key, write its hash into the file (mode 0600), and return it: the only time that it is seen.

    Raises:
        ConfigError: the name is taken or not allowed, or the file is damaged.
    """
    held = read(path).keys if path.exists() else ()
    if any(each.name == name for each in held):
        raise ConfigError(f"key {name!r}", "the name is taken", "Choose another, or withdraw that key first.")
    key = PREFIX + secrets.token_urlsafe(32)
    try:
        new = Key(
            name=name,
            sha256=digest(key),
            images_per_minute=images_per_minute,
            audio_s_per_day=audio_s_per_day,
            edits=edits,
            queries=queries,
        )
    except ValidationError as error:
        raise ConfigError(
            f"key {name!r}", str(error.errors()[0]["msg"]), "Use letters, digits, dots, dashes."
        ) from error
    _write(path, KeyFile(keys=(*held, new)))
    return key


def remove(path: Path, name: str) -> None:
    """Withdraw a key.

    Raises:
        ConfigError: there is none of that name.
    """
    held = read(path).keys if path.exists() else ()
    left = tuple(each for each in held if each.name != name)
    if len(left) == len(held):
        raise ConfigError(f"key {name!r}", "there is none of that name", "See the names: s2i serve keys.")
    _write(path, KeyFile(keys=left))


def _write(path: Path, content: KeyFile) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(path.name + ".new")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(content.model_dump_json(indent=2) + "\n")
    new.replace(path)
