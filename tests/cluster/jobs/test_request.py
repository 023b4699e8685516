"""A request means the same on the cluster as where it was made."""

from __future__ import annotations

import pytest

from cluster.jobs.request import JobRequest
from s2i_core.presets import PRESETS
from s2i_core.storage.objects import S3Settings


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_the_digests_survive_the_journey(name: str) -> None:
    request = JobRequest(
        source="s3://in", destination="s3://out", run_id="r", config=PRESETS[name](), store=S3Settings()
    )
    arrived = JobRequest.model_validate_json(request.model_dump_json())
    assert arrived == request
    assert arrived.config.plan_digest == request.config.plan_digest
    assert arrived.config.image_digest == request.config.image_digest


@pytest.mark.parametrize("run_id", ["", "a/b", "../x", "a b", "x" * 65])
def test_a_run_id_is_fit_for_keys_and_names(run_id: str) -> None:
    with pytest.raises(ValueError, match="run_id"):
        JobRequest(source="s3://in", destination="s3://out", run_id=run_id, config=PRESETS["cpu"](), store=S3Settings())
