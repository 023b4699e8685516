"""What training runs on: one device or several, a process each, and in which precision.

Several processes train by data parallelism with averaged gradients:

    torchrun --nproc-per-node=8 -m s2i_core.training align --recipe gpu

Every process holds the whole model, draws a batch of its own (`batch` in the settings is per process) and
contrasts within it. After each backward pass they average their gradients, so that their weights stay the same.
The first one writes the log and the checkpoints. Without torchrun there is one process, and nothing of this happens.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import distributed
from torch.nn.attention import SDPBackend, sdpa_kernel


@dataclass(frozen=True)
class World:
    """The processes that train together.

    Attributes:
        rank: number of this one, from 0.
        size: how many there are.
        device: of this process.
    """

    device: torch.device
    rank: int = 0
    size: int = 1

    @classmethod
    def join(cls, device: str) -> World:
        """The world that torchrun's environment describes; with several GPUs each process takes its own."""
        size = int(os.environ.get("WORLD_SIZE", "1"))
        if size == 1:
            return cls(torch.device(device))
        if not distributed.is_initialized():
            distributed.init_process_group("nccl" if device.startswith("cuda") else "gloo")
        own = f"cuda:{os.environ['LOCAL_RANK']}" if device == "cuda" else device
        return cls(torch.device(own), int(os.environ["RANK"]), size)

    @property
    def leads(self) -> bool:
        """Whether this process writes."""
        return self.rank == 0

    def rng(self, seed: int, step: int) -> np.random.Generator:
        """The generator for a step: a run that was cut off sees the same batches as one that was not."""
        return np.random.default_rng([seed, step, self.rank] if self.rank else [seed, step])

    def average_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Replace each gradient by the mean over all processes; one that a process lacks counts as zero."""
        if self.size == 1:
            return
        trained = [parameter for parameter in parameters if parameter.requires_grad]
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in trained]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        distributed.all_reduce(flat)
        flat /= self.size
        start = 0
        for parameter, gradient in zip(trained, gradients, strict=True):
            parameter.grad = flat[start : start + gradient.numel()].view_as(gradient)
            start += gradient.numel()

    def wait(self) -> None:
        """Until all are here."""
        if self.size > 1:
            distributed.barrier()


@contextmanager
def precision(device: torch.device, dtype: str) -> Iterator[None]:
    """Autocast to a dtype (`float32` turns it off), with the attention that is fastest there, forward and backward."""
    # The fused attention's backward pass on the CPU is several times slower than plain arithmetic at our sizes.
    backend = SDPBackend.MATH if device.type == "cpu" else SDPBackend.EFFICIENT_ATTENTION
    with torch.autocast(device.type, getattr(torch, dtype), enabled=dtype != "float32"), sdpa_kernel(backend):
        yield
