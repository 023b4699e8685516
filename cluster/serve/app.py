"""The application for Ray Serve: the HTTP ingress and the deployments behind it, put together.

`serve run cluster.serve.app:app preset=cpu` or a Serve config file start it; `s2i serve` does so on one machine.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from ray import serve
from ray.serve import Application
from ray.serve.handle import DeploymentHandle

from cluster.serve import faults
from cluster.serve.clips.service import Service
from cluster.serve.http.application import build
from cluster.serve.messages import DESK
from cluster.serve.model.encoder import Encoder
from cluster.serve.model.generator import Generator
from cluster.serve.ports import keep_to_loopback
from cluster.serve.recordings.desk import Desk
from cluster.serve.settings import DESK_CPUS, Replicas, ServeSettings


class Ingress:
    """The HTTP ingress."""

    def __init__(
        self, settings: ServeSettings, encoder: DeploymentHandle, generator: DeploymentHandle, desk: DeploymentHandle
    ) -> None:
        keep_to_loopback()
        faults.tell()
        self._service = Service(settings, encoder, generator, desk)

    def __serve_build_asgi_app__(self) -> FastAPI:
        return build(self._service)


def app(settings: ServeSettings) -> Application:
    """The Serve application."""
    encoder = _deployment("Encoder", Encoder, settings.encoder).bind(settings)
    generator = _deployment("Generator", Generator, settings.generator).bind(settings)
    desk = serve.deployment(
        Desk,
        name=DESK,
        num_replicas=1,
        max_ongoing_requests=1000,
        ray_actor_options={"num_cpus": DESK_CPUS},
    ).bind(settings, encoder, generator)
    ingress = serve.ingress()(Ingress)
    limits = settings.limits
    # More than all that the ingress itself takes, so that it is the one that refuses, and nothing waits before it.
    ongoing = 2 * limits.max_clips + limits.max_uploads + limits.max_live + limits.max_events
    return _deployment("Ingress", ingress, settings.ingress, ongoing).bind(settings, encoder, generator, desk)


def _deployment(name: str, kind: Any, replicas: Replicas, ongoing: int | None = None) -> Any:
    """A deployment that scales with the requests that are at work or waiting."""
    options: dict[str, Any] = {"num_cpus": replicas.num_cpus, "num_gpus": replicas.num_gpus}
    if replicas.memory_bytes:
        options["memory"] = replicas.memory_bytes
    return serve.deployment(
        kind,
        name=name,
        max_ongoing_requests=ongoing or 2 * replicas.max_queued,
        max_queued_requests=ongoing or replicas.max_queued,
        autoscaling_config={
            "min_replicas": replicas.minimum,
            "max_replicas": replicas.maximum,
            "target_ongoing_requests": replicas.target_queue,
            "upscale_delay_s": replicas.upscale_after_s,
            "downscale_delay_s": replicas.downscale_after_s,
            "look_back_period_s": replicas.look_back_s,
            "metrics_interval_s": replicas.report_s,
        },
        backpressure_config={"retry_after_s": 1},
        ray_actor_options=options,
        max_replicas_per_node=replicas.per_node,
        health_check_timeout_s=60,
        graceful_shutdown_timeout_s=30,
    )
