"""The one training loop: batches, learning rates, gradients, state on disk and progress. A trainer brings its step.

A step is decided by its number and the seed alone, so a run that was cut off ends like one that was not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import torch
from pydantic import Field
from torch import nn

from s2i_core.config import Settings
from s2i_core.learning import checkpoint
from s2i_core.learning.devices import World, precision

Step = Callable[[np.random.Generator], tuple[torch.Tensor, Mapping[str, torch.Tensor]]]


class LoopConfig(Settings):
    """How long, how exactly, and where."""

    steps: int = Field(1000, gt=0, description="Optimizer steps.")
    warmup: int = Field(50, ge=1, description="Steps of linear warm-up.")
    dtype: str = Field("bfloat16", description="Type that autocast uses; `float32` turns it off.")
    device: str = Field("cpu", description="Where to train.")
    seed: int = Field(0, ge=0, description="Seed of the batches.")


class Loop:
    """The training of some modules, starting from the state at `path` if there is one.

    Args:
        path: file of the state; the log lies beside it, under the same name.
        config: how long, how exactly, and where.
        modules: what the state holds; they are moved to the device and trained in place.
        optimizer: holds the trained parameters, with the learning rates that apply after the warm-up.
        clip: norm that the gradient is clipped to.
        tell: called with each line of the log.

    Attributes:
        device: of this process.

    Raises:
        ModelError: the state is damaged or of other modules.
    """

    def __init__(
        self,
        path: Path,
        config: LoopConfig,
        modules: Mapping[str, nn.Module],
        optimizer: torch.optim.Optimizer,
        *,
        clip: float = 1.0,
        tell: Callable[[str], None] = checkpoint.say,
    ) -> None:
        self._world = World.join(config.device)
        self.device = self._world.device
        self._path, self._config, self._modules, self._optimizer, self._clip = path, config, modules, optimizer, clip
        for module in modules.values():
            module.to(self.device).train()
        self._rates = [group["lr"] for group in optimizer.param_groups]
        self._learned = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        self._done = checkpoint.resume(path, modules, optimizer)
        self._log = checkpoint.TrainingLog(path.parent, path.stem, speaks=self._world.leads, tell=tell)

    def precision(self) -> AbstractContextManager[None]:
        """Autocast as the settings say, for the forward pass of a step."""
        return precision(self.device, self._config.dtype)

    def run(
        self,
        step: Step,
        *,
        save_every: int,
        evaluate: Callable[[], Mapping[str, float]] | None = None,
        afterwards: Callable[[int], None] | None = None,
        log_every: int = 20,
    ) -> None:
        """Train to the end, and leave the modules ready for inference.

        A step whose gradient is not finite changes nothing.

        Args:
            step: draws a batch, and everything else that is random, from the generator; returns the scalar loss, and
                what to log beside it.
            save_every: steps between saves, and between evaluations.
            evaluate: returns what to log at a save; the modules are in evaluation mode meanwhile.
            afterwards: called after each step that changed the weights, with its number from 0.
            log_every: steps between the lines of the log.
        """
        config = self._config
        for number in range(self._done, config.steps):
            loss, values = step(self._world.rng(config.seed, number))
            for group, rate in zip(self._optimizer.param_groups, self._rates, strict=True):
                group["lr"] = rate * cosine(number, config.steps, config.warmup)
            self._optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            self._world.average_gradients(self._learned)
            norm = nn.utils.clip_grad_norm_(self._learned, self._clip)
            if not torch.isfinite(norm):
                self._log(number, skipped="gradient is not finite")
                continue
            self._optimizer.step()
            if afterwards:
                afterwards(number)
            if number % log_every == 0:
                self._log(number, **{name: value.item() for name, value in values.items()})
            if self._world.leads and ((number + 1) % save_every == 0 or number + 1 == config.steps):
                checkpoint.save(self._path, number + 1, self._modules, self._optimizer)
                if evaluate:
                    self._ready(True)
                    self._log(number + 1, **evaluate())
                    self._ready(False)
        self._world.wait()
        self._ready(True)

    def _ready(self, ready: bool) -> None:
        for module in self._modules.values():
            module.train(not ready)


def cosine(step: int, steps: int, warmup: int) -> float:
    """Factor of the learning rate: a linear warm-up, then half a cosine down to a hundredth."""
    if step < warmup:
        return (step + 1) / warmup
    share = (step - warmup) / max(1, steps - warmup)
    return 0.01 + 0.99 * 0.5 * (1 + float(torch.cos(torch.tensor(share * torch.pi))))
