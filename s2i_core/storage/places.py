"""What an address in object storage means: a folder with everything in it, or one object.

`s3://bucket/talks` is the folder `talks/` and the object `talks` itself, and nothing else: `talks-private/…` and
`talks2/…`, which begin with the same letters, are other folders. `s3://bucket/talks/` is the folder alone, and
`s3://bucket` all of the bucket. Everything that takes the address of a source or a destination follows this rule.
"""

from __future__ import annotations

from dataclasses import dataclass

from s2i_core.errors import ConfigError


@dataclass(frozen=True)
class Place:
    """A folder, or one object.

    Attributes:
        bucket: name of the bucket.
        name: key without slashes at its end; empty for the whole bucket. Nothing is unescaped.
        folder_only: the address ended with a slash, so that an object called `name` is not meant.
    """

    bucket: str
    name: str
    folder_only: bool = False

    @classmethod
    def of(cls, uri: str) -> Place:
        """From `s3://bucket` or `s3://bucket/key`, with or without slashes at its end.

        Raises:
            ConfigError: not an S3 URI, or without a bucket.
        """
        bucket, key = parse_uri(uri)
        name = key.rstrip("/")
        return cls(bucket, name, folder_only=name != key or not name)

    @property
    def uri(self) -> str:
        """The address, with a slash at its end where only a folder is meant."""
        if not self.name:
            return f"s3://{self.bucket}"
        return f"s3://{self.bucket}/{self.name}{'/' if self.folder_only else ''}"

    @property
    def folder(self) -> str:
        """Prefix of the keys in the folder; empty for the whole bucket."""
        return folder(self.name)

    def holds(self, bucket: str, key: str) -> bool:
        """Whether this object belongs to the place."""
        if bucket != self.bucket:
            return False
        return key.startswith(self.folder) or (not self.folder_only and key == self.name)

    def overlaps(self, other: Place) -> bool:
        """Whether one lies in the other, as a store may see it: some treat `a//b` or `/a/b` as `a/b`."""
        mine, theirs = _plain(self.name), _plain(other.name)
        return self.bucket == other.bucket and (mine.startswith(theirs) or theirs.startswith(mine))


def parse_uri(uri: str) -> tuple[str, str]:
    """Split `s3://bucket/key` into bucket and key; nothing is unescaped.

    Raises:
        ConfigError: not an S3 URI, or without a bucket.
    """
    scheme, found, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    if not found or scheme != "s3" or not bucket:
        raise ConfigError(
            repr(uri), "it is not the address of a bucket", "Write it as s3://bucket or s3://bucket/folder."
        )
    return bucket, key


def folder(key: str) -> str:
    """Prefix of the keys in the folder of this name; empty for an empty name."""
    name = key.rstrip("/")
    return f"{name}/" if name else ""


def destination(uri: str) -> Place:
    """The folder that results go to.

    Raises:
        ConfigError: not an S3 URI, or a folder in it has no name of its own (`//`, `.`, `..`), which stores and tables
            treat differently.
    """
    place = Place.of(uri)
    if place.name and any(part in {"", ".", ".."} for part in place.name.split("/")):
        plain = "/".join(part for part in place.name.split("/") if part not in {"", ".", ".."})
        raise ConfigError(
            repr(uri),
            "a folder on the way has no name ('//'), or one that stands for another ('.', '..')",
            f"Write it as s3://{place.bucket}/{plain}.",
        )
    return Place(place.bucket, place.name, folder_only=True)


def keep_apart(source: str, results: str) -> tuple[Place, Place]:
    """The places of these addresses, neither of which lies in the other.

    Raises:
        ConfigError: one of them is not an address, or one lies in the other.
    """
    read, written = Place.of(source), destination(results)
    if read.overlaps(written):
        raise ConfigError(
            results,
            f"it and the source {source} lie in each other, so that the next run would read what this one wrote",
            "Name a destination outside the source, such as another bucket.",
        )
    return read, written


def _plain(name: str) -> str:
    return folder("/".join(part for part in name.split("/") if part not in {"", "."}))
