"""The one model of a run: named by its digest on the driver, checked on every worker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from s2i_core.config import ModelConfig, PoolConfig
from s2i_core.errors import ModelError
from s2i_core.weights import model_digest

if TYPE_CHECKING:
    from s2i_core.pipeline import SpeechToImagePipeline

__all__ = ["load", "model_digest"]


def load(config: ModelConfig, pool: PoolConfig, digest: str) -> SpeechToImagePipeline:
    """The pipeline for one worker of a pool.

    Raises:
        ModelError: this node has no checkpoint, or another than the driver.
    """
    from s2i_core.pipeline import SpeechToImagePipeline

    threads = config.threads or max(1, int(pool.num_cpus))
    pipeline = SpeechToImagePipeline.load(config.model_copy(update={"threads": threads}))
    if pipeline.model_digest != digest:
        raise ModelError(
            config.checkpoint or "the shipped checkpoint",
            f"this worker has model {pipeline.model_digest}, the driver has {digest}",
            "Install the same s2i and the same checkpoint on all nodes.",
        )
    return pipeline
