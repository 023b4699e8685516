"""The embedded store: real processes, started, killed and found again."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from s2i_core.errors import StorageError
from s2i_core.storage.commands import app
from s2i_core.storage.embedded import EmbeddedStore, StoreInfo
from s2i_core.storage.objects import ObjectStore


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A home with a space and a comma in its path; whatever runs in it is stopped in the end."""
    path = tmp_path / "a home, with a comma"
    yield path
    EmbeddedStore(path).down()


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def client(info: StoreInfo, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    for name, value in info.environment().items():
        monkeypatch.setenv(name, value)
    return ObjectStore(info.settings())


def test_up_kill_up_down(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = EmbeddedStore(home)
    assert store.status() is None
    assert not store.down()
    started = time.monotonic()
    first = store.up()
    assert time.monotonic() - started < 30
    assert EmbeddedStore(home).up() == first
    assert store.status() == first
    objects = client(first, monkeypatch)
    objects.create_bucket("kept")
    objects.put("kept", "before the crash", b"x" * 100_000)

    os.kill(first.pid, signal.SIGKILL)
    os.waitpid(first.pid, 0)
    assert store.status() is None
    second = EmbeddedStore(home).up()
    assert second.pid != first.pid
    assert second.endpoint == first.endpoint
    assert objects.get("kept", "before the crash") == b"x" * 100_000

    assert store.down()
    assert not alive(second.pid)
    assert store.status() is None
    assert not store.down()
    assert not list(
        Path("/tmp").glob(f"seaweedfs-*-{json.loads((home / 'state.json').read_text())['ports']['s3.grpc']}*")
    )


def test_only_loopback_and_only_the_owner(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # An administrator in our environment must not become one in the server.
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "STRANGER")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "stranger-secret")
    info = EmbeddedStore(home).up()
    with pytest.raises(StorageError, match="refused the login"):
        ObjectStore(info.settings()).check_readable("any")
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    for name in ("identities.json", "state.json"):
        assert stat.S_IMODE((home / name).stat().st_mode) == 0o600
    ports = set(json.loads((home / "state.json").read_text())["ports"].values())
    assert len(ports) == 8
    listening = [line.split() for line in Path(f"/proc/{info.pid}/net/tcp").read_text().splitlines()[1:]]
    ours = {line[1] for line in listening if line[3] == "0A" and int(line[1].split(":")[1], 16) in ports}
    assert {address.split(":")[0] for address in ours} == {"0100007F"}
    assert len(ours) == len(ports)
    wide = Path(f"/proc/{info.pid}/net/tcp6").read_text().splitlines()[1:]
    assert not [line for line in wide if int(line.split()[1].split(":")[1], 16) in ports]
    assert info.secret_key not in (home / "store.log").read_text()
    assert info.secret_key.encode() not in Path(f"/proc/{info.pid}/cmdline").read_bytes()


def test_a_stale_state_file_harms_nobody(home: Path) -> None:
    """The process id was given to another program, whose port also happens to be ours of the last time."""
    store = EmbeddedStore(home)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        try:
            home.mkdir(parents=True)
            names = ("s3", "s3.grpc", "master", "master.grpc", "volume", "volume.grpc", "filer", "filer.grpc")
            (home / "state.json").write_text(
                json.dumps({"pid": bystander.pid, "ports": {name: port + index for index, name in enumerate(names)}})
            )
            assert store.status() is None
            info = store.up()
            assert info.pid != bystander.pid
            assert not info.endpoint.endswith(f":{port}")
            assert store.down()
            assert bystander.poll() is None
        finally:
            bystander.kill()
            bystander.wait()
    (home / "state.json").write_text("not json {")
    assert store.status() is None
    assert not store.down()


def test_two_homes_side_by_side(tmp_path: Path, store: StoreInfo, monkeypatch: pytest.MonkeyPatch) -> None:
    second = EmbeddedStore(tmp_path / "second")
    info = second.up()
    try:
        assert (info.pid, info.endpoint, info.secret_key) != (store.pid, store.endpoint, store.secret_key)
        there = client(info, monkeypatch)
        there.create_bucket("only-here")
        there.put("only-here", "key", b"data")
        here = client(store, monkeypatch)
        with pytest.raises(StorageError, match="no such bucket"):
            here.check_readable("only-here")
    finally:
        second.down()
    assert not alive(info.pid)
    assert alive(store.pid)


def test_a_store_that_cannot_start_says_why(home: Path) -> None:
    home.mkdir(parents=True)
    (home / "data").write_text("a file in the place of the folder")
    with pytest.raises(StorageError) as caught:
        EmbeddedStore(home).up()
    assert "data" in caught.value.subject
    assert caught.value.remedy


def test_commands(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = CliRunner()

    def call(command: str) -> tuple[int, dict[str, object]]:
        result = run.invoke(app, [command, "--home", str(home), "--json"])
        return result.exit_code, json.loads(result.stdout) if result.stdout else {}

    assert call("status") == (1, {"running": False})
    assert isinstance(run.invoke(app, ["env", "--home", str(home)]).exception, StorageError)
    code, up = call("up")
    assert (code, up["running"]) == (0, True)
    assert call("up")[1] == call("status")[1] == up
    secret = EmbeddedStore(home).up().secret_key
    assert secret not in json.dumps(up)
    exports = run.invoke(app, ["env", "--home", str(home)]).stdout
    check = "from s2i_core.storage.objects import *; s = ObjectStore(); s.create_bucket('abc'); s.check_writable('abc')"
    subprocess.run(["bash", "-c", f'{exports}\nexec "$0" -c "$1"', sys.executable, check], check=True)
    assert call("down") == (0, {"running": False, "stopped": True})
    assert call("down") == (0, {"running": False, "stopped": False})
