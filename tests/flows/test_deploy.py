"""The deployments of prefect.yaml: checked before anything is changed, and put on a real server."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from typer.testing import CliRunner

from flows import deploy as deploying
from flows.deploy import DeploymentSpec, Wanted, automations, check, deploy, find_file, read
from flows.local_server import PrefectServer, prefect_client
from s2i_core import cli
from s2i_core.errors import ConfigError, StorageError
from s2i_core.records import Failure, Stage, row
from s2i_core.storage.objects import ObjectStore
from s2i_core.storage.tables import Lake

WANTED = Wanted(source="s3://archive/talks", destination="s3://pictures", time_zone="Europe/Berlin", pool="test")


def specs(**changes: Any) -> list[DeploymentSpec]:
    return read(find_file(), WANTED.model_copy(update=changes).values())


def changed(**changes: Any) -> DeploymentSpec:
    return specs()[0].model_copy(update=changes)


def test_the_file_says_what_there_is() -> None:
    by_name = {spec.name: spec for spec in specs(poll=True, poll_s=60, address="http://head:8265")}
    assert next(iter(by_name)) == "nightly"
    nightly = by_name["nightly"]
    assert nightly.parameters["source"] == "s3://archive/talks"
    assert nightly.parameters["address"] == "http://head:8265"
    assert nightly.concurrency_limit is not None
    assert (nightly.concurrency_limit.limit, nightly.concurrency_limit.collision_strategy) == (1, "CANCEL_NEW")
    (poll,) = by_name["new-objects"].schedules
    assert (poll.interval, poll.active) == (60, True)
    for spec in by_name.values():
        flow = check(spec)
        assert deploying.TAG in spec.tags
        described = flow.parameters.properties
        assert all(described[name].get("description") for name in described), "the form in the UI explains each"


def test_tables_are_compacted_once_a_week_by_day(objects: ObjectStore, bucket: str, prefect: PrefectServer) -> None:
    (weekly,) = (spec for spec in specs(destination=f"s3://{bucket}/out") if spec.name == "weekly")
    (schedule,) = weekly.schedules
    assert (schedule.cron, schedule.timezone) == ("0 12 * * 0", "Europe/Berlin")
    flow = check(weekly)
    lake = Lake(objects.settings, weekly.parameters["destination"])
    for number in range(3):
        lake.failures.merge([row(Failure.of(OSError("ill"), subject=str(number), stage=Stage.READ, run_id="run"))])
    files = flow(**weekly.parameters)
    assert files.pop("failures") == (3, 1)
    assert files == dict.fromkeys(("recordings", "scenes", "things", "images", "edits"), (0, 0))
    assert lake.failures.read(["subject"])["subject"].sort().to_pylist() == ["0", "1", "2"]
    with pytest.raises(StorageError, match="no such bucket"):
        flow(destination="s3://nowhere-at-all")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"parameters": {"source": "s3://a", "destination": "s3://b", "sauce": 1}}, "has no parameter sauce"),
        ({"parameters": {"source": "s3://a"}}, "needs destination"),
        ({"parameters": {"source": "s3://a", "destination": "s3://b", "limit": 0}}, "limit"),
        ({"entrypoint": "flows/archive.py:nothing"}, "no flow"),
        ({"schedules": (deploying.ScheduleSpec(cron="0 26 * * *"),)}, "schedule"),
        ({"schedules": (deploying.ScheduleSpec(cron="0 2 * * *", timezone="Europe/Berlino"),)}, "Europe/Berlino"),
        ({"schedules": (deploying.ScheduleSpec(),)}, "either cron or interval"),
    ],
)
def test_what_is_wrong_is_said_with_the_deployments_name(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError) as raised:
        check(changed(**changes))
    assert "nightly" in raised.value.subject
    assert reason in str(raised.value)
    assert raised.value.remedy


def test_a_file_that_is_wrong_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("S2I_NOBODY", raising=False)
    for text, reason in {
        "x: [": "no file of deployments",
        "deployments:\n- {name: a, entrypoint: a.py:f, description: d, work_pool: {name: p}, sky: 1}": "sky",
        'deployments:\n- {name: "{{ $S2I_NOBODY }}"}': "S2I_NOBODY",
    }.items():
        (tmp_path / "p.yaml").write_text(text)
        with pytest.raises(ConfigError, match=reason):
            read(tmp_path / "p.yaml", {})


@pytest.mark.parametrize("day", ["2026-03-28", "2026-10-24"])
def test_a_night_keeps_its_local_time_over_a_change_of_the_clocks(day: str) -> None:
    """Once a day at the same time of the wall's clock, also where the day has 23 or 25 hours."""
    from prefect.server.schemas.schedules import CronSchedule

    zone = ZoneInfo("Europe/Berlin")
    start = datetime.fromisoformat(f"{day}T12:00:00").replace(tzinfo=zone)
    dates = asyncio.run(CronSchedule(cron="0 4 * * *", timezone="Europe/Berlin").get_dates(3, start=start))
    local = [date.astimezone(zone) for date in dates]
    assert [(date.hour, date.minute) for date in local] == [(4, 0)] * 3
    assert len({date.date() for date in local}) == 3
    hours = {(later.timestamp() - earlier.timestamp()) / 3600 for earlier, later in pairwise([start, *local])}
    assert hours <= {15, 16, 17, 23, 24, 25}
    assert len(hours & {15, 17, 23, 25}) == 1, "one of the days is longer or shorter"


@pytest.mark.parametrize(
    ("cron", "zone", "said"),
    [
        ("30 2 * * *", "Europe/Berlin", "2027-03-28 has no 02:30 in Europe/Berlin"),
        ("0 2 * * *", "Europe/Berlin", "2027-03-28 has no 02:00 in Europe/Berlin"),
        ("0 2 * * *", "America/New_York", "2027-03-14 has no 02:00 in America/New_York"),
        ("15 2 * * *", "Australia/Lord_Howe", "has no 02:15 in Australia/Lord_Howe"),
        ("0 3 * * *", "Europe/Berlin", None),
        ("0 2 * * 3", "Europe/Berlin", None),  # clocks change on a Sunday
        ("0 2 * * *", "UTC", None),
        ("0 2 * * *", "Asia/Kolkata", None),
        ("*/15 * * * *", "Europe/Berlin", None),
    ],
)
def test_a_start_in_the_hour_that_a_zone_skips_is_told_of(cron: str, zone: str, said: str | None) -> None:
    note = deploying.left_out(
        deploying.ScheduleSpec(cron=cron, timezone=zone), datetime(2026, 11, 23, 19, 7, tzinfo=UTC)
    )
    if said is None:
        assert note is None
    else:
        assert note is not None and said in note and "A start before" in note


def test_that_run_begins_an_hour_early_and_one_in_a_repeated_hour_begins_once() -> None:
    """What the note says, by Prefect's own scheduler."""
    from prefect.server.schemas.schedules import CronSchedule

    zone = ZoneInfo("Europe/Berlin")

    def starts(day: str) -> list[str]:
        start = datetime.fromisoformat(f"{day}T12:00:00").replace(tzinfo=zone)
        dates = asyncio.run(CronSchedule(cron="30 2 * * *", timezone="Europe/Berlin").get_dates(3, start=start))
        return [f"{date.astimezone(zone):%m-%d %H:%M}" for date in dates]

    assert starts("2027-03-26") == ["03-27 02:30", "03-28 01:30", "03-29 02:30"]
    assert starts("2027-10-29") == ["10-30 02:30", "10-31 02:30", "11-01 02:30"]


def test_the_command_tells_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    monkeypatch.setattr(deploying, "deploy", lambda specs, **_: {f"flow/{spec.name}": "id" for spec in specs})
    command = ["deploy", "s3://archive", "s3://pictures", "--time-zone", "Europe/Berlin"]
    told = CliRunner().invoke(cli.app, [*command, "--json"])
    assert told.exit_code == 0, told.output
    (note,) = json.loads(told.stdout)["notes"]
    assert note.startswith("nightly: ") and "an hour early" in note
    assert note in CliRunner().invoke(cli.app, command).stdout
    told = CliRunner().invoke(cli.app, [*command, "--cron", "0 4 * * *", "--json"])
    assert json.loads(told.stdout)["notes"] == []


@pytest.mark.usefixtures("prefect")
def test_deploying_twice_makes_nothing_twice_and_the_server_refuses_what_is_wrong(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from prefect.client.orchestration import get_client
    from prefect.exceptions import PrefectHTTPStatusError

    monkeypatch.setenv("WEBHOOK", "http://127.0.0.1:9/hook")
    first = deploy(specs(), notify="WEBHOOK")
    assert deploy(specs(poll=True, poll_s=120), notify="WEBHOOK") == first
    with get_client(sync_client=True) as client:
        pool = client.read_work_pool("test")
        assert pool.type == "process"
        nightly = client.read_deployment(first["illustrate-archive/nightly"])
        assert nightly.enforce_parameter_schema
        assert nightly.global_concurrency_limit.limit == 1
        (schedule,) = nightly.schedules
        assert (schedule.schedule.cron, schedule.schedule.timezone) == ("0 2 * * *", "Europe/Berlin")
        (poll,) = client.read_deployment(first["illustrate-archive/new-objects"]).schedules
        assert (poll.active, poll.schedule.interval) == (True, timedelta(seconds=120))
        names = [each.name for each in client.read_automations()]
        assert len(names) == len(set(names)) == len(automations(pool.id, timedelta(1), timedelta(1)))
        for parameters in ({"source": "nowhere"}, {"sauce": 1}, {"limit": 0}, {"preset": "tpu"}):
            with pytest.raises(PrefectHTTPStatusError, match="409"):
                client.create_flow_run_from_deployment(nightly.id, parameters=parameters)
        block = client.read_block_document_by_name("s2i-notify", "custom-webhook", include_secrets=False)
        assert "127.0.0.1" not in str(block.data)
    with pytest.raises(ConfigError, match="of type process, not kubernetes"):
        deploy(specs(), kind="kubernetes")
    deploy([changed(work_pool=deploying.PoolSpec(name="clouds"))], kind="kubernetes", image="registry/s2i:1")
    with get_client(sync_client=True) as client:
        assert client.read_work_pool("clouds").type == "kubernetes"


@pytest.mark.slow
def test_a_run_that_failed_is_told_to_a_webhook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from prefect.client.orchestration import get_client
    from prefect.states import Failed

    told: Queue[dict[str, Any]] = Queue()

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.put(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    hook = ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    Thread(target=hook.serve_forever, daemon=True).start()
    monkeypatch.setenv("WEBHOOK", f"http://127.0.0.1:{hook.server_port}/hook")
    with PrefectServer(tmp_path, complete=True) as server, prefect_client(server):
        nightly = deploy(specs(), notify="WEBHOOK")["illustrate-archive/nightly"]
        with get_client(sync_client=True) as client:
            run = client.create_flow_run_from_deployment(nightly)
            client.set_flow_run_state(run.id, Failed(message='The bucket "talks" is gone.'), force=True)
        text = told.get(timeout=120)["text"]
    hook.shutdown()
    assert text.startswith(f"s2i: failed: {run.name}\n") and "Deployment nightly" in text
    assert 'The bucket "talks" is gone.' in text and str(run.id) in text
    assert told.empty()


@pytest.mark.slow
def test_a_death_that_is_told_of_twice_gives_one_new_life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from prefect.client.orchestration import get_client
    from prefect.states import Crashed, Pending, Running

    monkeypatch.setattr(deploying, "SETTLE_S", 15)
    with PrefectServer(tmp_path, complete=True) as server, prefect_client(server):
        nightly = deploy([changed(concurrency_limit=None)])["illustrate-archive/nightly"]
        with get_client(sync_client=True) as client:
            dead, unborn = (client.create_flow_run_from_deployment(nightly) for _ in range(2))
            client.set_flow_run_state(unborn.id, Crashed(), force=True)
            for state in (Pending(), Running(), Crashed(message="by the runner")):
                client.set_flow_run_state(dead.id, state, force=True)
            time.sleep(6)
            client.set_flow_run_state(dead.id, Crashed(message="by the worker"), force=True)
            deadline = time.monotonic() + 90
            while client.read_flow_run(dead.id).state_name != "AwaitingRetry":
                assert time.monotonic() < deadline, "it was not started again"
                time.sleep(1)
            for state in (Pending(), Running()):  # as a worker does that takes it up
                client.set_flow_run_state(dead.id, state, force=True)
            time.sleep(25)
            assert client.read_flow_run(dead.id).state_name == "Running", "nothing comes after the one new life"
            assert client.read_flow_run(dead.id).run_count == 2
            assert client.read_flow_run(unborn.id).state_name == "Crashed", "what never began is left alone"


@pytest.mark.usefixtures("prefect")
def test_nothing_is_changed_where_one_deployment_is_wrong() -> None:
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound

    pool = deploying.PoolSpec(name="never-made")
    wrong = changed(parameters={"sauce": 1}, work_pool=pool)
    with pytest.raises(ConfigError, match="sauce"):
        deploy([changed(name="good", work_pool=pool), wrong])
    with get_client(sync_client=True) as client, pytest.raises(ObjectNotFound):
        client.read_work_pool("never-made")
    with pytest.raises(ConfigError, match="holds no URL"):
        deploy(specs(), notify="NO_SUCH_VARIABLE")
    with pytest.raises(ConfigError, match="there is none"):
        deploy(specs(), notify="slack-webhook/nobody")


def test_the_command_without_a_server_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    result = CliRunner().invoke(cli.app, ["deploy", "s3://a", "s3://b"])
    assert result.exit_code == 2
    assert "PREFECT_API_URL" in result.stderr


def test_options_shape_the_archives_deployments_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[DeploymentSpec] = []
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    monkeypatch.setattr("flows.deploy.deploy", lambda specs, **_: told.extend(specs) or {"one": "id"})
    options = ["--set", "image.steps=3", "--style", "sketch", "--limit", "7", "--deadline", "60"]
    asked = CliRunner().invoke(cli.app, ["deploy", "s3://a/talks", "s3://a/talks-out", *options])
    assert asked.exit_code == 0, asked.output
    shaped = {spec.name: (spec.parameters.get("settings"), spec.parameters.get("limit")) for spec in told}
    changes = {"image.steps": "3", "image.style": "sketch", "limits.deadline_s": 60.0}
    assert shaped["nightly"] == shaped["replay"] == (changes, 7)
    assert shaped["weekly"] == shaped["train"] == (None, None)


@pytest.mark.parametrize("destination", ["s3://a/talks/out", "s3://a", "s3://a/talks//"])
def test_a_destination_within_the_source_is_not_deployed(destination: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    asked = CliRunner().invoke(cli.app, ["deploy", "s3://a/talks/", destination])
    assert asked.exit_code == 2
    assert "lie in each other" in asked.stderr


def test_variables_of_a_deployments_own_stay_beside_ours() -> None:
    """As the pool's template has them, by name or in a list as Kubernetes writes them; the deployment's own win."""
    ours = {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30", "A": "ours"}
    assert deploying._with(None, ours) == ours
    assert deploying._with({"A": "own", "B": "2"}, ours) == {
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
        "A": "own",
        "B": "2",
    }
    secret = {"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}
    assert deploying._with([secret], ours) == [secret, {"name": "PREFECT_FLOWS_HEARTBEAT_FREQUENCY", "value": "30"}]
