"""Figures for Prometheus: every replica counts for itself, and one page shows them all.

A scrape through a load balancer meets one replica of several, so each sends what it counted to the desk, and
`/metrics` shows all of them, told apart by the label `replica`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families
from ray import serve
from ray.serve.exceptions import RayServeException

from cluster.serve.messages import DESK, BatchFacts

log = logging.getLogger("ray.serve")

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
REPORT_S = 2.0
_FORGET_S = 60.0
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_COSTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


class Meter:
    """The figures of one replica. Its reports to the desk begin with the first figure, in the event loop."""

    def __init__(self, deployment: str) -> None:
        self.registry = CollectorRegistry()
        self._deployment = deployment
        self._reporter: asyncio.Task[None] | None = None

        def histogram(name: str, text: str, buckets: tuple[float, ...], labels: tuple[str, ...] = ()) -> Histogram:
            return Histogram(name, text, labels, buckets=buckets, registry=self.registry)

        if deployment == "ingress":
            self._requests = Counter(
                "s2i_requests", "Requests answered.", ("method", "route", "status"), registry=self.registry
            )
            self._request_s = histogram("s2i_request_seconds", "From request to answer.", _SECONDS, ("route",))
            self._places = Gauge("s2i_places_taken", "Requests at work or waiting.", ("kind",), registry=self.registry)
            self._steps = histogram("s2i_step_seconds", "Steps of a clip, with their waiting.", _SECONDS, ("step",))
        else:
            labels = ("deployment",)
            self._batch_items = histogram("s2i_batch_items", "Requests in a batch.", _COSTS, labels)
            self._batch_cost = histogram(
                "s2i_batch_cost", "Seconds of audio, or images × steps × area.", _COSTS, labels
            )
            self._batch_s = histogram("s2i_batch_seconds", "How long a batch ran.", _SECONDS, labels)
            self._waited_s = histogram("s2i_batch_wait_seconds", "Wait of its oldest request.", _SECONDS, labels)
            self._queue = Gauge("s2i_queue_length", "Requests that wait.", labels, registry=self.registry)

    def batch(self, facts: BatchFacts) -> None:
        """A batch has run."""
        name = self._deployment
        self._batch_items.labels(name).observe(facts.items)
        self._batch_cost.labels(name).observe(facts.cost)
        self._batch_s.labels(name).observe(facts.ran_s)
        self._waited_s.labels(name).observe(facts.waited_s)
        self._queue.labels(name).set(facts.waiting)
        self.report()

    def request(self, method: str, route: str, status: int, elapsed_s: float) -> None:
        """A request was answered; `route` is the pattern and never holds what a client wrote."""
        self._requests.labels(method, route, str(status)).inc()
        self._request_s.labels(route).observe(elapsed_s)
        self.report()

    def places(self, kind: str, taken: int) -> None:
        """So many places of a kind are taken."""
        self._places.labels(kind).set(taken)

    def step(self, name: str, elapsed_s: float) -> None:
        """A step of a clip took so long."""
        self._steps.labels(name).observe(elapsed_s)

    def text(self) -> str:
        """All figures in Prometheus' text format."""
        return generate_latest(self.registry).decode()

    def report(self) -> None:
        """See to it that the desk hears of the figures from now on."""
        if self._reporter is None:
            self._reporter = asyncio.get_running_loop().create_task(self._reports())

    async def _reports(self) -> None:
        if not in_serve():
            return
        context = serve.get_replica_context()
        desk = serve.get_deployment_handle(DESK, context.app_name)
        while True:
            await asyncio.sleep(REPORT_S)
            # The desk may be starting again: the next report is as good.
            try:
                await asyncio.wait_for(desk.report.remote(context.replica_tag, self.text()), 10)
            except Exception as error:  # noqa: BLE001 -- figures must never end the service
                log.warning("no report to the desk: %s", type(error).__name__)


def in_serve() -> bool:
    """Whether this process is a replica of a deployment."""
    try:
        serve.get_replica_context()
    except RayServeException:
        return False
    return True


def replica() -> str:
    """Name of this replica, for the label."""
    return str(serve.get_replica_context().replica_tag) if in_serve() else "local"


class Gathered:
    """The reports of all replicas; those that have not been heard of for a minute are left out."""

    def __init__(self) -> None:
        self._reports: dict[str, tuple[float, str]] = {}

    def put(self, replica: str, text: str) -> None:
        """The latest report of a replica."""
        self._reports[replica] = (time.monotonic(), text)
        for name in [name for name, (at, _) in self._reports.items() if time.monotonic() - at > _FORGET_S]:
            del self._reports[name]

    def page(self) -> str:
        """All of them as one page."""
        return merge({replica: text for replica, (_, text) in self._reports.items()})


def merge(texts: Mapping[str, str]) -> str:
    """Pages of several replicas as one, each sample with the label `replica`."""
    families: dict[str, Metric] = {}
    for replica, text in sorted(texts.items()):
        for family in text_string_to_metric_families(text):
            if family.name.endswith("_created"):
                continue
            one = families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
            for sample in family.samples:
                one.add_sample(sample.name, sample.labels | {"replica": replica}, sample.value)

    class _All:
        def collect(self) -> Iterator[Metric]:
            yield from families.values()

    registry = CollectorRegistry()
    with contextlib.suppress(ValueError):
        registry.register(_All())
    return generate_latest(registry).decode()
