"""A company's network: its proxy, and its own authority for certificates."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pyarrow as pa
import pytest
from authorities import authority, server
from fronts import Front, front
from small_archive import SETTINGS, clip, keys
from tiny import tiny_pipeline

from s2i_core import network
from s2i_core.errors import ConfigError
from s2i_core.storage.embedded import StoreInfo
from s2i_core.storage.folders import s3_filesystem
from s2i_core.storage.objects import ObjectStore, S3Settings
from s2i_core.storage.tables import LakeTable

_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy", "grpc_proxy")
_SPARED = ("NO_PROXY", "no_proxy", "no_grpc_proxy", "S2I_NO_PROXY")
_AUTHORITIES = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "PREFECT_API_SSL_CERT_FILE")
HOST = "s3.example.test"  # RFC 6761: no name server knows it


@pytest.fixture(autouse=True)
def as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy and no authority but the test's own; what the code sets is taken back."""
    for name in (*_PROXIES, *_SPARED, *_AUTHORITIES):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


@pytest.fixture
def proxy(store: StoreInfo, monkeypatch: pytest.MonkeyPatch) -> Iterator[Front]:
    """A proxy in every variable that there is. It alone finds the store under its name, `HOST`."""
    with front(store.endpoint) as made:
        for name in _PROXIES:
            monkeypatch.setenv(name, made.url)
        yield made


def _table(settings: S3Settings, bucket: str) -> LakeTable:
    return LakeTable(settings, f"s3://{bucket}/table", pa.schema([("key", pa.string())]), ("key",))


@pytest.mark.parametrize(
    ("variables", "url", "expected"),
    [
        ({"HTTP_PROXY": "http://p:1"}, "http://s3.corp", "http://p:1"),
        ({"HTTP_PROXY": "http://p:1"}, "https://s3.corp", None),
        ({"https_proxy": "p:1"}, "https://s3.corp", "http://p:1"),
        ({"ALL_PROXY": "http://p:1"}, "https://s3.corp", "http://p:1"),
        ({"ALL_PROXY": "http://p:1", "HTTPS_PROXY": "http://q:1"}, "https://s3.corp", "http://q:1"),
        ({"HTTP_PROXY": "http://p:1"}, "http://127.8.9.1:8333", None),
        ({"HTTP_PROXY": "http://p:1"}, "http://[::1]:8333", None),
        ({"HTTP_PROXY": "http://p:1"}, "http://localhost:8333", None),
        ({"HTTP_PROXY": "http://p:1", "NO_PROXY": ".corp"}, "http://s3.corp", None),
        ({"HTTP_PROXY": "http://p:1", "NO_PROXY": "corp"}, "http://s3.corp", None),
        ({"HTTP_PROXY": "http://p:1", "NO_PROXY": "other, *.corp"}, "http://s3.corp", None),
        ({"HTTP_PROXY": "http://p:1", "NO_PROXY": "s3.corp:9000"}, "http://s3.corp:9000", None),
        ({"HTTP_PROXY": "http://p:1", "NO_PROXY": "s3.corp:9000"}, "http://s3.corp:9001", "http://p:1"),
        ({"HTTP_PROXY": "http://p:1", "no_proxy": "10.0.0.0/8,.x"}, "http://10.2.3.4:9000", None),
        ({"HTTP_PROXY": "http://p:1", "no_proxy": "10.0.0.0/8"}, "http://11.2.3.4:9000", "http://p:1"),
        ({"HTTP_PROXY": "http://p:1", "NO_PROXY": "fd00::/8"}, "http://[fd00::1]:9000", None),
        ({"HTTP_PROXY": "http://p:1", "NO_PROXY": "*"}, "http://s3.corp", None),
    ],
)
def test_which_way_a_url_is_asked(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], url: str, expected: str | None
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert network.proxy_for(url) == expected


def test_a_proxy_that_speaks_no_http_is_named_without_its_login(monkeypatch: pytest.MonkeyPatch) -> None:
    login = "me:secret"
    monkeypatch.setenv("ALL_PROXY", f"socks5://{login}@proxy:1080")
    with pytest.raises(ConfigError, match="socks5://proxy:1080") as raised:
        network.proxy_for("https://s3.corp")
    assert "secret" not in str(raised.value)


def test_loopback_is_spared_beside_what_was_spared_before(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = "localhost,127.0.0.1,::1,169.254.169.254,metadata.google.internal"
    before = dict(os.environ)
    network.spare_loopback()
    assert dict(os.environ) == before, "there is no proxy to be spared"
    monkeypatch.setenv("HTTPS_PROXY", "http://p:1")
    monkeypatch.setenv("NO_PROXY", ".corp,10.0.0.0/8")
    monkeypatch.setenv("no_grpc_proxy", "head")
    network.spare_loopback()
    network.spare_loopback()
    assert os.environ["no_proxy"] == os.environ["NO_PROXY"] == f".corp,10.0.0.0/8,{machine}"
    assert os.environ["no_grpc_proxy"] == f"head,{machine}"  # noqa: SIM112 -- gRPC reads it in lower case only
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setenv("no_proxy", "*")
    network.spare_loopback()
    assert os.environ["NO_PROXY"] == "*"


@pytest.mark.parametrize("proxies", [{}, {"HTTP_PROXY": "http://p:1"}])
def test_what_prefects_client_cannot_read_is_kept_from_it(
    monkeypatch: pytest.MonkeyPatch, proxies: dict[str, str]
) -> None:
    for name, value in ({"NO_PROXY": "fd00::/8,.corp,[::2]:9000"} | proxies).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(httpx.InvalidURL):
        httpx.Client()
    for _ in range(2):
        network.spare_loopback()
        httpx.Client().close()
    monkeypatch.setenv("HTTP_PROXY", "http://p:1")
    asked = {url: network.proxy_for(url) for url in ("http://[fd00::1]", "http://[::2]:9000", "http://a.corp")}
    assert not any(asked.values()), asked
    assert network.proxy_for("http://[fe00::1]") == "http://p:1"


def test_a_store_on_this_machine_is_never_asked_through_a_proxy(
    store: StoreInfo, proxy: Front, bucket: str, tmp_path: Path
) -> None:
    objects = ObjectStore(store.settings())
    objects.put(bucket, "key", b"data")
    assert objects.get(bucket, "key") == b"data"
    table = _table(store.settings(), bucket)
    assert table.merge([{"key": "a"}]) == table.upsert([{"key": "a"}]) == 1
    table.compact()
    assert _table(store.settings(), bucket).count() == 1
    assert s3_filesystem(store.settings()).cat(f"{bucket}/key") == b"data"
    assert not proxy.seen


def test_store_commands_with_a_proxy(store: StoreInfo, proxy: Front) -> None:
    """`up` and `status` find the healthy store, and `up` leaves it as it is."""
    home = str(store.data_dir.parent)
    started = time.monotonic()
    for command in ("status", "up", "env"):
        asked = _s2i("store", command, "--home", home, "--json")
        assert asked.returncode == 0, asked.stderr
        assert store.endpoint in asked.stdout
        if command == "up":
            assert json.loads(asked.stdout)["pid"] == store.pid
    assert time.monotonic() - started < 60
    assert not proxy.seen


def test_a_store_elsewhere_is_asked_through_the_proxy_alone(proxy: Front, bucket: str) -> None:
    """By every client: the name is known to nobody but the proxy."""
    settings = S3Settings(endpoint_url=f"http://{HOST}", allow_http=True, max_attempts=2)
    ObjectStore(settings).put(bucket, "key", b"data")
    assert any(url.startswith(f"http://{HOST}/{bucket}/key") for _, url in proxy.seen)
    proxy.seen.clear()
    table = _table(settings, bucket)
    assert table.merge([{"key": "a"}]) == 1
    assert table.read()["key"].to_pylist() == ["a"]
    assert any("_delta_log" in url for _, url in proxy.seen)
    proxy.seen.clear()
    assert s3_filesystem(settings).cat(f"{bucket}/key") == b"data"
    assert any(url.startswith(f"http://{HOST}/{bucket}/key") for _, url in proxy.seen)


def test_what_is_spared_is_asked_directly(
    proxy: Front, store: StoreInfo, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tables too, where `NO_PROXY` names a network, which only we read."""
    monkeypatch.setattr(network, "is_loopback", lambda url: False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.0/8")
    monkeypatch.setenv("no_proxy", "127.0.0.0/8")
    ObjectStore(store.settings()).put(bucket, "key", b"data")
    assert _table(store.settings(), bucket).merge([{"key": "a"}]) == 1
    assert not proxy.seen


def test_a_cluster_and_a_prefect_on_this_machine_are_asked_directly(
    store: StoreInfo, proxy: Front, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cluster.jobs.submit import running
    from flows.local_server import client_settings

    with front(store.endpoint) as head:
        with pytest.raises(ConfigError):  # it is no cluster
            running(head.url, "run")
        assert head.seen and not proxy.seen
        for name in _SPARED:
            monkeypatch.delenv(name, raising=False)
        for name, value in client_settings(tmp_path).items():
            monkeypatch.setenv(name, value)
        httpx.get(f"{head.url}/api/admin/version")
        assert not proxy.seen


@pytest.mark.timeout(400)
def test_a_run_in_a_company_by_proxy_and_private_authority(
    store: StoreInfo, objects: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store has a certificate of the company's own authority, and only the proxy knows the way to it."""
    ca = authority(tmp_path / "authority")
    tiny_pipeline().save_pretrained(tmp_path / "model")
    for name in ("in-company", "out-company"):
        objects.create_bucket(name)
    objects.put("in-company", "talk.wav", clip("sea-animals.opus", 0, 14))
    for name, value in {"S2I_S3_ENDPOINT": f"https://{HOST}", "S2I_HOME": str(tmp_path / "home")}.items():
        monkeypatch.setenv(name, value)
    where = ("s3://in-company", "s3://out-company")
    with (
        front(store.endpoint, server(tmp_path, HOST, ca=ca)) as secure,
        front(secure.url) as proxy,
    ):
        for name in _PROXIES:
            monkeypatch.setenv(name, proxy.url)

        refused = _s2i("doctor", *where, "--json")
        wrong = {check["name"]: check for check in json.loads(refused.stdout)["checks"] if check["status"] == "fail"}
        assert {"source", "destination"} <= wrong.keys()
        assert all("AWS_CA_BUNDLE" in wrong[name]["remedy"] for name in ("source", "destination"))
        assert "certificate" in wrong["source"]["detail"]

        (tmp_path / "ca.pem").write_bytes((ca / "tls.crt").read_bytes())
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("AWS_CA_BUNDLE", "ca.pem")
        well = _s2i("doctor", *where, "--json")
        found = {check["name"]: check for check in json.loads(well.stdout)["checks"]}
        assert {found[name]["status"] for name in ("source", "destination", "tables")} == {"ok"}, found
        settings = [word for name, value in SETTINGS.items() for word in ("--set", f"{name}={value}")]
        ran = _s2i("run", *where, "--checkpoint", str(tmp_path / "model"), *settings, "--json")
        assert ran.returncode == 0, ran.stderr[-3000:]
        assert json.loads(ran.stdout)["new_images"] > 0
        assert {target for _, target in proxy.seen} == {f"{HOST}:443"}  # no Prefect, no Ray, nothing on loopback
    assert keys(objects, where[1], "images/") and keys(objects, where[1], "tables/images/_delta_log/")


def test_an_authority_is_believed_beside_the_public_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    own = (authority(tmp_path / "authority") / "tls.crt").read_bytes()
    (tmp_path / "ca.pem").write_bytes(own)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AWS_CA_BUNDLE", "ca.pem")
    network.trust()
    first = dict(os.environ)
    network.trust()
    assert dict(os.environ) == first
    assert os.environ["AWS_CA_BUNDLE"] == str(tmp_path / "ca.pem")
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PREFECT_API_SSL_CERT_FILE"):
        believed = Path(os.environ[name]).read_bytes()
        assert own in believed and believed.count(b"BEGIN CERTIFICATE") > 50
    assert Path(os.environ["SSL_CERT_FILE"]).parent.stat().st_mode & 0o777 == 0o700


def test_what_a_user_believes_already_stays_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    company, store = (
        (authority(tmp_path / name) / "tls.crt").read_bytes().strip() + b"\n" for name in ("company", "store")
    )
    (tmp_path / "company.pem").write_bytes(company)
    (tmp_path / "store.pem").write_bytes(store)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "company.pem"))
    network.trust()
    assert os.environ["AWS_CA_BUNDLE"] == os.environ["SSL_CERT_FILE"] == str(tmp_path / "company.pem")
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "store.pem"))
    network.trust()
    believed = Path(os.environ["SSL_CERT_FILE"]).read_bytes()
    assert company in believed and store in believed and believed.count(b"BEGIN CERTIFICATE") == 2


@pytest.mark.parametrize("content", [None, b"no certificate"])
def test_an_authority_that_is_none_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None
) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(path))
    with pytest.raises(ConfigError, match=rf"AWS_CA_BUNDLE={path}"):
        network.trust()


def _s2i(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "s2i_core.cli", *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
