"""The ASGI application over a service: its routes, and what stands before them."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, FastAPI, Response

from cluster.serve import faults, metrics, problems
from cluster.serve.clips.service import Service
from cluster.serve.http import documentation, editing, live, page, pictures, recordings, tables
from cluster.serve.http.dependencies import ERRORS, CallerOf, ServiceOf
from cluster.serve.http.guard import Guard
from cluster.serve.schemas import ErrorBody, Health

router = APIRouter(tags=["operation"])


@router.get("/healthz", summary="Whether the ingress is alive")
async def healthz() -> Health:
    """For whoever restarts what is dead."""
    return Health(status="ok")


@router.get("/readyz", summary="Whether the models are loaded", responses={503: {"model": ErrorBody}})
async def readyz(service: ServiceOf) -> Health:
    """For whoever sends requests only where they can be answered."""
    return Health(status="ok", model_digest=(await service.facts()).model_digest)


@router.get(
    "/metrics",
    summary="Figures for Prometheus",
    response_class=Response,
    responses={**ERRORS, 200: {**documentation.text("text/plain"), "description": "Prometheus' text format."}},
)
async def figures(service: ServiceOf, caller: CallerOf) -> Response:
    """The figures of all replicas."""
    del caller
    await service.desk.report.remote(metrics.replica(), service.meter.text())
    return Response(await service.desk.metrics.remote(), media_type=metrics.CONTENT_TYPE)


def build(service: Service) -> FastAPI:
    """The ASGI application over a service."""
    settings = service.settings
    app = FastAPI(
        title="s2i",
        version="1",
        summary="Spoken audio directly into images.",
        description=documentation.DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        openapi_tags=documentation.TAGS,
        generate_unique_id_function=lambda route: route.name,
        # It would lead to whatever host the client named, and to http:// also behind TLS.
        redirect_slashes=False,
    )
    app.state.service = service
    app.state.style_images = {}
    app.state.style_lock = asyncio.Lock()
    problems.install(app)
    for each in (pictures, recordings, live, editing, documentation, page):
        app.include_router(each.router)
    if settings.tables:
        app.include_router(tables.router)
    app.include_router(router)
    documentation.install(app, keys=settings.access == "keys")
    app.add_middleware(faults.Faults)
    app.add_middleware(Guard, settings=settings, meter=service.meter)
    return app
