"""All of s2i on one machine, under one supervisor: `s2i platform up`, `down`, `status`, `env`.

Object store, Prefect with login and worker, a Ray cluster with a token, the online service, and one page with links to
all of them. Everything listens on 127.0.0.1. The supervisor starts the parts, watches them, restarts what died,
and is the parent of all, so that nothing outlives it; the store's data and Prefect's database stay in the state folder.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import html
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Annotated, Any

import typer

from flows.local_server import PrefectServer, client_settings
from s2i_core import processes
from s2i_core.doctor import fetch
from s2i_core.errors import ConfigError, S2IError
from s2i_core.identity import digest
from s2i_core.state import state_home
from s2i_core.storage.embedded import OTHER_LOGIN, EmbeddedStore

HOST = "127.0.0.1"
POOL = "s2i"
START_S = 600.0
"""Longest wait for all parts: they take half a minute on a quiet machine, minutes on a very busy one."""
_STOP_S = 90.0
_EVERY_S = 2.0
_GRACE_S = 10.0
_BACKOFF_S = (1.0, 60.0)
_PORTS = ("page", "prefect", "serve")


class PlatformError(S2IError):
    """The platform, or a part of it, did not start or stop."""


@dataclass(frozen=True)
class PlatformOptions:
    """What the platform is made of.

    Attributes:
        workers: CPUs of each worker node of the Ray cluster.
        serve: whether the online service is among the parts.
        checkpoint: folder of a saved model for the service; empty for the shipped one.
    """

    workers: tuple[int, ...] = (2, 2)
    serve: bool = True
    checkpoint: str = ""


@dataclass
class PartState:
    """The state of a part."""

    name: str
    healthy: bool = False
    starts: int = 0
    url: str = ""
    note: str = ""


@dataclass
class PlatformPart:
    """Something that the supervisor keeps alive.

    Attributes:
        start: starts it; may return before it answers.
        healthy: whether it answers now.
        stop: stops it and waits until it is gone; does nothing if it is not there.
        patience_s: how long it may take to answer after its start.
    """

    state: PartState
    start: Callable[[], None]
    healthy: Callable[[], bool]
    stop: Callable[[], None]
    patience_s: float = START_S
    _next_try: float = field(default=0.0, init=False)
    _pause_s: float = field(default=0.0, init=False)
    _deadline: float = field(default=0.0, init=False)

    def look_after(self) -> None:
        """Start it if it is not up; after failures with growing pauses."""
        now = time.monotonic()
        was = self.state.healthy
        self.state.healthy = self.state.starts > 0 and self.healthy()
        if self.state.healthy:
            self.state.note, self._pause_s = "", 0.0
            self._deadline = 0.0
            return
        if self.state.starts and not was and now < self._deadline:
            return  # still on its way
        if now < self._next_try:
            return
        self._pause_s = min(_BACKOFF_S[1], max(_BACKOFF_S[0], 2 * self._pause_s))
        self._next_try, self._deadline = now + self._pause_s, now + self.patience_s
        if self.state.starts:
            self.state.note = "it died, and is started again"
            self.stop()
        self.state.starts += 1
        try:
            self.start()
        except S2IError as error:
            self.state.note = str(error)
            self._deadline = 0.0


class Supervisor:
    """Keeps parts alive until it is told to stop; then stops them in reverse order."""

    def __init__(self, parts: Sequence[PlatformPart], tell: Callable[[list[PartState]], None]) -> None:
        self.parts = parts
        self._tell = tell
        self._stopped = threading.Event()

    def run(self) -> None:
        """Keep the parts up, each once those before it are; returns after `stop`, when all are gone."""
        try:
            while not self._stopped.is_set():
                for part in self.parts:
                    if self._stopped.is_set():
                        break
                    part.look_after()
                    self._tell([each.state for each in self.parts])
                    if not part.state.healthy:
                        break  # what comes after may need it
                self._stopped.wait(_EVERY_S if all(part.state.healthy for part in self.parts) else 0.3)
        finally:
            for part in reversed(self.parts):
                with contextlib.suppress(S2IError):
                    part.stop()

    def stop(self) -> None:
        """End `run`."""
        self._stopped.set()


class Program:
    """A child process and everything that it starts; it ends with this process, however that ends."""

    def __init__(self, arguments: Sequence[str], log: Path, environment: Callable[[], Mapping[str, str]]) -> None:
        self._arguments = list(arguments)
        self._log = log
        self._environment = environment
        self._mark = secrets.token_hex(8)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it in a session of its own."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._arguments,
                env={**os.environ, **self._environment(), **processes.marks(self._mark)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - one call of libc, and Linux has no other way
            )

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """SIGTERM, then SIGKILL to it, and to all that it started."""
        if self._process is None:
            return
        if self.alive:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_GRACE_S)
        processes.end(self._mark)
        # It leads a session, so its group exists for as long as anything in it does.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process = None


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


class Home:
    """The platform's folder below the state folder: login, ports, logs, and what runs."""

    def __init__(self, home: Path) -> None:
        self.root = home
        self.folder = home / "platform"
        self._state_file = self.folder / "state.json"

    def make(self) -> None:
        """Make the folder, for its owner only."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)

    def login(self) -> dict[str, str]:
        """Prefect's login and Ray's token, made once."""
        path = self.folder / "login.json"
        if not path.exists():
            made = {"prefect": f"s2i:{secrets.token_urlsafe(24)}", "ray": secrets.token_urlsafe(32)}
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                json.dump(made, file)
        return dict(json.loads(path.read_text()))

    def ports(self) -> dict[str, int]:
        """The previous ports if they are free, so that links stay the same; otherwise new ones."""
        path = self.folder / "ports.json"
        last = json.loads(path.read_text()) if path.exists() else {}
        found = processes.free_ports(len(_PORTS), [last.get(name, 0) for name in _PORTS])
        ports = dict(zip(_PORTS, found, strict=True))
        path.write_text(json.dumps(ports))
        return ports

    def write(self, state: Mapping[str, Any]) -> None:
        """Record what runs, atomically."""
        new = self._state_file.with_suffix(".new")
        new.write_text(json.dumps(state))
        new.replace(self._state_file)

    def read(self) -> dict[str, Any] | None:
        """What runs; None if no supervisor lives."""
        with contextlib.suppress(FileNotFoundError, ValueError):
            state = dict(json.loads(self._state_file.read_text()))
            if _mark(self.folder) in processes.command_line(state["pid"]):
                return state
        return None

    def forget(self) -> None:
        """Record that nothing runs any more."""
        self._state_file.unlink(missing_ok=True)


def _mark(folder: Path) -> str:
    """The argument that identifies a process as this folder's supervisor."""
    return f"--platform={folder}"


class Platform:
    """The parts as they run on this machine; lives in the supervisor's process."""

    def __init__(self, home: Home, options: PlatformOptions) -> None:
        self.home = home
        self.options = options
        self.ports = home.ports()
        self.login = home.login()
        self.store = EmbeddedStore(home.root / "store")
        self._cluster: Any = None
        self._server: PrefectServer | None = None
        self._worker = Program(
            [
                sys.executable,
                "-m",
                "prefect",
                "worker",
                "start",
                "--pool",
                POOL,
                "--type",
                "process",
                "--name",
                "platform",
            ],
            home.folder / "worker.log",
            self.environment,
        )
        checkpoint = ["--checkpoint", options.checkpoint] if options.checkpoint else []
        self._service = Program(
            [sys.executable, "-m", "s2i_core.cli", "serve", "--port", str(self.ports["serve"]), *checkpoint],
            home.folder / "serve.log",
            self.environment,
        )

    def parts(self) -> list[PlatformPart]:
        """The parts, in the order in which they depend on one another."""
        parts = [
            PlatformPart(PartState("store"), self._start_store, self._has_store, lambda: None),
            PlatformPart(PartState("ray"), self._start_ray, self._has_ray, self._stop_ray),
            PlatformPart(PartState("prefect"), self._start_prefect, self._has_prefect, self._stop_prefect),
            PlatformPart(PartState("worker"), self._worker.start, self._has_worker, self._worker.stop),
        ]
        if self.options.serve:
            state = PartState("serve", url=f"http://{HOST}:{self.ports['serve']}")
            parts.append(PlatformPart(state, self._service.start, self._has_service, self._service.stop))
        self._states = {part.state.name: part.state for part in parts}
        self._states["prefect"].url = f"http://{HOST}:{self.ports['prefect']}"
        return parts

    def environment(self) -> dict[str, str]:
        """The variables by which all parts are reached, including secrets."""
        store = self.store.status()
        variables = {"S2I_HOME": str(self.home.root), "AWS_EC2_METADATA_DISABLED": "true"}
        variables |= client_settings(self.home.folder / "prefect")
        variables |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": self.login["ray"], "RAY_USAGE_STATS_ENABLED": "0"}
        variables |= {
            "PREFECT_API_URL": f"http://{HOST}:{self.ports['prefect']}/api",
            "PREFECT_API_AUTH_STRING": self.login["prefect"],
        }
        if store is not None:
            variables |= store.environment()
        if self._cluster is not None:
            variables["S2I_RAY_ADDRESS"] = self._cluster.address
        return variables

    def _start_store(self) -> None:
        info = self.store.up()
        self._states["store"].url = info.endpoint
        info.take()

    def _has_store(self) -> bool:
        return self.store.status() is not None

    def _start_ray(self) -> None:
        from cluster.local import LocalCluster

        os.environ.update({"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": self.login["ray"]})
        info = self.store.status()
        cluster = LocalCluster(self.options.workers, environment=info.environment() if info else {})
        self._cluster = cluster.__enter__()
        self._states["ray"].url = self._cluster.address

    def _has_ray(self) -> bool:
        from cluster.check import capacity

        try:
            return self._cluster is not None and capacity(self._cluster.address).nodes == 1 + len(self.options.workers)
        except ConfigError:
            return False

    def _stop_ray(self) -> None:
        if self._cluster is not None:
            self._cluster.__exit__(None, None, None)
            self._cluster = None

    def _start_prefect(self) -> None:
        self._server = PrefectServer(
            self.home.folder / "prefect", complete=True, port=self.ports["prefect"], auth=self.login["prefect"]
        )
        self._server.start()
        self._server.wait()

    def _has_prefect(self) -> bool:
        return self._server is not None and self._server.running

    def _stop_prefect(self) -> None:
        """Stop using it and wait until it ends, which it does when nobody uses it."""
        if self._server is None:
            return
        pid = self._server.pid
        self._server.release()
        self._server = None
        deadline = time.monotonic() + _STOP_S
        while pid is not None and processes.command_line(pid) and time.monotonic() < deadline:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
            time.sleep(0.2)

    def _has_worker(self) -> bool:
        return self._worker.alive and _reports(self.environment())

    def _has_service(self) -> bool:
        return self._service.alive and _answers(f"{self._states['serve'].url}/readyz")


def _reports(environment: Mapping[str, str]) -> bool:
    """Whether a worker of the pool has reported to Prefect."""
    from base64 import b64encode

    login = b64encode(environment["PREFECT_API_AUTH_STRING"].encode()).decode()
    request = urllib.request.Request(
        f"{environment['PREFECT_API_URL']}/work_pools/{POOL}/workers/filter",
        b"{}",
        {"Authorization": f"Basic {login}", "Content-Type": "application/json"},
    )
    try:
        with fetch(request) as answer:
            return any(worker["status"] == "ONLINE" for worker in json.loads(answer.read()))
    except (OSError, ValueError):
        return False


def _answers(url: str) -> bool:
    try:
        with fetch(urllib.request.Request(url)) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="5">
<meta name="viewport" content="width=device-width"><title>s2i platform</title><style>
body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 46rem; margin: 3rem auto; padding: 0 1rem;
  color: #222; background: #fff; }}
table {{ border-collapse: collapse; width: 100%; }}
td, th {{ text-align: left; vertical-align: top; padding: .4rem .8rem .4rem 0; border-bottom: 1px solid #ddd; }}
code {{ background: #f3f3f3; padding: .1em .3em; }}
.up {{ color: #176b2c; }} .down {{ color: #a01818; }}
@media (prefers-color-scheme: dark) {{
  body {{ color: #ddd; background: #161616; }} td, th {{ border-color: #444; }} code {{ background: #2a2a2a; }}
  a {{ color: #8ab8ff; }} .up {{ color: #7ad491; }} .down {{ color: #ff8f8f; }}
}}
</style><h1>s2i on this machine</h1>
<table><thead><tr><th>part</th><th>state</th><th>where</th></tr></thead>
<tbody>{rows}</tbody></table>
<p>Logins: <code>s2i platform env</code> prints them. Prefect asks for <code>PREFECT_API_AUTH_STRING</code>, Ray's
dashboard for <code>RAY_AUTH_TOKEN</code>.</p>
<p>Metrics: <a href="/targets">targets for Prometheus</a> (<code>http_sd_configs</code>).</p>"""

_WHAT = {
    "store": "object store (S3)",
    "ray": "Ray cluster and its dashboard",
    "prefect": "Prefect: runs, schedules, deployments",
    "worker": "Prefect's worker",
    "serve": "the online service: speak, and see",
}


def page(states: Sequence[PartState]) -> str:
    """The page of links; it holds no secret."""
    rows = []
    for state in states:
        link = f'<a href="{html.escape(state.url)}">{html.escape(state.url)}</a>' if state.url else ""
        word = "up" if state.healthy else "starting" if state.starts < 2 else "down"
        note = f"<br>{html.escape(state.note)}" if state.note else ""
        style = "up" if state.healthy else "down"
        what = html.escape(_WHAT.get(state.name, state.name))
        rows.append(f'<tr><td>{what}</td><td class="{style}">{word}{note}</td><td>{link}</td></tr>')
    return _PAGE.format(rows="".join(rows))


def targets(states: Sequence[PartState]) -> list[dict[str, Any]]:
    """What Prometheus can scrape, in the format of its HTTP service discovery."""
    found: list[dict[str, Any]] = []
    for path in sorted(Path("/tmp").glob("s2i-ray-*/ray/prom_metrics_service_discovery.json")):
        with contextlib.suppress(OSError, ValueError):
            found += json.loads(path.read_text())
    serve = next((state.url for state in states if state.name == "serve" and state.healthy), "")
    if serve:
        found.append({"labels": {"job": "serve"}, "targets": [serve.removeprefix("http://")]})
    return found


class _PageServer:
    """Serves the page on loopback, in a thread."""

    def __init__(self, port: int, states: Callable[[], Sequence[PartState]]) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                answers: dict[str, tuple[str, Callable[[], str]]] = {
                    "/": ("text/html; charset=utf-8", lambda: page(states())),
                    "/health": ("application/json", lambda: json.dumps([asdict(each) for each in states()])),
                    "/targets": ("application/json", lambda: json.dumps(targets(states()))),
                }
                host = (self.headers.get("Host") or "").rpartition(":")[0]
                if self.path not in answers or host not in {HOST, "localhost"}:  # not for pages of other sites
                    self.send_error(404)
                    return
                kind, make = answers[self.path]
                body = make().encode()
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer((HOST, port), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def supervise(home: Home, options: PlatformOptions) -> None:
    """Run the supervisor until SIGTERM."""
    home.make()
    platform = Platform(home, options)
    parts = platform.parts()
    url = f"http://{HOST}:{platform.ports['page']}"

    def tell(states: list[PartState]) -> None:
        shown = [asdict(state) for state in states]
        ready = all(state.healthy for state in states)
        known = {"pid": os.getpid(), "page": url, "ready": ready, "parts": shown}
        home.write(known | {"ray": platform._cluster.address if platform._cluster is not None else ""})

    supervisor = Supervisor(parts, tell)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: supervisor.stop())
    tell([part.state for part in parts])
    server = _PageServer(platform.ports["page"], lambda: [part.state for part in parts])
    try:
        supervisor.run()
    finally:
        server.close()
        home.forget()


app = typer.Typer(
    help="All of s2i on this machine under one supervisor: S3, Ray, Prefect with a worker, the service, one page.",
    no_args_is_help=True,
    add_completion=False,
)

_Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@app.command()
def up(
    *,
    serve: Annotated[bool, typer.Option(help="Whether to run the online service.")] = True,
    workers: Annotated[str, typer.Option(help="CPUs of each worker node of the Ray cluster.")] = "2,2",
    checkpoint: Annotated[Path | None, typer.Option(help="Folder of a saved model instead of the shipped one.")] = None,
    samples: Annotated[bool, typer.Option(help="Upload the sample archive, and deploy its nightly run.")] = True,
    as_json: _Json = False,
) -> None:
    """Start the platform, or find the running one; returns when all of it answers."""
    from flows.progress import Bars, step, watching

    home = Home(state_home())
    options = PlatformOptions(
        tuple(int(each) for each in workers.split(",")), serve, str(checkpoint.absolute()) if checkpoint else ""
    )
    with Bars() as bars, watching(bars), _ended_at_interrupt(home):
        with step("Start the platform"):
            state = start(home, options)
        if samples:
            with step("Deploy the samples' nightly run"):
                deploy_samples(home, state)
    if as_json:
        typer.echo(json.dumps(state))
        return
    typer.echo(f"page      {state['page']}")
    for part in state["parts"]:
        typer.echo(f"{part['name']:<8}  {part['url'] or 'up'}")
    typer.echo('logins    s2i platform env     (eval "$(s2i platform env)" to use it from this shell)')
    typer.echo("stop      s2i platform down    (data stay; --purge deletes them)")


@app.command()
def down(
    *,
    purge: Annotated[
        bool, typer.Option("--purge", help="Delete its data as well: buckets, Prefect's database.")
    ] = False,
    as_json: _Json = False,
) -> None:
    """Stop the platform, and wait until nothing of it is left."""
    home = Home(state_home())
    stopped = stop(home)
    if purge:
        for folder in (home.folder, home.root / "store"):
            shutil.rmtree(folder, ignore_errors=True)
    typer.echo(json.dumps({"stopped": stopped}) if as_json else "stopped" if stopped else "was not running")


@app.command()
def status(as_json: _Json = False) -> None:
    """Show the state of its parts; exit code 1 if not all are up."""
    state = Home(state_home()).read()
    if as_json:
        typer.echo(json.dumps(state or {"ready": False, "parts": []}))
    elif state is None:
        typer.echo("down")
    else:
        typer.echo(f"page      {state['page']}")
        for part in state["parts"]:
            word = "up" if part["healthy"] else "not up"
            again = f", started {part['starts']} times" if part["starts"] > 1 else ""
            typer.echo(f"{part['name']:<8}  {word}{again}  {part['url']}  {part['note']}".rstrip())
    if state is None or not state["ready"]:
        raise typer.Exit(1)


@app.command()
def env(as_json: _Json = False) -> None:
    """Print the variables by which all parts are reached, including secrets: eval "$(s2i platform env)"."""
    import shlex

    home = Home(state_home())
    variables = environment(home, running(home))
    lines = (f"export {name}={shlex.quote(value)}" for name, value in variables.items())
    typer.echo(json.dumps(variables) if as_json else "\n".join(lines))


def running(home: Home) -> dict[str, Any]:
    """What runs.

    Raises:
        PlatformError: nothing runs.
    """
    state = home.read()
    if state is None:
        raise PlatformError(str(home.folder), "no platform runs here", "Start it: s2i platform up.")
    return state


def environment(home: Home, state: Mapping[str, Any]) -> dict[str, str]:
    """The variables by which the parts of a running platform are reached, including secrets."""
    login = home.login()
    info = EmbeddedStore(home.root / "store").status()
    parts = {part["name"]: part["url"] for part in state["parts"]}
    return (info.environment() if info else {}) | {
        "PREFECT_API_URL": f"{parts['prefect']}/api",
        "PREFECT_API_AUTH_STRING": login["prefect"],
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": login["ray"],
        "S2I_RAY_ADDRESS": str(state["ray"]),
        "S2I_HOME": str(home.root),
    }


def start(home: Home, options: PlatformOptions, within_s: float = START_S) -> dict[str, Any]:
    """Start the supervisor if none runs, and wait until all parts answer.

    Raises:
        PlatformError: they do not answer in time, or the supervisor ended.
    """
    home.make()
    log = home.folder / "supervisor.log"
    if home.read() is None:
        home.forget()
        with log.open("ab") as file:
            process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "flows.platform",
                    _mark(home.folder),
                    f"--options={json.dumps(asdict(options))}",
                ],
                env=os.environ | processes.marks(digest(str(home.folder))) | {"S2I_HOME": str(home.root)},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
    else:
        process = None
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        state = home.read()
        if state is not None and state["ready"]:
            return state
        if process is not None and process.poll() is not None:
            raise PlatformError("the supervisor", f"it ended with exit code {process.returncode}", f"See {log}.")
        time.sleep(0.3)
    late = [part["name"] for part in (home.read() or {"parts": []})["parts"] if not part["healthy"]]
    raise PlatformError(
        ", ".join(late), f"not up within {within_s:g} s", f"See s2i platform status, and {home.folder}."
    )


@contextlib.contextmanager
def _ended_at_interrupt(home: Home) -> Iterator[None]:
    """If the block is interrupted, end what was started in it; what ran before stays."""
    if home.read() is not None:
        yield
        return

    def end() -> None:
        processes.end(digest(str(home.folder)))
        home.forget()

    with processes.at_end_now(end):
        try:
            yield
        except Exception:
            raise
        except BaseException:
            end()
            raise


def stop(home: Home) -> bool:
    """Stop the supervisor and everything below it; returns whether there was one.

    Raises:
        PlatformError: something does not stop.
    """
    state = home.read()
    if state is not None:
        os.kill(state["pid"], signal.SIGTERM)
        deadline = time.monotonic() + _STOP_S
        while home.read() is not None or processes.command_line(state["pid"]):
            if time.monotonic() > deadline:
                remedy = f"End it by hand: kill -9 {state['pid']}; its children follow."
                raise PlatformError(f"process {state['pid']}", f"it does not stop within {_STOP_S:g} s", remedy)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(state["pid"], os.WNOHANG)
            time.sleep(0.2)
    return EmbeddedStore(home.root / "store").down() or state is not None


def deploy_samples(home: Home, state: Mapping[str, Any]) -> None:
    """Put the sample archive into the store, and its deployments on the server, with a nightly run at 02:00 UTC."""
    from cluster.local import variables
    from flows.demo import ARCHIVE, ILLUSTRATED, find_samples, upload
    from s2i_core.storage.objects import ObjectStore

    info = EmbeddedStore(home.root / "store").up()
    with variables(dict.fromkeys(OTHER_LOGIN) | info.environment()):
        store = ObjectStore(info.settings())
        for bucket in (ARCHIVE, ILLUSTRATED):
            store.create_bucket(bucket)
        upload(store, find_samples())
    deploy = [sys.executable, "-m", "s2i_core.cli", "deploy", f"s3://{ARCHIVE}", f"s3://{ILLUSTRATED}"]
    extra = ["--address", str(state["ray"]), "--pool", POOL, "--json"]
    done = subprocess.run(
        [*deploy, *extra],
        env=os.environ | client_settings(home.folder / "prefect") | environment(home, state),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise PlatformError("the deployments", (done.stdout + done.stderr).strip()[-500:], "See s2i deploy --help.")


def main() -> None:
    """The supervisor's process: `python -m flows.platform --platform=FOLDER --options=JSON`."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--platform", type=Path, required=True)
    parser.add_argument("--options", type=json.loads, required=True)
    arguments = parser.parse_args()
    options = arguments.options
    supervise(Home(arguments.platform.parent), PlatformOptions(**options | {"workers": tuple(options["workers"])}))


if __name__ == "__main__":
    main()
