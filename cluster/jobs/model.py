"""The one model of a run: named by its digest on the driver, checked on every worker."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from s2i_core.config import ModelConfig, PoolConfig
from s2i_core.errors import ModelError
from s2i_core.identity import files_digest

if TYPE_CHECKING:
    from s2i_core.pipeline import SpeechToImagePipeline

_SHIPPED = ("checkpoints", "s2i-native")
_WEIGHTS = {".safetensors", ".json"}


def model_digest(config: ModelConfig) -> str:
    """`SpeechToImagePipeline.model_digest` of a checkpoint from its files alone: the driver needs no torch.

    Raises:
        ModelError: there is no checkpoint.
    """
    folder = (
        Path(config.checkpoint) if config.checkpoint else Path(str(resources.files("s2i_core"))).joinpath(*_SHIPPED)
    )
    if not (folder / "model_index.json").is_file():
        raise ModelError(str(folder), "there is no saved pipeline here", "Name a folder that save_pretrained made.")
    return files_digest((path for path in folder.rglob("*") if path.is_file() and path.suffix in _WEIGHTS), folder)


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
