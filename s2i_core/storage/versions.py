"""Objects with all their versions, in a bucket that keeps them: a deletion there only hides what was."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from s2i_core.storage.objects import ObjectStore

_WORKERS = 8


@dataclass(frozen=True)
class Version:
    """One version of an object.

    Attributes:
        version_id: empty in a bucket that keeps none.
        latest: what a plain read gets.
        marker: a note that the object was deleted; it has no bytes.
    """

    key: str
    version_id: str
    size_bytes: int
    latest: bool
    marker: bool = False


class VersionedStore(ObjectStore):
    """An object store whose old versions can be seen and deleted; for buckets without versions as well."""

    def keeps_versions(self, bucket: str) -> bool:
        """Whether the bucket keeps, or ever kept, old versions."""
        with self._request("GetBucketVersioning", bucket, ""):
            return bool(self._client().get_bucket_versioning(Bucket=bucket).get("Status"))

    def versions(self, bucket: str, prefix: str) -> Iterator[Version]:
        """Every version of the objects whose keys begin so, deletions included, page by page."""
        request: dict[str, Any] = {"Bucket": bucket, "Prefix": prefix}
        while True:
            with self._request("ListObjectVersions", bucket, prefix):
                page = self._client().list_object_versions(**request)
            for name, marker in (("Versions", False), ("DeleteMarkers", True)):
                for each in page.get(name, ()):
                    size = 0 if marker else int(each["Size"])
                    yield Version(each["Key"], each.get("VersionId") or "", size, bool(each["IsLatest"]), marker)
            if not page.get("IsTruncated"):
                return
            request |= {"KeyMarker": page["NextKeyMarker"]}
            if page.get("NextVersionIdMarker"):
                request["VersionIdMarker"] = page["NextVersionIdMarker"]

    def folders(self, bucket: str, prefix: str) -> list[str]:
        """Names of the folders directly below a prefix, and of the objects there."""
        names: set[str] = set()
        request: dict[str, Any] = {"Bucket": bucket, "Prefix": prefix, "Delimiter": "/"}
        while True:
            with self._request("ListObjectsV2", bucket, prefix):
                page = self._client().list_objects_v2(**request)
            names.update(each["Prefix"] for each in page.get("CommonPrefixes", ()))
            names.update(each["Key"] for each in page.get("Contents", ()))
            if not page.get("IsTruncated"):
                return sorted(names)
            request["ContinuationToken"] = page["NextContinuationToken"]

    def read_version(self, bucket: str, version: Version) -> bytes:
        """The bytes of a version.

        Raises:
            ObjectGone: there is none any more.
        """
        request = {"Bucket": bucket, "Key": version.key} | _of(version)
        with self._request("GetObject", bucket, version.key, reading=True):
            return bytes(self._client().get_object(**request)["Body"].read())

    def delete_versions(self, bucket: str, versions: Iterable[Version]) -> int:
        """Delete these versions for good; returns how many there were."""

        def one(version: Version) -> None:
            with self._request("DeleteObject", bucket, version.key):
                self._client().delete_object(**({"Bucket": bucket, "Key": version.key} | _of(version)))

        with ThreadPoolExecutor(_WORKERS, thread_name_prefix="delete") as pool:
            return len(list(pool.map(one, versions)))


def _of(version: Version) -> dict[str, str]:
    return {"VersionId": version.version_id} if version.version_id else {}
