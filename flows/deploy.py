"""`s2i deploy`: the deployments of `prefect.yaml` on a Prefect server, with all that they need there.

Work pool, deployments with schedules and limits, and automations, which restart a run whose process died and report
failed, late and overlong runs. Each is found again by its name, so that deploying again
changes what differs and makes nothing twice. Everything is checked before anything is changed.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast
from zoneinfo import ZoneInfo

import typer
import yaml  # type: ignore[import-untyped]  # comes with Prefect
from pydantic import Field, ValidationError

from s2i_core import options
from s2i_core.config import Settings
from s2i_core.errors import ConfigError, S2IError
from s2i_core.storage.places import keep_apart

if TYPE_CHECKING:
    from uuid import UUID

    from prefect import Flow
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.actions import DeploymentScheduleCreate
    from prefect.events.schemas.automations import AutomationCore

TAG = "s2i"
POOL = "s2i"
FILE = "prefect.yaml"
HEARTBEAT_S = 30
"""Seconds between a flow process's signs of life; three missing ones mean that it died with its machine."""
SETTLE_S = 30
"""Seconds that a run stays crashed before it is started again: each death is reported twice, by the worker's process
that watched it and, some seconds later, by the worker, which would take the restarted run for the dead one."""

_TEMPLATE = re.compile(r"\{\{\s*\$(\w+)\s*\}\}")


class DeployError(S2IError):
    """The Prefect server did not accept a deployment."""


class ScheduleSpec(Settings):
    """When a deployment runs: either `cron` or `interval`."""

    cron: str | None = Field(None, description="Minute, hour, day, month, weekday.")
    interval: float | None = Field(None, ge=10, description="Seconds from start to start.")
    timezone: str = Field("UTC", description="Time zone of the cron schedule, such as Europe/Berlin.")
    active: bool = Field(True, description="Whether it runs; an inactive one can be turned on in the UI.")


class LimitSpec(Settings):
    """How many runs of a deployment may run at a time."""

    limit: int = Field(1, ge=1)
    collision_strategy: Literal["ENQUEUE", "CANCEL_NEW"] = Field("ENQUEUE", description="What to do with excess runs.")


class PoolSpec(Settings):
    """Where a deployment's runs wait for a worker."""

    name: str = Field(min_length=1)
    work_queue_name: str | None = None
    job_variables: dict[str, Any] = Field(default_factory=dict)


class DeploymentSpec(Settings):
    """One deployment, as it stands in the file."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    entrypoint: str = Field(pattern=r"^[\w/]+\.py:\w+$")
    description: str = Field(min_length=1)
    tags: tuple[str, ...] = ()
    parameters: dict[str, Any] = Field(default_factory=dict)
    schedules: tuple[ScheduleSpec, ...] = ()
    concurrency_limit: LimitSpec | None = None
    work_pool: PoolSpec


class Wanted(Settings):
    """What the user chooses for a set of deployments; the templates in the file stand for these values."""

    source: str = Field(description="Recordings.")
    destination: str = Field(description="Where results go.")
    preset: str = "cpu"
    address: str = Field("", description="Job server of a Ray cluster; empty runs Ray where the worker is.")
    cron: str = Field("0 2 * * *", description="When the nightly run starts.")
    time_zone: str = Field("UTC", description="Time zone of `cron`.")
    poll_s: float = Field(900, ge=10, description="Seconds between looks for new recordings.")
    compact_cron: str = Field("0 12 * * 0", description="When tables are compacted, in the same time zone.")
    poll: bool = Field(False, description="Whether to look for new recordings by day.")
    pool: str = POOL
    root: str = Field("", description="Folder in which a worker runs the flows; by default that of this installation.")

    def values(self) -> dict[str, str]:
        """The values by their names in the templates."""
        stated = {f"S2I_{name.upper()}": str(value) for name, value in self.model_dump().items()}
        return stated | {"S2I_ROOT": self.root or str(Path(__file__).parent.parent)}


def find_file() -> Path:
    """`prefect.yaml`: here, or beside the package.

    Raises:
        ConfigError: there is none.
    """
    for folder in (Path(), Path(__file__).parent.parent):
        if (folder / FILE).is_file():
            return folder / FILE
    raise ConfigError(FILE, "there is no such file here", "Name it with --file; the repository has one.")


def read(path: Path, values: Mapping[str, str]) -> list[DeploymentSpec]:
    """The deployments of a file, with its templates filled in.

    Raises:
        ConfigError: it is not such a file, or a name in it is not defined.
    """
    try:
        content = yaml.safe_load(path.read_text("utf-8"))
        entries = content["deployments"]
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise ConfigError(
            str(path), f"it is no file of deployments ({error})", "See Prefect's prefect.yaml."
        ) from error
    specs = []
    for entry in entries:
        name = entry.get("name", "?") if isinstance(entry, dict) else "?"
        try:
            specs.append(DeploymentSpec.model_validate(_filled(entry, values)))
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in first["loc"])
            raise ConfigError(f"{path}: deployment {name}: {field}", first["msg"], "Correct it in the file.") from error
    return specs


def _filled(value: Any, values: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {name: _filled(each, values) for name, each in value.items()}
    if isinstance(value, list):
        return [_filled(each, values) for each in value]
    if not isinstance(value, str):
        return value

    def stands_for(match: re.Match[str]) -> str:
        name = match[1]
        if name not in values and name not in os.environ:
            raise ConfigError(f"{{{{ ${name} }}}}", "it stands for nothing", f"Set {name} in the environment.")
        return values.get(name, os.environ.get(name, ""))

    return _TEMPLATE.sub(stands_for, value)


def check(spec: DeploymentSpec) -> Flow[..., Any]:
    """The flow of a deployment, after its parameters and schedules were checked.

    Raises:
        ConfigError: there is no such flow, it lacks or refuses a parameter, or a schedule is invalid.
    """
    from prefect.exceptions import MissingFlowError, ParameterTypeError
    from prefect.flows import load_flow_from_entrypoint

    subject = f"deployment {spec.name}"
    module = spec.entrypoint.replace(".py:", ".").replace("/", ".")
    try:
        flow: Flow[..., Any] = load_flow_from_entrypoint(module)
    except (ImportError, AttributeError, ValueError, MissingFlowError) as error:
        raise ConfigError(
            subject, f"there is no flow {spec.entrypoint} ({error})", "Correct its entrypoint."
        ) from error
    known = flow.parameters.properties
    if unknown := sorted(spec.parameters.keys() - known.keys()):
        raise ConfigError(
            subject, f"its flow has no parameter {', '.join(unknown)}", f"There are: {', '.join(sorted(known))}."
        )
    if missing := sorted(set(flow.parameters.required) - spec.parameters.keys()):
        raise ConfigError(subject, f"its flow needs {', '.join(missing)}", "Give it under `parameters`.")
    try:
        flow.validate_parameters(spec.parameters)
    except ParameterTypeError as error:
        reason = " ".join(str(error).split())
        raise ConfigError(subject, reason, "Correct it under `parameters`.") from error
    for schedule in spec.schedules:
        _schedule(schedule, subject)
    return flow


def _shaped(spec: DeploymentSpec, changes: Mapping[str, Any], limit: int | None) -> DeploymentSpec:
    """The deployment with these changes of settings; settings in the file that they do not change stay."""
    if not spec.entrypoint.endswith(":illustrate_archive"):
        return spec
    told: dict[str, Any] = {} if limit is None else {"limit": limit}
    if changes:
        told["settings"] = {**(spec.parameters.get("settings") or {}), **changes}
    return spec.model_copy(update={"parameters": spec.parameters | told})


def _schedule(spec: ScheduleSpec, subject: str) -> DeploymentScheduleCreate:
    from prefect.client.schemas.actions import DeploymentScheduleCreate
    from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule

    if (spec.cron is None) == (spec.interval is None):
        raise ConfigError(subject, "a schedule needs either cron or interval", "Leave one of them out.")
    try:
        schedule: CronSchedule | IntervalSchedule
        if spec.cron is not None:
            schedule = CronSchedule(cron=spec.cron, timezone=spec.timezone)
        else:
            schedule = IntervalSchedule(interval=timedelta(seconds=spec.interval or 0))
    except ValidationError as error:
        first = error.errors()[0]
        remedy = "Write cron as in '0 2 * * *', and the zone as in Europe/Berlin."
        raise ConfigError(f"{subject}: schedule", f"{first['msg']}: {first['input']!r}", remedy) from error
    return DeploymentScheduleCreate(schedule=schedule, active=spec.active)


def left_out(spec: ScheduleSpec, now: datetime | None = None) -> str | None:
    """A note about a start within the hour that the zone's clock skips in the coming year; None if there is none.

    Prefect then starts the run by the clock of the hour before: it takes place, but early. In an hour that comes twice
    it starts one run. There is no note for what also runs in the hours around it, such as every few minutes.
    """
    if spec.cron is None or not spec.active:
        return None
    zone, hour = ZoneInfo(spec.timezone), timedelta(hours=1)
    step = hour / 2  # clocks change at a full or a half hour of UTC
    begin = (now or datetime.now(UTC)).replace(minute=0, second=0, microsecond=0)
    for before, after in pairwise((begin + number * step).astimezone(zone) for number in range(2 * 24 * 366)):
        end = after.replace(tzinfo=None)
        start = before.replace(tzinfo=None) + step
        if start >= end:
            continue
        missed = _first(spec.cron, start, end)
        if missed and not (_first(spec.cron, start - hour, start) and _first(spec.cron, end, end + hour)):
            return (
                f"{missed:%Y-%m-%d} has no {missed:%H:%M} in {spec.timezone}, where clocks change: that run begins up "
                f"to an hour early. A start before {start:%H:%M} or from {end:%H:%M} on keeps its time all year."
            )
    return None


def _first(cron: str, since: datetime, until: datetime) -> datetime | None:
    """The first start, by wall-clock time."""
    from prefect._vendor.croniter.croniter import croniter

    minute = timedelta(minutes=1)
    times = (since + number * minute for number in range((until - since) // minute))
    return next((time for time in times if croniter.match(cron, time)), None)  # type: ignore[no-untyped-call]


def deploy(
    specs: Sequence[DeploymentSpec],
    *,
    kind: Literal["process", "kubernetes"] = "process",
    notify: str = "",
    budget_h: float = 12.0,
    late_s: float = 900.0,
    environment: Mapping[str, str] | None = None,
    image: str = "",
) -> dict[str, str]:
    """Put deployments on the server that `PREFECT_API_URL` names; returns their ids by name.

    Args:
        kind: type of the work pools that are made; an existing one stays as it is.
        notify: `type/name` of a notification block for failures, such as `slack-webhook/ops`; or the name of
            an environment variable with a webhook's URL; empty notifies nobody.
        budget_h: hours after which a run that is still going is reported.
        late_s: seconds after which a run that nobody started is reported.
        environment: variables of the runs. No secrets: those belong to the worker, or to the cluster's own store.
        image: container image of the runs, if the pool is one of Kubernetes.

    Raises:
        ConfigError: something about the deployments is wrong; nothing was changed.
        DeployError: the server refused something.
    """
    flows = [check(spec) for spec in specs]
    from prefect.client.orchestration import get_client
    from prefect.exceptions import PrefectHTTPStatusError

    made = {}
    try:
        with get_client(sync_client=True) as client:
            for pool in sorted({spec.work_pool.name for spec in specs}):
                _pool(client, pool, kind)
            for spec, flow in zip(specs, flows, strict=True):
                made[f"{flow.name}/{spec.name}"] = str(_apply(spec, flow, environment or {}, image))
            block = _notification(client, notify) if notify else None
            for automation in automations(block, timedelta(hours=budget_h), timedelta(seconds=late_s)):
                _upsert(client, automation)
    except PrefectHTTPStatusError as error:
        told = " ".join(error.response.text.split())[:500]
        raise DeployError("Prefect", f"it refused ({told})", "See that its version is that of this machine.") from error
    return made


def _pool(client: SyncPrefectClient, name: str, kind: str) -> None:
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectNotFound

    try:
        there = client.read_work_pool(name)
    except ObjectNotFound:
        workers = client.read_worker_metadata()
        template = next(
            (each[kind]["default_base_job_configuration"] for each in workers.values() if kind in each),
            None,
        )
        if template is None:
            raise DeployError("Prefect", f"it knows no work pools of type {kind}", "Use --pool-type process.") from None
        client.create_work_pool(WorkPoolCreate(name=name, type=kind, base_job_template=template))
        return
    if there.type != kind:
        raise ConfigError(
            f"work pool {name}", f"it is of type {there.type}, not {kind}", f"Say --pool-type {there.type}, or --pool."
        )


def _apply(spec: DeploymentSpec, flow: Flow[..., Any], environment: Mapping[str, str], image: str) -> UUID:
    from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
    from prefect.deployments.runner import RunnerDeployment
    from prefect.types.entrypoint import EntrypointType
    from prefect.utilities.callables import ParameterSchema

    class _Closed(ParameterSchema):
        additionalProperties: bool = False

    limit = spec.concurrency_limit
    variables = {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT_S), **environment}
    subject = f"deployment {spec.name}"
    deployment = RunnerDeployment.from_flow(
        flow,
        name=spec.name,
        description=spec.description,
        tags=list(spec.tags),
        parameters=spec.parameters,
        schedules=[_schedule(schedule, subject) for schedule in spec.schedules],
        concurrency_limit=None
        if limit is None
        else ConcurrencyLimitConfig(
            limit=limit.limit, collision_strategy=ConcurrencyLimitStrategy(limit.collision_strategy)
        ),
        enforce_parameter_schema=True,
        work_pool_name=spec.work_pool.name,
        work_queue_name=spec.work_pool.work_queue_name,
        job_variables=spec.work_pool.job_variables | {"env": _with(spec.work_pool.job_variables.get("env"), variables)},
        # By module, as it is installed both in a process and in a container.
        entrypoint_type=EntrypointType.MODULE_PATH,
    )
    # Prefect's own schema of a flow's parameters accepts names that the flow does not have.
    deployment._parameter_openapi_schema = _Closed(
        **deployment._parameter_openapi_schema.model_dump(), additionalProperties=False
    )
    made = deployment.apply(image=image or None)
    return cast("UUID", made)  # Prefect's functions are typed for callers with an event loop as well


def _with(own: Any, variables: Mapping[str, str]) -> dict[str, Any] | list[Any]:
    """Adds variables to those of a deployment: by name, or in a list as in Kubernetes."""
    if isinstance(own, list):
        names = {each.get("name") for each in own}
        return own + [{"name": name, "value": value} for name, value in variables.items() if name not in names]
    return {**variables, **(own or {})}


def automations(block: UUID | None, budget: timedelta, late: timedelta) -> list[AutomationCore]:
    """What the server does by itself for runs with our tag.

    Args:
        block: document of the notification block; None leaves out what only notifies.
    """
    from prefect.client.schemas.objects import StateType
    from prefect.events.actions import ChangeFlowRunState, SendNotification
    from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
    from prefect.events.schemas.events import ResourceSpecification

    run, ours = "prefect.flow-run.", ResourceSpecification({"prefect.resource.id": "prefect.flow-run.*"})
    # Otherwise a run that cannot even start would be retried for ever.
    begun = ResourceSpecification({"prefect.resource.id": "prefect.flow-run.*", "prefect.run-count": "!0"})
    tagged = [
        ResourceSpecification({"prefect.resource.role": "tag", "prefect.resource.id": f"prefect.tag.{TAG}"}),
    ]
    ends = {f"{run}{state}" for state in ("Completed", "Failed", "Cancelled", "Crashed", "TimedOut")}

    def trigger(
        posture: Posture,
        expect: set[str],
        after: set[str] | None = None,
        within: timedelta | None = None,
        match: ResourceSpecification = ours,
    ) -> Any:
        return EventTrigger(
            match=match,
            match_related=tagged,
            after=after or set(),
            expect=expect,
            for_each={"prefect.resource.id"},
            posture=posture,
            threshold=1,
            within=within or timedelta(0),
        )

    made = [
        AutomationCore(
            name="s2i: go on after a crash",
            description="A run whose process died is started again under its own id, and takes up its job.",
            trigger=trigger(
                Posture.Proactive,
                {f"{run}{state}" for state in ("Pending", "Running")} | ends,
                {f"{run}Crashed"},
                timedelta(seconds=SETTLE_S),
                begun,
            ),
            actions=[
                ChangeFlowRunState(
                    state=StateType.SCHEDULED, name="AwaitingRetry", message="Its process died.", force=True
                )
            ],
        ),
        AutomationCore(
            name="s2i: notice the dead",
            description="A run that has not said for three heartbeats that it lives died with its worker.",
            trigger=trigger(
                Posture.Proactive,
                {f"{run}heartbeat", *ends},
                after={f"{run}heartbeat"},
                within=timedelta(seconds=3 * HEARTBEAT_S),
            ),
            actions=[ChangeFlowRunState(state=StateType.CRASHED, message="It gave no sign of life any more.")],
        ),
    ]
    if block is None:
        return made
    told = {
        "failed": ("failed", trigger(Posture.Reactive, {f"{run}Failed", f"{run}TimedOut"})),
        "late": (
            "was due, and nobody began it: is a worker up?",
            trigger(Posture.Proactive, {f"{run}Pending", f"{run}Running", *ends}, {f"{run}Late"}, late),
        ),
        "over budget": (
            f"has gone on for longer than {budget}",
            trigger(Posture.Proactive, ends, {f"{run}Running"}, budget),
        ),
    }
    return made + [
        AutomationCore(
            name=f"s2i: tell: {name}",
            description=f"Tell that a run {text}.",
            trigger=when,
            actions=[
                SendNotification(
                    block_document_id=block,
                    subject=f"s2i: {name}: {{{{ flow_run.name }}}}",
                    body=f"Deployment {{{{ deployment.name }}}}: run {{{{ flow_run.name }}}} {text}.\n"
                    "State: {{ flow_run.state.name }}. {{ flow_run.state.message }}\n{{ flow_run|ui_url }}",
                )
            ],
        )
        for name, (text, when) in told.items()
    ]


def _notification(client: SyncPrefectClient, notify: str) -> UUID:
    """The block to notify; one is made for a webhook whose URL is in the environment."""
    from prefect.blocks.notifications import CustomWebhookNotificationBlock
    from prefect.exceptions import ObjectNotFound
    from prefect.types import SecretDict

    kind, slash, name = notify.partition("/")
    if not slash:
        url = os.environ.get(notify, "")
        if not url.startswith(("https://", "http://")):
            remedy = "Set it to the webhook's URL, or name a block that is in Prefect: slack-webhook/ops."
            raise ConfigError(f"variable {notify}", "it holds no URL", remedy)
        return CustomWebhookNotificationBlock(
            name="s2i",
            url="{{url}}",  # the secret below: the URL of a chat's webhook is its password
            json_data={"text": "{{subject}}\n{{body}}"},
            secrets=SecretDict({"url": url}),
        ).save("s2i-notify", overwrite=True)  # type: ignore[return-value]
    try:
        return client.read_block_document_by_name(name, kind).id
    except ObjectNotFound as error:
        remedy = "Make it in Prefect's UI under Blocks (Slack, e-mail, Teams, webhook, …)."
        raise ConfigError(f"block {notify}", "there is none", remedy) from error


def _upsert(client: SyncPrefectClient, automation: AutomationCore) -> None:
    there = client.read_automations_by_name(automation.name)
    if there:
        client.update_automation(there[0].id, automation)
    else:
        client.create_automation(automation)


def command(
    source: Annotated[
        str, typer.Argument(help="Recordings: a folder or one object, s3://bucket or s3://bucket/folder.")
    ],
    destination: Annotated[str, typer.Argument(help="Where images, tables and pages go: s3://bucket/folder.")],
    *,
    preset: options.Preset = "cpu",
    style: options.Style = None,
    checkpoint: options.Checkpoint = None,
    library: options.Library = None,
    images_per_hour: options.ImagesPerHour = None,
    settings: options.SetOptions = None,
    limit: options.Limit = None,
    deadline: options.Deadline = None,
    gpu_seconds: options.GpuSeconds = None,
    cost: options.Cost = None,
    s3_requests: options.S3Requests = None,
    address: Annotated[
        str,
        typer.Option(help="Job server of a Ray cluster, as the worker reaches it; without, Ray runs in the worker."),
    ] = "",
    cron: Annotated[str, typer.Option(help="When the nightly run starts: minute hour day month weekday")] = "0 2 * * *",
    time_zone: Annotated[str, typer.Option(help="Time zone of the schedules, such as Europe/Berlin.")] = "UTC",
    poll_s: Annotated[
        float, typer.Option(help="Also look for new recordings at this interval in seconds; 0 does not.", min=0)
    ] = 0,
    compact_cron: Annotated[
        str, typer.Option(help="When small files of the tables are joined, in the same time zone.")
    ] = "0 12 * * 0",
    pool: Annotated[str, typer.Option(help="Work pool of the runs; made if missing.")] = POOL,
    pool_type: Annotated[str, typer.Option(help="Type of a pool that is made: process, kubernetes.")] = "process",
    image: Annotated[str, typer.Option(help="Container image of the runs, for Kubernetes.")] = "",
    env: Annotated[
        list[str] | None, typer.Option("--env", metavar="NAME=VALUE", help="A variable of the runs. No secrets.")
    ] = None,
    notify: Annotated[
        str,
        typer.Option(help="Whom to notify of failures: a block (slack-webhook/ops), or a variable that holds a URL."),
    ] = "",
    budget_h: Annotated[float, typer.Option(min=0.01, help="Notify when a run takes longer than this, in hours.")] = 12,
    late_s: Annotated[float, typer.Option(min=10, help="Notify when a run starts later than this, in seconds.")] = 900,
    file: Annotated[Path | None, typer.Option(help="The deployments; by default prefect.yaml here.")] = None,
    as_json: options.AsJson = False,
) -> None:
    """Put the nightly run and its companions on the Prefect server of PREFECT_API_URL.

    Makes or updates the work pool, the deployments of prefect.yaml, and what acts on crashes and reports failures.
    Start a worker beside it: prefect worker start --pool s2i.
    """
    if not os.environ.get("PREFECT_API_URL"):
        remedy = "Set it to your server's (http://…:4200/api) and PREFECT_API_AUTH_STRING; `make platform` starts one."
        raise ConfigError("PREFECT_API_URL", "it is not set", remedy)
    if pool_type not in {"process", "kubernetes"}:
        raise ConfigError(f"pool type {pool_type!r}", "there is no such type here", "Use process or kubernetes.")
    keep_apart(source, destination)
    wanted = Wanted(
        source=source,
        destination=destination,
        preset=preset,
        address=address,
        cron=cron,
        time_zone=time_zone,
        compact_cron=compact_cron,
        poll=poll_s > 0,
        poll_s=poll_s or 900,
        pool=pool,
    )
    changes = options.changes(
        style=style,
        checkpoint=checkpoint,
        library=library,
        images_per_hour=images_per_hour,
        deadline=deadline,
        gpu_seconds=gpu_seconds,
        cost=cost,
        s3_requests=s3_requests,
        settings=settings,
    )
    options.shaped(preset, changes)
    specs = [_shaped(spec, changes, limit) for spec in read(file or find_file(), wanted.values())]
    made = deploy(
        specs,
        kind=pool_type,  # type: ignore[arg-type]
        notify=notify,
        budget_h=budget_h,
        late_s=late_s,
        environment=dict(pair.split("=", 1) for pair in env or () if "=" in pair),
        image=image,
    )
    said = {spec.name: left_out(schedule) for spec in specs for schedule in spec.schedules}
    notes = [f"{name}: {note}" for name, note in said.items() if note]
    if as_json:
        typer.echo(json.dumps({"deployments": made, "pool": pool, "notes": notes}))
        return
    for name in made:
        typer.echo(f"deployed  {name}")
    for note in notes:
        typer.echo(f"note      {note}")
    typer.echo(f"now       prefect worker start --pool {pool}   (where none is up)")
    first = next(iter(made))
    typer.echo(f"try       prefect deployment run {first}")
