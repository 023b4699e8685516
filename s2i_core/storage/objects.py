"""Objects on S3 and on anything that speaks its protocol.

Credentials come from boto's standard chain (environment, profile, container, instance) and from nowhere else; they are
never part of a setting, a pickle or a message.
"""

from __future__ import annotations

import contextlib
import io
import os
import shlex
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
)
from pydantic import Field, model_validator

from s2i_core import tracing
from s2i_core.config import Settings
from s2i_core.errors import ConfigError, ObjectArchived, ObjectGone, S2IError, StorageError, StorageUnavailable
from s2i_core.network import is_loopback, proxy_for, trouble, trust, without_login
from s2i_core.records import AudioObject
from s2i_core.sized_file import SizedFile
from s2i_core.storage.places import Place, folder, parse_uri

_FIRST_BLOCK_BYTES = 256 << 10
_LAST_BLOCK_BYTES = 8 << 20
_CHECK_ATTEMPTS = 2
_BODY_ATTEMPTS = 4
_ARCHIVES = {"GLACIER", "DEEP_ARCHIVE"}
_LONGEST_WORDS = 1000

_LOGIN_CODES = {"InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "401"}
_EXPIRED_CODES = {"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "RequestExpired"}
_REGION_CODES = {
    "AuthorizationHeaderMalformed",
    "PermanentRedirect",
    "TemporaryRedirect",
    "IllegalLocationConstraintException",
    "301",
    "307",
}
_RIGHT_CODES = {"AccessDenied", "AllAccessDisabled", "AccountProblem", "403"}
_MISSING_CODES = {"NoSuchKey", "NoSuchVersion", "404"}
_CHANGED_CODES = {"PreconditionFailed", "412", "ConditionalRequestConflict", "InvalidRange", "416"}
_BUSY_CODES = {"SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout", "Throttling", "ThrottlingException"}

LOGIN_REMEDY = (
    "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, to a login that this store knows "
    '(for the embedded store: eval "$(s2i store env)").'
)


class S3Settings(Settings):
    """Where the object store is, and how long to wait for it."""

    endpoint_url: str | None = Field(None, description="URL of an S3-compatible server; none means AWS S3.")
    region: str = Field("us-east-1", description="Region of the buckets; most S3-compatible servers ignore it.")
    allow_http: bool = Field(False, description="Allow plain HTTP to a host that is not this machine.")
    connect_timeout_s: float = Field(5.0, gt=0, description="Longest wait for a connection.")
    read_timeout_s: float = Field(30.0, gt=0, description="Longest wait for the next bytes of an answer.")
    max_attempts: int = Field(
        9, ge=1, description="Tries per request, with jittered exponential pauses: 9 survive an outage of about 45 s."
    )
    max_connections: int = Field(16, ge=1, description="Open connections per process.")

    @model_validator(mode="after")
    def _safe(self) -> S3Settings:
        if self.endpoint_url is not None:
            url = urlsplit(self.endpoint_url)
            if url.scheme not in {"http", "https"} or not url.hostname:
                raise ConfigError(
                    f"endpoint {self.endpoint_url!r}",
                    "it is not an http or https URL",
                    "Set S2I_S3_ENDPOINT to something like https://s3.example.com or http://127.0.0.1:8333.",
                )
            if url.username or url.password:
                raise ConfigError(
                    f"endpoint on {url.hostname}",
                    "it contains a login",
                    "Take the login out of the URL and set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
                )
            if url.scheme == "http" and not is_loopback(self.endpoint_url) and not self.allow_http:
                raise ConfigError(
                    f"endpoint {self.endpoint_url}",
                    "plain HTTP to another machine would send the archive unencrypted",
                    "Use https, or set S2I_S3_ALLOW_HTTP=1 on a network that you trust.",
                )
        return self

    @classmethod
    def from_env(cls) -> S3Settings:
        """Settings from `S2I_S3_ENDPOINT`, `S2I_S3_ALLOW_HTTP` and the standard AWS variables.

        Raises:
            ConfigError: the endpoint is not a URL, holds a login, or is plain HTTP to another machine.
        """
        endpoints = map(os.environ.get, ("S2I_S3_ENDPOINT", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"))
        region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
        return cls(
            endpoint_url=next(filter(None, endpoints), None),
            region=region or boto3.session.Session().region_name or "us-east-1",
            allow_http=os.environ.get("S2I_S3_ALLOW_HTTP", "").lower() in {"1", "true", "yes"},
        )

    @property
    def place(self) -> str:
        """The store, for messages."""
        return self.endpoint_url or f"AWS S3 in {self.region}"

    @property
    def url(self) -> str:
        """Where requests go; the name of a bucket may be put in front of it."""
        return self.endpoint_url or f"https://s3.{self.region}.amazonaws.com"

    @property
    def proxy(self) -> str | None:
        """The proxy through which it is reached; None for a direct connection.

        Raises:
            ConfigError: the environment names one that does not speak HTTP.
        """
        return proxy_for(self.url)

    @property
    def way(self) -> str:
        """The store and the way to it, for messages: the answer may come from the proxy."""
        return self.place + (f", asked through the proxy {without_login(self.proxy)}," if self.proxy else "")

    @property
    def on_aws(self) -> bool:
        """Whether it is AWS itself, where a bucket has one region."""
        return self.endpoint_url is None or (urlsplit(self.endpoint_url).hostname or "").endswith(".amazonaws.com")


@dataclass(frozen=True)
class ObjectInfo:
    """What the store says about an object without reading it."""

    size_bytes: int
    etag: str
    metadata: Mapping[str, str]


class ObjectStore:
    """An S3-compatible object store.

    Threads may share one. It can be pickled: each process makes its own connection pool, lazily, with the
    credentials found there. Every request is retried with jittered exponential pauses within `max_attempts`.

    All methods raise `StorageError` where the bucket, the login or a right is lacking, and `StorageUnavailable` where
    the store does not answer after all retries.
    """

    def __init__(self, settings: S3Settings | None = None) -> None:
        self.settings = settings or S3Settings.from_env()
        self._lock = threading.Lock()
        self._clients: dict[int, Any] = {}
        self._process = os.getpid()

    def __getstate__(self) -> S3Settings:
        return self.settings

    def __setstate__(self, settings: S3Settings) -> None:
        self.__init__(settings)  # type: ignore[misc]

    def __repr__(self) -> str:
        return f"ObjectStore({self.settings.place})"

    def check_readable(self, bucket: str, name: str = "") -> None:
        """Fail within seconds if the folder of that name cannot be listed.

        Raises:
            StorageError: no such bucket, one in another region, a login that is refused, or no right to list.
            StorageUnavailable: nothing answers at the endpoint.
        """
        with self._request("ListObjectsV2", bucket, name):
            answer = self._client(_CHECK_ATTEMPTS).list_objects_v2(Bucket=bucket, Prefix=folder(name), MaxKeys=1)
        # This client finds its way to another region by itself; that of the tables does not.
        region = answer["ResponseMetadata"]["HTTPHeaders"].get("x-amz-bucket-region")
        if self.settings.on_aws and region not in {None, self.settings.region}:
            raise self._in_another_region(bucket, region)

    def check_writable(self, bucket: str, name: str = "") -> None:
        """Fail within seconds if objects cannot be written to the folder; writes and deletes a small object.

        Raises:
            StorageError: no such bucket, a login that is refused, or no right to list, write or delete.
            StorageUnavailable: nothing answers at the endpoint.
        """
        self.check_readable(bucket, name)
        key = f"{folder(name)}.s2i-write-check-{os.getpid()}-{time.time_ns()}"
        client = self._client(_CHECK_ATTEMPTS)
        with self._request("PutObject", bucket, key):
            client.put_object(Bucket=bucket, Key=key, Body=b"")
            client.delete_object(Bucket=bucket, Key=key)

    def list(self, bucket: str, prefix: str = "") -> Iterator[AudioObject]:
        """All objects whose keys begin with the prefix, in the order of their keys, page by page.

        A prefix that should be a folder ends with a slash; `within` sees to that.
        """
        request: dict[str, Any] = {"Bucket": bucket, "Prefix": prefix, "MaxKeys": 1000}
        request["OptionalObjectAttributes"] = ["RestoreStatus"]
        while True:
            with self._request("ListObjectsV2", bucket, prefix):
                page = self._client().list_objects_v2(**request)
            for entry in page.get("Contents", ()):
                yield AudioObject(bucket, entry["Key"], entry["ETag"].strip('"'), entry["Size"], _archived(entry))
            if not page.get("IsTruncated"):
                return
            request["ContinuationToken"] = page["NextContinuationToken"]

    def within(self, place: Place) -> Iterator[AudioObject]:
        """All objects that an address stands for: the one of that name, then those in the folder, by key."""
        one = None if place.folder_only else self._named(place)
        if isinstance(one, AudioObject):
            yield one
        empty = True
        for item in self.list(place.bucket, place.folder):
            if place.holds(item.bucket, item.key):  # some servers normalise the prefix, and list another folder
                empty = False
                yield item
        if empty and isinstance(one, S2IError):
            raise one

    def _named(self, place: Place) -> AudioObject | S2IError | None:
        """The object with the place's own name; or the refusal, as the login may have access to the folder only."""
        with self._request("HeadObject", place.bucket, place.name, reading=True):
            try:
                answer = self._client().head_object(Bucket=place.bucket, Key=place.name)
            except ClientError as error:
                code = _code(error)
                if code in _RIGHT_CODES:
                    return self._translate(self._in_words(error, place), place.bucket, place.name, reading=True)
                if code in _MISSING_CODES:
                    return None
                raise
        restore = answer.get("Restore")  # the header of the object; a listing has the same in another form
        if restore is not None:
            answer["RestoreStatus"] = {"IsRestoreInProgress": 'ongoing-request="true"' in restore}
        return AudioObject(
            place.bucket, place.name, answer["ETag"].strip('"'), answer["ContentLength"], _archived(answer)
        )

    def _in_words(self, refusal: ClientError, place: Place) -> ClientError:
        """The refusal of a HEAD in the store's own words, as its answer has no body: the object may be archived."""
        try:
            self._client().get_object(Bucket=place.bucket, Key=place.name, Range="bytes=0-0")
        except ClientError as error:
            if _code(error) not in _MISSING_CODES:
                return error
        return refusal

    def open(self, source: AudioObject) -> BinaryIO:
        """A seekable reader of the object as it was listed; bytes come by ranged reads with growing read-ahead.

        Memory: one block of at most 8 MiB. Reading raises `ObjectGone` where the object was deleted or replaced since
        it was listed.
        """
        return io.BufferedReader(_ObjectReader(self, source), buffer_size=64 << 10)

    def read_range(self, source: AudioObject, start: int, length: int) -> bytes:
        """Bytes `[start, start + length)` of the object as it was listed; `length` is at least 1.

        Raises:
            ObjectGone: deleted or replaced since it was listed.
        """
        for attempt in range(1, _BODY_ATTEMPTS + 1):
            with self._request("GetObject", source.bucket, source.key, reading=True):
                answer = self._client().get_object(
                    Bucket=source.bucket,
                    Key=source.key,
                    Range=f"bytes={start}-{start + length - 1}",
                    IfMatch=f'"{source.etag}"',
                )
                # Not every server that speaks S3 supports If-Match.
                if answer["ETag"].strip('"') != source.etag:
                    raise _gone(source.uri, "it was replaced after it was listed")
                try:
                    return bytes(answer["Body"].read())
                except (HTTPClientError, IncompleteReadError):
                    # The answer broke off; the client itself only retries up to an answer's first byte.
                    if attempt == _BODY_ATTEMPTS:
                        raise
        raise AssertionError("unreachable")

    def get(self, bucket: str, key: str) -> bytes:
        """The whole object.

        Raises:
            ObjectGone: there is none.
        """
        with self._request("GetObject", bucket, key, reading=True):
            return bytes(self._client().get_object(Bucket=bucket, Key=key)["Body"].read())

    def head(self, bucket: str, key: str) -> ObjectInfo | None:
        """Size, etag and metadata of an object; None where there is none (or no such bucket: HEAD cannot tell)."""
        with self._request("HeadObject", bucket, key, reading=True):
            try:
                answer = self._client().head_object(Bucket=bucket, Key=key)
            except ClientError as error:
                if _code(error) in _MISSING_CODES:
                    return None
                raise
        return ObjectInfo(answer["ContentLength"], answer["ETag"].strip('"'), dict(answer.get("Metadata", {})))

    def put(
        self,
        bucket: str,
        key: str,
        data: bytes,
        content_type: str = "application/octet-stream",
        *,
        metadata: Mapping[str, str] | None = None,
        if_absent: bool = False,
    ) -> bool:
        """Write an object.

        Args:
            metadata: small facts kept with the object; lower-case ASCII names, ASCII values.
            if_absent: write only if no object has this key yet; of several concurrent writers, one wins.

        Returns:
            Whether it was written: False only with `if_absent`, if the object was already there.
        """
        request: dict[str, Any] = {"Bucket": bucket, "Key": key, "Body": data, "ContentType": content_type}
        if metadata:
            request["Metadata"] = dict(metadata)
        if if_absent:
            request["IfNoneMatch"] = "*"
        with self._request("PutObject", bucket, key):
            try:
                self._client().put_object(**request)
            except ClientError as error:
                if if_absent and _code(error) in _CHANGED_CODES:
                    return False
                raise
        return True

    def put_file(self, bucket: str, key: str, file: Path, content_type: str = "application/octet-stream") -> None:
        """Write an object from a file of this machine, which is not read into memory; 5 GiB at most."""
        with self._request("PutObject", bucket, key), file.open("rb") as body:
            self._client().put_object(Bucket=bucket, Key=key, Body=body, ContentType=content_type)

    def delete(self, bucket: str, key: str) -> None:
        """Delete an object; nothing happens if there is none."""
        with self._request("DeleteObject", bucket, key):
            self._client().delete_object(Bucket=bucket, Key=key)

    def create_bucket(self, bucket: str) -> None:
        """Make a bucket; nothing happens if it is already ours."""
        request: dict[str, Any] = {"Bucket": bucket}
        if self.settings.endpoint_url is None and self.settings.region != "us-east-1":
            request["CreateBucketConfiguration"] = {"LocationConstraint": self.settings.region}
        with self._request("CreateBucket", bucket, ""):
            try:
                self._client().create_bucket(**request)
            except ClientError as error:
                if _code(error) != "BucketAlreadyOwnedByYou":
                    raise

    def _client(self, max_attempts: int | None = None) -> Any:
        attempts = min(max_attempts or self.settings.max_attempts, self.settings.max_attempts)
        with self._lock:
            if self._process != os.getpid():  # forked: the parent's sockets are not ours
                self._clients, self._process = {}, os.getpid()
            if attempts not in self._clients:
                self._clients[attempts] = self._connect(attempts)
            return self._clients[attempts]

    def _connect(self, attempts: int) -> Any:
        return boto3.session.Session().client(
            "s3",
            endpoint_url=self.settings.endpoint_url,
            region_name=self.settings.region,
            config=Config(**self.client_options(attempts)),
        )

    def client_options(self, attempts: int | None = None) -> dict[str, Any]:
        """How clients of this store are configured, as arguments of botocore's `Config`."""
        if self.settings.url.startswith("https:"):
            trust(botocore.session.get_session().get_config_variable("ca_bundle"))
        proxy = self.settings.proxy
        return {
            "connect_timeout": self.settings.connect_timeout_s,
            "read_timeout": self.settings.read_timeout_s,
            "max_pool_connections": self.settings.max_connections,
            "retries": {"mode": "standard", "max_attempts": attempts or self.settings.max_attempts},
            "s3": {"addressing_style": "auto" if self.settings.endpoint_url is None else "path"},
            # Trailing checksums are new in AWS, and other servers stumble over them.
            "request_checksum_calculation": "when_required",
            "response_checksum_validation": "when_required",
            "user_agent_extra": "s2i",
            # Always set: boto would look for itself, and find another one.
            "proxies": {"http": proxy, "https": proxy} if proxy else {},
        }

    @contextlib.contextmanager
    def _request(self, operation: str, bucket: str, key: str, *, reading: bool = False) -> Iterator[None]:
        """A span of the trace; turns botocore's errors into ours, which name the object, the reason and the remedy."""
        facts = {"rpc.system": "aws-api", "rpc.service": "S3", "rpc.method": operation}
        with tracing.span(f"S3 {operation}", {**facts, "aws.s3.bucket": bucket, "aws.s3.key": key}):
            try:
                yield
            except (ClientError, BotoCoreError) as error:
                raise self._translate(error, bucket, key, reading) from error

    def _translate(self, error: Exception, bucket: str, key: str, reading: bool) -> S2IError:
        uri = f"s3://{bucket}/{key}" if key else f"s3://{bucket}"
        if isinstance(error, ClientError):
            return self._answered(error, bucket, uri, reading)
        if isinstance(error, NoCredentialsError | PartialCredentialsError):
            return StorageError(uri, "no login for the object store was found", LOGIN_REMEDY)
        if isinstance(error, ParamValidationError):
            return StorageError(
                uri,
                "the name of the bucket or the object is not allowed in S3",
                "Correct the name: see s3://bucket/key.",
            )
        if isinstance(error, ConnectionError | HTTPClientError | IncompleteReadError):
            said = f"{type(error).__name__}: {error} {error.kwargs.get('error', '')}"
            if (found := trouble(said, self.settings.url)) is not None:
                kind = StorageUnavailable if found.passes else StorageError
                return kind(uri, f"the object store at {self.settings.place}: {found.reason}", found.remedy)
            return StorageUnavailable(
                uri,
                f"the object store at {self.settings.way} does not answer ({type(error).__name__})",
                "Start it (`s2i store up` for the embedded one), or correct S2I_S3_ENDPOINT or the AWS variables.",
            )
        return StorageError(uri, f"the client refused the request ({error})", LOGIN_REMEDY)

    def _answered(self, error: ClientError, bucket: str, uri: str, reading: bool) -> S2IError:
        facts, code = error.response.get("Error", {}), _code(error)
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        if code == "NoSuchBucket":
            return StorageError(
                f"s3://{bucket}",
                f"there is no such bucket at {self.settings.place}",
                "Create it, or correct its name, the region or the endpoint.",
            )
        known = self._refused(error, code, bucket, uri) or self._out_of_reach(facts, code, status, uri)
        if known is not None:
            return known
        if reading and code in _MISSING_CODES | _CHANGED_CODES:
            missing = code in _MISSING_CODES
            return _gone(
                uri, "there is no such object (any more)" if missing else "it was replaced after it was listed"
            )
        if code in _BUSY_CODES or status >= 500 or status == 429:
            return StorageUnavailable(
                uri,
                f"{self.settings.way} is overloaded or ill ({_words(code or status, facts)})",
                "Run again later, or lower the concurrency.",
            )
        said = _words(code or status, facts)
        remedy = (
            "Mend what the store names; the next runs try this object again."
            if reading
            else "Correct the address or the key; some S3-compatible servers do not take every key that S3 takes."
        )
        return StorageError(uri, f"{self.settings.place} refused the request ({said})", _of_encryption(said) or remedy)

    def _refused(self, error: ClientError, code: str, bucket: str, uri: str) -> StorageError | None:
        """What is wrong with the login, the region or the rights; None if it is none of these."""
        if code in _EXPIRED_CODES:
            return StorageError(
                uri,
                f"the login has expired ({code})",
                "Log in again (`aws sso login`, or new values for AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and "
                "AWS_SESSION_TOKEN), or let the machine have a role that renews itself.",
            )
        if code == "RequestTimeTooSkewed":
            return StorageError(
                uri, "the clock of this machine is wrong, so that no signature is taken", "Set it: see `timedatectl`."
            )
        if code in _REGION_CODES:
            headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
            region = error.response["Error"].get("Region") or headers.get("x-amz-bucket-region")
            return self._in_another_region(bucket, region)
        if code in _LOGIN_CODES:
            return StorageError(uri, f"{self.settings.place} refused the login ({code})", LOGIN_REMEDY)
        if code in _RIGHT_CODES:
            said = _words(code, error.response["Error"])
            return StorageError(
                uri,
                f"{self.settings.way} refused access ({said})",
                _of_encryption(said)
                or "Give this login the right to list, read and write there, or use another login; a bucket of another "
                "account must also let this one in by its own policy.",
            )
        return None

    def _out_of_reach(self, facts: Mapping[str, Any], code: str, status: int, uri: str) -> StorageError | None:
        """The error for an archived object, or for a proxy's answer; None if it is neither."""
        if code == "InvalidObjectState":
            return archived(uri, str(facts.get("StorageClass") or ""), str(facts.get("AccessTier") or ""))
        if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
            found = trouble(f"{status} proxy", self.settings.url)
            assert found is not None
            return StorageError(uri, found.reason, found.remedy)
        return None

    def _in_another_region(self, bucket: str, region: str | None) -> StorageError:
        return StorageError(
            f"s3://{bucket}",
            f"the bucket is in {f'region {region}' if region else 'another region'}, "
            f"not in {self.settings.region}, as asked",
            f"Set AWS_REGION={region or '… to the region of the bucket'}.",
        )


def archived(uri: str, storage_class: str, tier: str = "", *, restoring: bool = False) -> ObjectArchived:
    """The error for an object that lies in an archive.

    Args:
        storage_class: as the store names it.
        tier: of `INTELLIGENT_TIERING`, where it lies in one of that class's archives.
    """
    bucket, key = parse_uri(uri)
    request = "{}" if tier else "Days=7"  # of that class an object comes back for good
    where = f" ({tier or storage_class})" if tier or storage_class else ""
    return ObjectArchived(
        uri,
        f"it is in Glacier{where}, from where it cannot be read" + (", and is being restored" if restoring else ""),
        "Wait: a run after that takes it up by itself."
        if restoring
        else "Restore it, then the next run takes it up by itself: aws s3api restore-object "
        f"--bucket {shlex.quote(bucket)} --key {shlex.quote(key)} --restore-request '{request}'",
    )


def _archived(entry: Mapping[str, Any]) -> str:
    """The archive that a listed object lies in; a listing does not tell for `INTELLIGENT_TIERING`."""
    storage_class = str(entry.get("StorageClass", ""))
    restore = entry.get("RestoreStatus")
    restored = restore is not None and not restore.get("IsRestoreInProgress")
    return storage_class if storage_class in _ARCHIVES and not restored else ""


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _words(code: str | int, facts: Mapping[str, Any]) -> str:
    """What the store itself said."""
    message = " ".join(str(facts.get("Message") or "").split())
    return f"{code}: {message}"[:_LONGEST_WORDS] if message and message != str(code) else str(code)


def _of_encryption(said: str) -> str | None:
    """The remedy if the store's message is about an encryption key."""
    words = said.lower()
    if "kms" in words:
        return "Let this login decrypt with that key (kms:Decrypt), and see that the key is enabled."
    if "server side encryption" in words or "customer-provided" in words or "sse-c" in words:
        return "It is encrypted with a key of its owner's (SSE-C): copy it without one, or with a key of KMS."
    return None


def _gone(uri: str, reason: str) -> ObjectGone:
    return ObjectGone(uri, reason, "Nothing to do: the next run lists the archive again.")


class _ObjectReader(SizedFile):
    """One object read by ranges: sequential reads double the size of the next block, a jump starts small again."""

    def __init__(self, store: ObjectStore, source: AudioObject) -> None:
        super().__init__(source.size_bytes)
        self._store = store
        self._source = source
        self._block = b""
        self._block_start = 0
        self._next_bytes = _FIRST_BLOCK_BYTES

    @property
    def name(self) -> str:
        return self._source.uri

    def readinto(self, buffer: Any) -> int:
        wanted = min(len(buffer), self._source.size_bytes - self._position)
        if wanted <= 0:
            if self._source.size_bytes == 0:
                self._check_empty()
            return 0
        offset = self._position - self._block_start
        if not 0 <= offset < len(self._block):
            self._fetch(wanted)
            offset = 0
        taken = self._block[offset : offset + wanted]
        buffer[: len(taken)] = taken
        self._position += len(taken)
        return len(taken)

    def _fetch(self, wanted: int) -> None:
        in_order = self._position == self._block_start + len(self._block)
        self._next_bytes = min(2 * self._next_bytes, _LAST_BLOCK_BYTES) if in_order else _FIRST_BLOCK_BYTES
        length = min(max(wanted, self._next_bytes), self._source.size_bytes - self._position)
        self._block = b""  # before the next is fetched: one block in memory, not two
        self._block = self._store.read_range(self._source, self._position, min(length, _LAST_BLOCK_BYTES))
        self._block_start = self._position
        if not self._block:
            raise _gone(self._source.uri, "it is shorter than when it was listed")

    def _check_empty(self) -> None:
        """An empty object has no range to request: check that it is still there and unchanged."""
        info = self._store.head(self._source.bucket, self._source.key)
        if info is None:
            raise _gone(self._source.uri, "there is no such object (any more)")
        if info.etag != self._source.etag:
            raise _gone(self._source.uri, "it was replaced after it was listed")
