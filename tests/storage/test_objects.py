"""Objects, against a real S3 server."""

from __future__ import annotations

import http.server
import io
import pickle
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from authorities import authority, server
from fronts import archived, front, refusal

from s2i_core.errors import ConfigError, ObjectArchived, ObjectGone, S2IError, StorageError, StorageUnavailable
from s2i_core.records import AudioObject, Failure, Stage
from s2i_core.storage.embedded import StoreInfo
from s2i_core.storage.objects import ObjectStore, S3Settings
from s2i_core.storage.places import Place, parse_uri

QUICK_S = 8.0

KEYS = [
    "plain.mp3",
    "with  spaces at both ends .mp3",
    "quotes'\"`.mp3",
    "a..b/..c/d...mp3",
    "emoji 🎙️/ünïcode 語.mp3",
    "percent%20+&?#=;:@,~*()[]{}<>|^$!.mp3",
    "new\nline.mp3",
    "tab\tand\x01control.mp3",
    "/".join(["deep" * 12] * 18) + "/" + "x" * 18,
]

#: Legal in S3; the embedded server keeps objects as files of a tree and cannot hold them.
KEYS_NOT_FOR_A_TREE = ["../up.mp3", "a/../b/./c.mp3", "x" * 900]


@pytest.fixture(autouse=True)
def _store(store: StoreInfo) -> None:
    """Every test here has the environment of the embedded store."""


def put(objects: ObjectStore, bucket: str, key: str, data: bytes) -> AudioObject:
    objects.put(bucket, key, data)
    return next(found for found in objects.list(bucket) if found.key == key)


def complaint(error: type[S2IError], subject: str, call: object) -> S2IError:
    """The error of a call that must fail quickly, with a subject, a reason and a remedy."""
    started = time.monotonic()
    with pytest.raises(error) as caught:
        call()  # type: ignore[operator]
    assert time.monotonic() - started < QUICK_S
    assert caught.type is error
    assert subject in caught.value.subject
    assert caught.value.reason
    assert caught.value.remedy
    return caught.value


@pytest.mark.parametrize("key", KEYS, ids=ascii)
def test_keys_survive_put_list_open_head(objects: ObjectStore, bucket: str, key: str) -> None:
    data = f"bytes of {key!r}".encode()
    objects.put(bucket, key, data, metadata={"kind": "test"})
    [listed] = list(objects.list(bucket))
    assert (listed.key, listed.size_bytes, listed.uri) == (key, len(data), f"s3://{bucket}/{key}")
    with objects.open(listed) as file:
        assert file.read() == data
    info = objects.head(bucket, key)
    assert info is not None
    assert (info.etag, info.size_bytes, info.metadata) == (listed.etag, len(data), {"kind": "test"})
    assert objects.get(bucket, key) == data
    objects.delete(bucket, key)
    assert list(objects.list(bucket)) == []
    assert len(KEYS[-1]) == 900


@pytest.mark.parametrize("key", KEYS_NOT_FOR_A_TREE, ids=lambda key: ascii(key[:20]))
def test_a_key_that_the_server_refuses_is_named(objects: ObjectStore, bucket: str, key: str) -> None:
    error = complaint(StorageError, f"s3://{bucket}/{key}", lambda: objects.put(bucket, key, b"data"))
    assert "key" in error.remedy


def test_keys_reach_the_wire_unchanged() -> None:
    """What an S3 that takes every key would see: nothing on the way tidies `..`, `//` or a percent sign."""
    keys = [*KEYS, *KEYS_NOT_FOR_A_TREE]
    paths: list[str] = []

    class Recorder(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # with the former one it never says to go on, for which the client waits a second

        def do_PUT(self) -> None:
            paths.append(self.path)
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Recorder) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        client = ObjectStore(S3Settings(endpoint_url=f"http://127.0.0.1:{server.server_port}"))
        for key in keys:
            client.put("bucket", key, b"data")
        server.shutdown()
    assert [unquote(path) for path in paths] == [f"/bucket/{key}" for key in keys]


def test_missing_bucket(objects: ObjectStore) -> None:
    for call in (
        lambda: objects.check_readable("no-such-bucket", "a/"),
        lambda: objects.check_writable("no-such-bucket", "a/"),
        lambda: list(objects.list("no-such-bucket")),
        lambda: objects.get("no-such-bucket", "key"),
        lambda: objects.put("no-such-bucket", "key", b""),
    ):
        error = complaint(StorageError, "s3://no-such-bucket", call)
        assert "no such bucket" in error.reason
    complaint(StorageError, "s3://Not_A%Name", lambda: objects.check_readable("Not_A%Name"))


def test_wrong_login(store: StoreInfo, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-the-secret")
    wrong = ObjectStore(store.settings())
    for call in (
        lambda: wrong.check_readable(bucket),
        lambda: wrong.check_writable(bucket),
        lambda: wrong.get(bucket, "k"),
    ):
        error = complaint(StorageError, f"s3://{bucket}", call)
        assert "refused the login" in error.reason
        assert "AWS_ACCESS_KEY_ID" in error.remedy
        assert "not-the-secret" not in str(error)
    complaint(StorageError, f"s3://{bucket}/k", lambda: wrong.head(bucket, "k"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "NOBODY")
    complaint(StorageError, f"s3://{bucket}", lambda: ObjectStore(store.settings()).check_readable(bucket))


def test_no_login(store: StoreInfo, bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    error = complaint(StorageError, bucket, lambda: ObjectStore(store.settings()).check_readable(bucket))
    assert "no login" in error.reason


def test_nobody_answers() -> None:
    store = ObjectStore(S3Settings(endpoint_url="http://127.0.0.1:9"))
    error = complaint(StorageUnavailable, "s3://bucket", lambda: store.check_readable("bucket"))
    assert error.transient
    assert "127.0.0.1:9" in error.reason


def test_access_is_checked_without_a_trace(objects: ObjectStore, bucket: str) -> None:
    objects.check_readable(bucket, "some/prefix")
    objects.check_writable(bucket, "some/prefix/")
    assert list(objects.list(bucket)) == []


def test_empty_object(objects: ObjectStore, bucket: str) -> None:
    empty = put(objects, bucket, "empty.mp3", b"")
    with objects.open(empty) as file:
        assert file.read() == b""
        assert file.seek(0, io.SEEK_END) == 0
    objects.put(bucket, "empty.mp3", b"no longer")
    with objects.open(empty) as file, pytest.raises(ObjectGone, match="replaced"):
        file.read()
    objects.delete(bucket, "empty.mp3")
    with objects.open(empty) as file, pytest.raises(ObjectGone, match="no such object"):
        file.read()


def test_deleted_after_listing(objects: ObjectStore, bucket: str) -> None:
    listed = put(objects, bucket, "a talk.mp3", b"x" * 1000)
    objects.delete(bucket, "a talk.mp3")
    with objects.open(listed) as file:
        error = complaint(ObjectGone, listed.uri, file.read)
    assert error.transient
    complaint(ObjectGone, listed.uri, lambda: objects.get(bucket, "a talk.mp3"))
    assert objects.head(bucket, "a talk.mp3") is None


def test_replaced_in_the_middle_of_reading(objects: ObjectStore, bucket: str) -> None:
    listed = put(objects, bucket, "talk.mp3", b"x" * 3_000_000)
    with objects.open(listed) as file:
        assert file.read(10) == b"x" * 10
        objects.put(bucket, "talk.mp3", b"y" * 3_000_000)
        with pytest.raises(ObjectGone, match="replaced"):
            file.read()


def test_seek_and_read_agree_with_a_local_file(objects: ObjectStore, bucket: str) -> None:
    chance = random.Random(1)
    data = chance.randbytes(12_345_678)
    listed = put(objects, bucket, "long.wav", data)
    local = io.BytesIO(data)
    with objects.open(listed) as file:
        assert file.seekable()
        for _ in range(60):
            whence = chance.choice([io.SEEK_SET, io.SEEK_CUR, io.SEEK_END])
            offset = {
                io.SEEK_SET: chance.randrange(len(data) + 100),
                io.SEEK_CUR: chance.randrange(100_000),
                io.SEEK_END: -chance.randrange(len(data)),
            }[whence]
            assert file.seek(offset, whence) == local.seek(offset, whence)
            length = chance.choice([1, 100, 5_000, 300_000, 2_000_000])
            assert file.read(length) == local.read(length)
            assert file.tell() == local.tell()
        file.seek(0)
        assert file.read() == data
        assert file.read(1) == b""


def test_reading_in_order_asks_for_growing_ranges(
    objects: ObjectStore, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = put(objects, bucket, "long.wav", bytes(20 << 20))
    lengths: list[int] = []
    read_range = ObjectStore.read_range

    def recorded(self: ObjectStore, source: AudioObject, start: int, length: int) -> bytes:
        lengths.append(length)
        return read_range(self, source, start, length)

    monkeypatch.setattr(ObjectStore, "read_range", recorded)
    with objects.open(listed) as file:
        while file.read(4096):
            pass
    assert sum(lengths) == 20 << 20
    assert len(lengths) < 9
    assert max(lengths) == 8 << 20


def test_one_of_many_writers_wins(objects: ObjectStore, bucket: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        written = list(pool.map(lambda n: objects.put(bucket, "one", str(n).encode(), if_absent=True), range(16)))
    assert sum(written) == 1
    assert objects.get(bucket, "one") == str(written.index(True)).encode()


def test_more_than_a_page_is_listed(objects: ObjectStore, bucket: str) -> None:
    names = [f"p/{number:05d}.mp3" for number in range(1100)]
    with ThreadPoolExecutor(12) as pool:
        list(pool.map(lambda name: objects.put(bucket, name, b""), names))
    objects.put(bucket, "q", b"elsewhere")
    assert [found.key for found in objects.list(bucket, "p/")] == names


def test_metadata_round_trip(objects: ObjectStore, bucket: str) -> None:
    facts = {"similarity": "0.25", "sha256": "ab" * 32, "text": "with spaces; and, signs"}
    objects.put(bucket, "image.webp", b"RIFF", "image/webp", metadata=facts)
    info = objects.head(bucket, "image.webp")
    assert info is not None
    assert info.metadata == facts


def test_a_pickle_holds_no_secret_and_works(store: StoreInfo, objects: ObjectStore, bucket: str) -> None:
    objects.put(bucket, "key", b"data")
    text = pickle.dumps(objects)
    assert store.secret_key.encode() not in text
    assert store.secret_key not in repr(store) + repr(objects) + repr(objects.settings)
    assert pickle.loads(text).get(bucket, "key") == b"data"


def test_errors_survive_pickling(objects: ObjectStore) -> None:
    with pytest.raises(StorageError) as caught:
        objects.check_readable("no-such-bucket")
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_parse_uri() -> None:
    assert parse_uri("s3://bucket") == ("bucket", "")
    assert parse_uri("s3://bucket/a b/%20?#/") == ("bucket", "a b/%20?#/")
    for wrong in ("", "bucket/key", "s3:/bucket", "s3://", "s3:///key", "https://bucket/key", "/tmp/folder"):
        with pytest.raises(ConfigError, match="s3://bucket"):
            parse_uri(wrong)


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://general.example")
    monkeypatch.setenv("AWS_REGION", "eu-north-1")
    monkeypatch.setenv("S2I_S3_ENDPOINT", "https://ours.example")
    assert S3Settings.from_env().endpoint_url == "https://ours.example"
    assert S3Settings.from_env().region == "eu-north-1"
    monkeypatch.delenv("S2I_S3_ENDPOINT")
    assert S3Settings.from_env().endpoint_url == "https://general.example"
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    assert S3Settings.from_env().endpoint_url is None


@pytest.mark.parametrize("endpoint", ["ftp://host", "just-a-host", "http://10.0.0.7:9000", "https://user:pass@host"])
def test_unsafe_endpoints_are_refused(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S2I_S3_ENDPOINT", endpoint)
    with pytest.raises(ConfigError) as caught:
        S3Settings.from_env()
    assert "user:pass" not in str(caught.value)


def test_plain_http_to_another_machine_needs_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S2I_S3_ENDPOINT", "http://10.0.0.7:9000")
    monkeypatch.setenv("S2I_S3_ALLOW_HTTP", "1")
    assert S3Settings.from_env().endpoint_url == "http://10.0.0.7:9000"


@pytest.mark.parametrize(
    ("answer", "kind", "reason", "remedy"),
    [
        (
            refusal(403, "AccessDenied", "User: me is not authorized to perform: s3:GetObject with an explicit deny"),
            StorageError,
            "not authorized to perform: s3:GetObject with an explicit deny",
            "the right to list, read and write",
        ),
        (
            refusal(403, "AccessDenied", "User: me is not authorized to perform: kms:Decrypt on the resource"),
            StorageError,
            "kms:Decrypt",
            "kms:Decrypt",
        ),
        (refusal(400, "KMS.DisabledException", "key/1 is disabled."), StorageError, "is disabled", "key is enabled"),
        (
            refusal(400, "InvalidRequest", "The object was stored using a form of Server Side Encryption."),
            StorageError,
            "a form of Server Side Encryption",
            "SSE-C",
        ),
        (
            refusal(400, "InvalidRequest", "Quarantined by the scanner: EICAR."),
            StorageError,
            "Quarantined by the scanner: EICAR.",
            "the next runs try this object again",
        ),
        (
            refusal(403, "InvalidObjectState", "not valid", "<StorageClass>DEEP_ARCHIVE</StorageClass>"),
            ObjectArchived,
            "it is in Glacier (DEEP_ARCHIVE)",
            "--key 'a talk.mp3' --restore-request 'Days=7'",
        ),
        (
            refusal(
                403,
                "InvalidObjectState",
                "not valid",
                "<StorageClass>INTELLIGENT_TIERING</StorageClass><AccessTier>ARCHIVE_ACCESS</AccessTier>",
            ),
            ObjectArchived,
            "it is in Glacier (ARCHIVE_ACCESS)",
            "--restore-request '{}'",
        ),
        (
            refusal(503, "SlowDown", "Please reduce your rate."),
            StorageUnavailable,
            "reduce your rate",
            "Run again later",
        ),
    ],
)
def test_a_refusal_keeps_the_words_of_the_store(
    store: StoreInfo, objects: ObjectStore, bucket: str, answer: Any, kind: type[S2IError], reason: str, remedy: str
) -> None:
    item = put(objects, bucket, "a talk.mp3", b"sound")
    with front(store.endpoint) as made:
        made.answer = lambda method, path: answer if "talk.mp3" in path else None
        refused = ObjectStore(S3Settings(endpoint_url=made.url, max_attempts=1))
        found = complaint(kind, item.uri, lambda: refused.read_range(item, 0, 1))
    assert reason in found.reason
    assert remedy in found.remedy
    failure = Failure.of(found, subject=item.uri, stage=Stage.READ, run_id="run")
    assert failure.retryable, "what is refused may be allowed by the next run"


@pytest.mark.parametrize(
    ("storage_class", "restore", "expected"),
    [
        ("STANDARD", "", ""),
        ("GLACIER_IR", "", ""),
        ("INTELLIGENT_TIERING", "", ""),
        ("GLACIER", "", "GLACIER"),
        ("DEEP_ARCHIVE", "", "DEEP_ARCHIVE"),
        ("GLACIER", "<IsRestoreInProgress>true</IsRestoreInProgress>", "GLACIER"),
        ("GLACIER", "<IsRestoreInProgress>false</IsRestoreInProgress>", ""),
    ],
)
def test_a_listing_tells_what_is_archived_and_what_is_restored(
    store: StoreInfo, objects: ObjectStore, bucket: str, storage_class: str, restore: str, expected: str
) -> None:
    objects.put(bucket, "old.mp3", b"sound")
    objects.put(bucket, "new.mp3", b"sound")
    with front(store.endpoint) as made:
        made.listing = archived(storage_class, "old", f"<RestoreStatus>{restore}</RestoreStatus>" if restore else "")
        listed = ObjectStore(S3Settings(endpoint_url=made.url)).list(bucket)
        assert {item.key: item.archived for item in listed} == {"old.mp3": expected, "new.mp3": ""}


def test_trouble_with_certificates_is_said_as_such(
    store: StoreInfo, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ca = authority(tmp_path / "authority")
    for name in ("AWS_CA_BUNDLE", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PREFECT_API_SSL_CERT_FILE"):
        monkeypatch.setenv(name, "")

    def asks(url: str) -> S2IError:
        return complaint(StorageError, bucket, lambda: ObjectStore(S3Settings(endpoint_url=url)).check_readable(bucket))

    with front(store.endpoint, server(tmp_path, "localhost", ca=ca)) as made:
        unknown = asks(made.url.replace("127.0.0.1", "localhost"))
        assert "authority that is not known" in unknown.reason and "AWS_CA_BUNDLE" in unknown.remedy
        monkeypatch.setenv("AWS_CA_BUNDLE", str(ca / "tls.crt"))
        other = asks(made.url)
        assert "not for 127.0.0.1" in other.reason and "AWS_CA_BUNDLE" not in other.remedy
    plain = asks(store.endpoint.replace("http:", "https:"))
    assert "does not speak TLS" in plain.reason


def test_a_proxy_that_wants_a_login_or_is_not_there_is_named(
    store: StoreInfo, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = S3Settings(endpoint_url="http://s3.example.test", allow_http=True, max_attempts=1)
    with front(store.endpoint) as made:
        monkeypatch.setenv("http_proxy", made.url.replace("//", "//me:secret@"))
        made.answer = lambda method, path: (407, {}, b"")
        wants = complaint(StorageError, bucket, lambda: ObjectStore(settings).check_readable(bucket))
        assert f"the proxy {made.url} asks for a login" in wants.reason
    gone = complaint(StorageUnavailable, bucket, lambda: ObjectStore(settings).check_readable(bucket))
    assert f"the proxy {made.url} does not answer" in gone.reason and "NO_PROXY" in gone.remedy
    assert "secret" not in f"{wants}{gone}"
    monkeypatch.delenv("http_proxy")
    nowhere = complaint(StorageUnavailable, bucket, lambda: ObjectStore(settings).check_readable(bucket))
    assert "no name server knows s3.example.test" in nowhere.reason and "HTTP_PROXY" in nowhere.remedy


def test_of_one_object_the_refusal_keeps_the_words_that_an_answer_without_body_lacks(
    objects: ObjectStore, store: StoreInfo, bucket: str
) -> None:
    objects.put(bucket, "one.mp3", b"x")
    with front(store.endpoint) as made:
        made.answer = lambda method, path: refusal(403, "InvalidObjectState", "no") if "one.mp3" in path else None
        asked = ObjectStore(S3Settings(endpoint_url=made.url))
        with pytest.raises(ObjectArchived, match="restore-object"):
            list(asked.within(Place.of(f"s3://{bucket}/one.mp3")))
