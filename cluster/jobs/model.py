"""The one model of a run: its parts are identified by digest on the driver, and checked on every worker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from s2i_core.config import ModelConfig, PoolConfig
from s2i_core.errors import ModelError
from s2i_core.weights import decoder_digest, encoder_digest

if TYPE_CHECKING:
    from s2i_core.models.contracts import Model


def load(config: ModelConfig, pool: PoolConfig, *, encoder: str = "", decoder: str = "") -> Model:
    """The model for one worker of a pool.

    Args:
        config: which parts it has.
        pool: the settings of the worker's pool.
        encoder: the digest that names scenes on the driver, if the worker makes scenes.
        decoder: the digest that names images on the driver, if the worker draws.

    Raises:
        ModelError: this node has no checkpoint, or a different one from the driver.
    """
    from s2i_core.models import registry

    for part, wanted, here in (("encoder", encoder, encoder_digest), ("decoder", decoder, decoder_digest)):
        if wanted and (found := here(config)) != wanted:
            raise ModelError(
                config.checkpoint or "the shipped checkpoint",
                f"this worker has {part} {found}, the driver has {wanted}",
                "Install the same s2i and the same checkpoint on all nodes.",
            )
    threads = config.threads or max(1, int(pool.num_cpus))
    return registry.load(config.model_copy(update={"threads": threads}))
