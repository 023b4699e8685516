"""Presets: functions that return a complete `RunConfig`."""

from __future__ import annotations

from collections.abc import Callable

from s2i_core.config import ImageConfig, ModelConfig, PoolConfig, ResourceConfig, RunConfig
from s2i_core.errors import ConfigError


def cpu() -> RunConfig:
    """One machine without a GPU: two model replicas of one thread each."""
    return RunConfig(
        name="cpu",
        model=ModelConfig(device="cpu", threads=1),
        resources=ResourceConfig(
            decode=PoolConfig(initial=1, minimum=1, maximum=2, num_cpus=0.5, batch_size=1),
            encode=PoolConfig(initial=1, minimum=1, maximum=1, num_cpus=1, batch_size=4),
            generate=PoolConfig(initial=2, minimum=1, maximum=2, num_cpus=1, batch_size=4),
        ),
    )


def draft() -> RunConfig:
    """As `cpu`, with one denoising step instead of two: a quick look at an archive."""
    base = cpu()
    return base.model_copy(update={"name": "draft", "image": ImageConfig(steps=1)})


def gpu() -> RunConfig:
    """A cluster of GPU nodes: one replica per GPU, decoding on CPU nodes, bfloat16."""
    return RunConfig(
        name="gpu",
        model=ModelConfig(device="cuda", dtype="bfloat16"),
        resources=ResourceConfig(
            decode=PoolConfig(initial=8, minimum=1, maximum=64, num_cpus=1, batch_size=1),
            encode=PoolConfig(initial=1, minimum=1, maximum=8, num_cpus=1, num_gpus=1, batch_size=64),
            generate=PoolConfig(initial=1, minimum=1, maximum=64, num_cpus=1, num_gpus=1, batch_size=64),
            commit_rows=2048,
            commit_s=30.0,
        ),
    )


PRESETS: dict[str, Callable[[], RunConfig]] = {"cpu": cpu, "draft": draft, "gpu": gpu}


def preset(name: str) -> RunConfig:
    """The preset of that name.

    Raises:
        ConfigError: there is none.
    """
    if name not in PRESETS:
        raise ConfigError(
            f"preset {name!r}", "there is no such preset", f"Choose one of: {', '.join(sorted(PRESETS))}."
        )
    return PRESETS[name]()
