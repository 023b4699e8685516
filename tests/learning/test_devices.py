"""Processes that train together, and the precision that they train in."""

import pytest
import torch

from s2i_core.learning.devices import World, precision


def test_one_process_is_a_world(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    world = World.join("cpu")
    assert (world.leads, world.size, world.device) == (True, 1, torch.device("cpu"))
    parameter = torch.nn.Parameter(torch.ones(2))
    world.average_gradients([parameter])
    assert parameter.grad is None


def test_each_process_has_its_own_batches() -> None:
    draws = {World(torch.device("cpu"), rank, 2).rng(0, 5).random() for rank in range(2)}
    assert len(draws) == 2


def test_precision_is_that_of_the_settings() -> None:
    x = torch.ones(4, 4)
    with precision(torch.device("cpu"), "bfloat16"):
        assert (x @ x).dtype == torch.bfloat16
    with precision(torch.device("cpu"), "float32"):
        assert (x @ x).dtype == torch.float32
