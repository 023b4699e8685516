"""Fixtures for tests of the jobs: a Ray, a tiny checkpoint, requests within the test's bucket, and planned scenes."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from tiny import tiny_pipeline

from cluster.jobs.request import JobRequest
from cluster.local import local_ray
from s2i_core import presets
from s2i_core.config import ImageConfig, ModelConfig, PoolConfig, ResourceConfig, RunConfig, SceneConfig
from s2i_core.identity import scene_id
from s2i_core.records import Scene, Status, now, row
from s2i_core.storage.embedded import StoreInfo
from s2i_core.storage.tables import Lake
from s2i_core.weights import digests

TOKENS, WIDTH = (4, 8), 8  # of the tiny pipeline
_runs = itertools.count()

MakeRequest = Callable[..., JobRequest]
MakeScenes = Callable[[JobRequest, int], list[Scene]]


@pytest.fixture(scope="session")
def ray_session(store: StoreInfo) -> Iterator[None]:
    """One embedded Ray for all; its workers find the session's store in their environment."""
    with local_ray(3, object_store_bytes=256 << 20):
        yield


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Folder of a tiny pipeline."""
    folder = tmp_path_factory.mktemp("checkpoint")
    tiny_pipeline().save_pretrained(folder)
    return str(folder)


@pytest.fixture
def config(checkpoint: str) -> RunConfig:
    """The preset `cpu` with the tiny pipeline, many short scenes and small images."""
    return presets.cpu().model_copy(
        update={
            "model": ModelConfig(checkpoint=checkpoint, device="cpu", threads=1),
            "scenes": SceneConfig(min_s=2, max_s=6, min_confidence=-1),
            "image": ImageConfig(size_px=64, steps=2),
            "resources": ResourceConfig(
                decode=PoolConfig(num_cpus=0.5, batch_size=1),
                encode=PoolConfig(num_cpus=0.5, batch_size=4),
                generate=PoolConfig(batch_size=2),
                commit_rows=4,
                commit_s=1,
                outage_s=0,
            ),
        }
    )


@pytest.fixture
def request_for(store: StoreInfo, bucket: str, config: RunConfig) -> MakeRequest:
    """A request for a run of its own within the test's bucket: `in/` to `out/`."""

    def make(**settings: object) -> JobRequest:
        return JobRequest(
            **{
                "source": f"s3://{bucket}/in",
                "destination": f"s3://{bucket}/out",
                "run_id": f"run-{next(_runs)}",
                "config": config,
                "store": store.settings(),
                **settings,
            }
        )

    return make


@pytest.fixture
def make_scenes() -> MakeScenes:
    """Puts planned scenes with random embeddings into a request's table."""

    def make(request: JobRequest, count: int) -> list[Scene]:
        random = np.random.default_rng(count)
        names = digests(request.config)
        digest, plan_digest = names.encoder, names.plan
        scenes = []
        for index in range(count):
            pooled = random.normal(size=WIDTH)
            pooled /= np.linalg.norm(pooled)
            scenes.append(
                Scene(
                    scene_id=scene_id("r" * 32, index * 5000, index * 5000 + 5000, digest, plan_digest),
                    recording_id="r" * 32,
                    index=index,
                    start_s=index * 5.0,
                    end_s=index * 5.0 + 5,
                    focus_start_s=index * 5.0,
                    focus_end_s=index * 5.0 + 4,
                    status=Status.OK.value,
                    reason=None,
                    confidence=0.5,
                    speech_share=0.8,
                    pooled=pooled.tolist(),
                    focus_pooled=pooled.astype("<f2").tobytes(),
                    focus_tokens=random.normal(size=TOKENS).astype("<f2").tobytes(),
                    focus_extras=b"",
                    things=None,
                    model_digest=digest,
                    plan_digest=plan_digest,
                    run_id=request.run_id,
                    created_at=now(),
                )
            )
        Lake(request.store, request.destination).scenes.merge([row(scene) for scene in scenes])
        return scenes

    return make


@pytest.fixture
def lake(request_for: MakeRequest) -> Lake:
    """The tables of the test's destination."""
    request = request_for()
    return Lake(request.store, request.destination)
