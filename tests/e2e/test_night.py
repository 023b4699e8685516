"""The platform from nothing: a schedule fires, a run is cancelled, a run's process is killed, and nothing is left."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from small_archive import SETTINGS, clip
from tiny import tiny_pipeline

from s2i_core.storage.objects import ObjectStore, S3Settings
from s2i_core.storage.tables import Lake

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]

ROOT = Path(__file__).parents[2]
_CANCEL_S = 30.0
#: Slow pictures, so that there is a middle to be stopped in.
SLOW = SETTINGS | {"image.steps": 100, "image.size_px": 256, "resources.generate.batch_size": 1, "scenes.max_s": 10}


@dataclass
class World:
    """The platform that runs, and how to reach it."""

    home: Path
    state: dict[str, Any]
    environment: dict[str, str]
    checkpoint: str

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "s2i_core.cli", *words],
            env=self.environment,
            cwd=self.home,
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def store(self) -> ObjectStore:
        return ObjectStore(S3Settings(endpoint_url=self.environment["S2I_S3_ENDPOINT"]))

    def lake(self, destination: str) -> Lake:
        return Lake(self.store.settings, destination)

    def prefect(self, path: str, body: dict[str, Any] | None = None, *, login: bool = True) -> Any:
        from base64 import b64encode

        headers = {"Content-Type": "application/json"}
        if login:
            headers["Authorization"] = (
                "Basic " + b64encode(self.environment["PREFECT_API_AUTH_STRING"].encode()).decode()
            )
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.environment["PREFECT_API_URL"] + path, data, headers)
        # A server over SQLite says 503 while another writes; Prefect's own clients ask again, too.
        for wait_s in (1, 2, 4, 8, 0):
            try:
                with urllib.request.urlopen(request, timeout=60) as answer:
                    return json.loads(answer.read() or "null")
            except urllib.error.HTTPError as error:
                if error.code != 503 or not wait_s:
                    raise
                time.sleep(wait_s)
        raise AssertionError("the last answer is returned or raised")

    def jobs(self, run: UUID | str) -> dict[str, str]:
        """Status of the Ray jobs of a flow run, by their ids."""
        request = urllib.request.Request(
            f"{self.environment['S2I_RAY_ADDRESS']}/api/jobs/",
            headers={"Authorization": f"Bearer {self.environment['RAY_AUTH_TOKEN']}"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            jobs = json.loads(answer.read())
        mark = f"-{str(run).replace('-', '')[-6:]}-"
        return {
            job["submission_id"]: job["status"] for job in jobs if job["submission_id"] and mark in job["submission_id"]
        }

    def start(self, deployment: str, **parameters: Any) -> str:
        name = f"/deployments/name/illustrate-archive/{deployment}"
        body = {"parameters": parameters, "state": {"type": "SCHEDULED"}}
        return str(self.prefect(f"/deployments/{self.prefect(name)['id']}/create_flow_run", body)["id"])

    def state_of(self, run: str) -> str:
        return str(self.prefect(f"/flow_runs/{run}")["state"]["type"])

    def history(self, run: str) -> str:
        """The states that a run has been through, a line each."""
        states = self.prefect(f"/flow_run_states/?flow_run_id={run}")
        return "\n".join(f"{state['timestamp']} {state['name']}: {state['message']}" for state in states)

    def bucket(self, name: str) -> str:
        self.store.create_bucket(name)
        return f"s3://{name}"


def until(true: Callable[[], Any], within_s: float, what: str) -> Any:
    deadline = time.monotonic() + within_s
    while not (value := true()):
        assert time.monotonic() < deadline, what
        time.sleep(0.5)
    return value


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    home = tmp_path_factory.mktemp("platform")
    tiny_pipeline().save_pretrained(home / "model")
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "S2I_", "PREFECT", "RAY_"))
    }
    environment = clean | {"S2I_HOME": str(home / "state"), "PYTHONPATH": str(ROOT)}
    made = World(home, {}, environment, str(home / "model"))
    try:
        up = made.run("platform", "up", "--checkpoint", made.checkpoint, "--no-samples", "--json")
        assert up.returncode == 0, up.stderr + _logs(home)
        made.state = json.loads(up.stdout)
        made.environment = environment | json.loads(made.run("platform", "env", "--json").stdout)
        with pytest.MonkeyPatch.context() as patch:
            for name, value in made.environment.items():
                patch.setenv(name, value)
            source = made.bucket("archive")
            for name in ("sea-animals.opus", "farm-morning.mp3", "night-sky.m4a"):
                made.store.put("archive", f"{Path(name).stem}.wav", clip(name, 0, 40))
            made.store.put("archive", "broken.mp3", b"no audio")
            assert source == "s3://archive"
            yield made
    finally:
        down = made.run("platform", "down", "--json")
        assert down.returncode == 0, down.stderr


def _logs(home: Path) -> str:
    return "\n".join(f"{path}:\n{path.read_text(errors='replace')[-1500:]}" for path in (home / "state").rglob("*.log"))


def _deploy(world: World, destination: str, *words: str, file: Path | None = None) -> dict[str, str]:
    address = world.environment["S2I_RAY_ADDRESS"]
    named = ("--file", str(file)) if file else ()
    done = world.run("deploy", "s3://archive", destination, "--address", address, *named, *words, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    return dict(json.loads(done.stdout)["deployments"])


def test_everything_asks_who_is_there_and_the_doctor_is_content(world: World) -> None:
    with pytest.raises(urllib.error.HTTPError, match="401"):
        world.prefect("/admin/version", login=False)
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(f"{world.environment['S2I_RAY_ADDRESS']}/api/jobs/", timeout=30)
    with urllib.request.urlopen(world.state["page"], timeout=30) as answer:
        text = answer.read().decode()
    assert world.environment["PREFECT_API_URL"].removesuffix("/api") in text
    for secret in ("PREFECT_API_AUTH_STRING", "RAY_AUTH_TOKEN", "AWS_SECRET_ACCESS_KEY"):
        assert world.environment[secret] not in text
    told = world.run("doctor", "s3://archive", "--address", world.environment["S2I_RAY_ADDRESS"], "--json")
    checks = {check["name"]: check for check in json.loads(told.stdout)["checks"]}
    assert checks["ray"]["status"] == checks["prefect"]["status"] == checks["source"]["status"] == "ok", checks
    with urllib.request.urlopen(world.state["page"] + "/targets", timeout=30) as answer:
        assert json.loads(answer.read()), "Prometheus has something to scrape"


def test_the_service_is_one_of_the_parts_and_draws(world: World) -> None:
    parts = {part["name"]: part for part in world.state["parts"]}
    assert parts.keys() == {"store", "ray", "prefect", "worker", "serve"}
    url = parts["serve"]["url"]
    with urllib.request.urlopen(world.state["page"], timeout=30) as answer:
        assert f'href="{url}"' in answer.read().decode()
    with urllib.request.urlopen(f"{url}/", timeout=30) as answer:
        assert "<title>Studio · s2i</title>" in answer.read().decode()
    headers = {"Content-Type": "audio/wav"}
    spoken = urllib.request.Request(f"{url}/v1/images?format=png", clip("sea-animals.opus", 0, 8), headers)
    with urllib.request.urlopen(spoken, timeout=120) as answer:
        assert answer.headers["Content-Type"] == "image/png"
        assert answer.read().startswith(b"\x89PNG")
    with urllib.request.urlopen(world.state["page"] + "/targets", timeout=30) as answer:
        assert {"labels": {"job": "serve"}, "targets": [url.removeprefix("http://")]} in json.loads(answer.read())


def test_a_schedule_fires_and_its_pictures_are_in_the_bucket(world: World, tmp_path: Path) -> None:
    destination = world.bucket("scheduled")
    text = (ROOT / "prefect.yaml").read_text()
    chosen = f'checkpoint: "{world.checkpoint}"\n    settings: {json.dumps(SETTINGS)}\n'
    file = tmp_path / "prefect.yaml"
    file.write_text(text.replace("    address:", f"    {chosen}    address:"))
    made = _deploy(world, destination, "--poll-s", "20", file=file)
    deployment = made["illustrate-archive/new-objects"]
    found = {"deployments": {"id": {"any_": [deployment]}}, "flow_runs": {"state": {"type": {"any_": ["COMPLETED"]}}}}
    (run, *_) = until(lambda: world.prefect("/flow_runs/filter", found), 400, "no scheduled run completed")
    assert run["auto_scheduled"]
    images = {item.key for item in world.store.list("scheduled", "images/")}
    lake = world.lake(destination)
    assert images == set(lake.images.read(["key"])["key"].to_pylist())
    assert len(images) >= 3
    assert lake.recordings.count() == 4
    _deploy(world, destination)  # the poll is off again
    assert not world.prefect(f"/deployments/{deployment}")["schedules"][0]["active"]


def _slow_run(world: World, name: str) -> tuple[str, str]:
    """A run that draws for long, and the id of its job that draws."""
    _deploy(world, world.bucket(name))
    run = world.start(
        "by-hand",
        source="s3://archive",
        destination=f"s3://{name}",
        address=world.environment["S2I_RAY_ADDRESS"],
        checkpoint=world.checkpoint,
        settings=SLOW,
    )

    def drawing() -> str:
        assert world.state_of(run) not in {"FAILED", "CRASHED", "COMPLETED"}, _logs(world.home)
        if world.lake(f"s3://{name}").scenes.count() == 0:
            return ""
        return next((job for job, state in world.jobs(run).items() if "illustrate" in job and state == "RUNNING"), "")

    return run, until(drawing, 400, "its job never drew")


def test_cancelling_stops_the_job_within_half_a_minute(world: World) -> None:
    run, job = _slow_run(world, "cancelled")
    started = time.monotonic()
    world.prefect(f"/flow_runs/{run}/set_state", {"state": {"type": "CANCELLING"}})
    until(lambda: world.jobs(run)[job] == "STOPPED", _CANCEL_S, f"the job still runs after {_CANCEL_S} s")
    assert time.monotonic() - started < _CANCEL_S
    until(lambda: world.state_of(run) == "CANCELLED", 60, "the run is not cancelled")


def test_a_run_whose_process_is_killed_goes_on_with_its_own_job(world: World) -> None:
    run, job = _slow_run(world, "killed")
    victims = _processes_of(run)
    assert victims, "no process of the run was found"
    for pid in victims:
        os.kill(pid, signal.SIGKILL)
    assert world.jobs(run)[job] == "RUNNING", "the job outlives the flow's process"
    until(lambda: world.state_of(run) == "COMPLETED", 500, f"it ended as {world.state_of(run)}: {_logs(world.home)}")
    jobs = world.jobs(run)
    assert set(jobs.values()) == {"SUCCEEDED"}
    assert [name for name in jobs if "illustrate" in name] == [job], "its job was found again, not started anew"
    assert world.prefect(f"/flow_runs/{run}")["run_count"] == 2, world.history(run)
    lake = world.lake("s3://killed")
    scenes = lake.scenes.read(["status"])["status"].to_pylist().count("ok")
    images = lake.images.read(["scene_id", "key"]).to_pylist()
    assert len(images) == len({row["scene_id"] for row in images}) == scenes >= 3
    assert {item.key for item in world.store.list("killed", "images/")} == {row["key"] for row in images}
    (summary,) = [item.key for item in world.store.list("killed", "runs/") if item.key.endswith("/summary.json")]
    assert summary.split("/")[1].endswith(run.replace("-", "")[-6:])


def _processes_of(run: str) -> list[int]:
    """Processes of a flow run, by what Prefect puts into their environment."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            environment = (folder / "environ").read_bytes()
        except OSError:
            continue
        if f"PREFECT__FLOW_RUN_ID={run}".encode() in environment:
            found.append(int(folder.name))
    return found


def test_down_leaves_nothing_behind_and_what_was_made_is_there_after(world: World) -> None:
    parts = world.state["parts"]
    ports = [int(part["url"].rpartition(":")[2]) for part in parts if part["url"]]
    ports.append(int(world.state["page"].rpartition(":")[2]))
    assert world.run("platform", "down").returncode == 0
    for port in ports:
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)), f"somebody still listens on {port}"
    left = [line for line in _command_lines() if str(world.home) in line]
    assert left == []
    assert world.run("platform", "status").returncode == 1
    assert (world.home / "state" / "store" / "data").is_dir()
    assert world.run("platform", "down", "--purge").returncode == 0
    assert not (world.home / "state" / "store").exists()


def _command_lines() -> list[str]:
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue
    return lines
