"""A Prefect server on loopback that lives as long as someone uses it.

A run that finds no `PREFECT_API_URL` starts its own server: SQLite in the state folder, no dashboard, no analytics.
Concurrent runs share one server. Each of them holds a file lock, which the kernel
frees when the run ends, however it ends: so a killed run leaves no server behind, and no living one loses its server.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, NoReturn

from s2i_core import processes
from s2i_core.errors import S2IError
from s2i_core.network import direct_loopback

START_TIMEOUT_S = 600.0
"""The first start creates the database: 13 s on a quiet 2-core machine, minutes on a very busy one."""
LINGER_S = 5.0
"""How long a server without users waits for the next one."""

_OFFLINE = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_EPHEMERAL_ENABLED": "false",
    "PREFECT_CLOUD_ENABLE_ORCHESTRATION_TELEMETRY": "false",
}
_UNUSED_SERVICES = ("SCHEDULER", "LATE_RUNS", "FOREMAN", "PAUSE_EXPIRATIONS", "DB_VACUUM", "TRIGGERS")


class ServerError(S2IError):
    """The Prefect server did not start."""


class PrefectServer:
    """The server of one state folder, started or found; use it as a context manager.

    `start` returns at once, so that a caller can do other things while the server comes up; `wait` waits for it.

    Args:
        home: folder of the database, the logs and the locks.
        complete: with the UI and all services, for a server that stays up: schedules, automations, clean-up.
        port: the port that it listens on; by default a free one.
        auth: its login as `user:password`; a new one by default.
        linger_s: how long it waits for the next user when nobody uses it.
    """

    def __init__(
        self,
        home: Path,
        *,
        complete: bool = False,
        port: int | None = None,
        auth: str | None = None,
        linger_s: float = LINGER_S,
    ) -> None:
        self.home = home.absolute()
        self._complete = complete
        self._port = port
        self._auth = auth
        self._linger_s = linger_s
        self._start_lock: IO[str] | None = None
        self._use_lock: IO[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._state: dict[str, str] = {}

    def start(self) -> None:
        """Find the running server of this folder, or begin to start one."""
        self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._start_lock = _lock(self.home / "start.lock", fcntl.LOCK_EX)
        self._use_lock = _lock(self.home / "use.lock", fcntl.LOCK_SH)
        self._state = _read(self.home / "server.json")
        if self._state and _healthy(self._state):
            self._release_start()
            return
        port, auth = self._port or processes.free_ports(1)[0], self._auth or f"s2i:{secrets.token_urlsafe(24)}"
        options = {"--home": self.home, "--port": port, "--linger-s": self._linger_s}
        self._state = {"url": f"http://127.0.0.1:{port}/api", "auth": auth}
        with (self.home / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "flows.local_server", *(str(word) for pair in options.items() for word in pair)],
                env=os.environ
                | client_settings(self.home)
                | _server_settings(self.home, auth, self._state["url"], self._complete),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait(self, timeout_s: float = START_TIMEOUT_S) -> None:
        """Wait until the server answers.

        Raises:
            ServerError: it stopped, or did not answer in time.
        """
        if self._process is None:
            return
        deadline = time.monotonic() + timeout_s
        log = self.home / "server.log"
        while not _healthy(self._state):
            if (code := self._process.poll()) is not None:
                raise ServerError("Prefect server", f"it stopped with exit code {code} while starting", f"See {log}.")
            if time.monotonic() > deadline:
                self._process.kill()
                self._process.wait()
                raise ServerError("Prefect server", f"it did not answer within {timeout_s:.0f} s", f"See {log}.")
            time.sleep(0.1)
        _write_private(self.home / "server.json", json.dumps(self._state | {"pid": self._process.pid}))
        self._release_start()

    @property
    def pid(self) -> int | None:
        """Process id of the server, if this object started it."""
        return None if self._process is None else self._process.pid

    @property
    def running(self) -> bool:
        """Whether it answers, and accepts our login."""
        return bool(self._state) and _healthy(self._state)

    def settings(self) -> dict[str, str]:
        """The environment for a Prefect client of this server."""
        return client_settings(self.home) | {
            "PREFECT_API_URL": self._state["url"],
            "PREFECT_API_AUTH_STRING": self._state["auth"],
        }

    def release(self) -> None:
        """Stop using the server; it ends by itself when nobody uses it."""
        self._release_start()
        if self._use_lock is not None:
            self._use_lock.close()
            self._use_lock = None

    def end(self) -> None:
        """Stop using the server, and end it at once if nobody else uses it; for a run that is interrupted."""
        self._release_start()
        if self._use_lock is None:
            return
        # While we hold the lock nobody can start to use the server.
        with contextlib.suppress(BlockingIOError, FileNotFoundError, ValueError, ProcessLookupError):
            fcntl.flock(self._use_lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            state = self.home / "server.json"
            pid = self._process.pid if self._process else int(json.loads(state.read_text())["pid"])
            state.unlink(missing_ok=True)
            os.killpg(pid, signal.SIGKILL)  # it leads a session
        self.release()

    def _release_start(self) -> None:
        if self._start_lock is not None:
            self._start_lock.close()
            self._start_lock = None

    def __enter__(self) -> PrefectServer:
        self._ending = contextlib.ExitStack()
        self._ending.enter_context(processes.at_end_now(self.end))
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._ending:
            if kind is None or issubclass(kind, Exception):
                self.release()
            else:
                self.end()


def client_settings(home: Path) -> dict[str, str]:
    """The environment that keeps Prefect quiet and local: its home and logs under `home`, no analytics."""
    return (
        _OFFLINE
        | direct_loopback()
        | {
            "PREFECT_HOME": str(home),
            "PREFECT_LOGGING_SETTINGS_PATH": str(logging_file(home)),
            "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
            "PREFECT_API_REQUEST_TIMEOUT": "120",
            "PREFECT_CLIENT_MAX_RETRIES": "10",
            "PREFECT_CLI_PROMPT": "false",
        }
    )


@contextmanager
def prefect_client(server: PrefectServer | None) -> Iterator[None]:
    """Point Prefect at `server` for the block; if that is None, at the server that the user has set.

    If Prefect is imported earlier, `client_settings` must be in the environment before that: its home and its
    logging are determined then.
    """
    if server is None:
        yield
        return
    server.wait()
    os.environ.update(server.settings())
    from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, PREFECT_HOME, temporary_settings

    values = server.settings()
    with temporary_settings(
        {
            PREFECT_API_URL: values["PREFECT_API_URL"],
            PREFECT_API_AUTH_STRING: values["PREFECT_API_AUTH_STRING"],
            PREFECT_HOME: values["PREFECT_HOME"],
        }
    ):
        try:
            yield
        finally:
            for name in ("PREFECT_API_URL", "PREFECT_API_AUTH_STRING"):
                os.environ.pop(name, None)


def _server_settings(home: Path, auth: str, url: str, complete: bool) -> dict[str, str]:
    some = {f"PREFECT_SERVER_SERVICES_{name}_ENABLED": "false" for name in _UNUSED_SERVICES}
    some |= {"PREFECT_SERVER_UI_ENABLED": "false", "PREFECT_SERVER_REGISTER_BLOCKS_ON_START": "false"}
    every = {
        "PREFECT_SERVER_UI_ENABLED": "true",
        "PREFECT_SERVER_UI_API_URL": url,
        "PREFECT_UI_URL": url.removesuffix("/api"),  # for links in notifications
    }
    return (every if complete else some) | {
        "PREFECT_SERVER_API_AUTH_STRING": auth,
        "PREFECT_API_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{home / 'prefect.db'}",
        "PREFECT_API_DATABASE_TIMEOUT": "60",
    }


def logging_file(home: Path) -> Path:
    """A logging configuration for Prefect that writes to files instead of the console, which has our progress bars."""
    path = home / "logging.yml"
    text = f"""version: 1
disable_existing_loggers: false
formatters:
  standard:
    format: "%(asctime)s %(levelname)s %(name)s: %(message)s"
  lines: {{"()": s2i_core.logs.JsonLines}}
handlers:
  file: {{class: logging.handlers.RotatingFileHandler, formatter: standard, maxBytes: 4000000, backupCount: 1,
          filename: {json.dumps(str(home / "flow.log"))}, delay: true}}
  lines: {{class: logging.handlers.RotatingFileHandler, formatter: lines, maxBytes: 16000000, backupCount: 3,
           filename: {json.dumps(str(home / "log.jsonl"))}, delay: true}}
  api: {{class: prefect.logging.handlers.APILogHandler}}
loggers:
  prefect: {{level: INFO}}
  prefect.flow_runs: {{level: INFO, handlers: [api]}}
  prefect.task_runs: {{level: INFO, handlers: [api]}}
  s2i: {{level: INFO, handlers: [lines], propagate: false}}
root: {{level: WARNING, handlers: [file]}}
"""
    if not path.exists() or path.read_text() != text:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.write_text(text)
    return path


def _lock(path: Path, kind: int) -> IO[str]:
    file = path.open("a")
    fcntl.flock(file, kind)
    return file


def _read(path: Path) -> dict[str, str]:
    try:
        state = json.loads(path.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return {name: str(state[name]) for name in ("url", "auth")} if {"url", "auth"} <= state.keys() else {}


def _write_private(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


def _healthy(state: dict[str, str]) -> bool:
    """Whether our own server answers: it must know the login, unlike a stranger on a reused port."""
    login = b64encode(state["auth"].encode()).decode()
    request = urllib.request.Request(f"{state['url']}/admin/version", headers={"Authorization": f"Basic {login}"})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=10) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, TimeoutError, OSError):
        return False


def _end_when_unused(home: Path, linger_s: float) -> None:
    """Wait until no run holds the lock, then end this process. Runs in a thread of the server."""
    idle_since: float | None = None
    with contextlib.suppress(FileNotFoundError):  # the folder is gone, with the database: nobody can use it any more
        while True:
            time.sleep(0.5)
            with (home / "use.lock").open("a") as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    idle_since = None
                    continue
                idle_since = idle_since or time.monotonic()
                if time.monotonic() - idle_since < linger_s:
                    continue
                # While we hold the lock nobody can start to use this server; a newcomer finds no state file and starts
                # its own.
                state = home / "server.json"
                if state.exists() and json.loads(state.read_text()).get("pid") == os.getpid():
                    state.unlink()
                _end()
    _end()


def _end() -> NoReturn:
    """End this process, in an orderly way if possible."""
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(10)
    os._exit(0)


def main() -> None:
    """Serve the Prefect API on loopback until nobody uses it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--linger-s", type=float, required=True)
    arguments = parser.parse_args()
    threading.Thread(target=_end_when_unused, args=(arguments.home, arguments.linger_s), daemon=True).start()
    import uvicorn

    uvicorn.run(
        "prefect.server.api.server:create_app",
        factory=True,
        host="127.0.0.1",
        port=arguments.port,
        log_level="error",
        lifespan="on",
    )


if __name__ == "__main__":
    main()
