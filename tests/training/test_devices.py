"""Two real processes train together: their weights stay the same, and are not those of one."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import one_of_two
import pytest
import torch

from s2i_core.training.devices import World, precision


def train_together(data: Path, out: Path, size: int) -> list[dict[str, dict[str, torch.Tensor]]]:
    out.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    world = {"WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "GLOO_SOCKET_IFNAME": "lo"}
    processes = [
        subprocess.Popen(
            [sys.executable, one_of_two.__file__, str(data), str(out)],
            env=os.environ | world | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
        )
        for rank in range(size)
    ]
    assert [process.wait(timeout=180) for process in processes] == [0] * size
    return [torch.load(out / f"of-{rank}.pt", weights_only=True) for rank in range(size)]


def test_processes_that_train_together_have_the_same_weights(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = train_together(folder, tmp_path / "two", 2)
    (tmp_path / "one").mkdir()
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with torch.random.fork_rng():
        one_of_two.main(folder, tmp_path / "one")
    alone = torch.load(tmp_path / "one" / "of-0.pt", weights_only=True)
    for part in first:
        for name, weight in first[part].items():
            torch.testing.assert_close(weight, second[part][name], msg=f"{part} {name}")
        assert any(not torch.equal(weight, alone[part][name]) for name, weight in first[part].items()), part
    steps = (tmp_path / "two" / "align.jsonl").read_text().splitlines()
    assert len(steps) == len((tmp_path / "one" / "align.jsonl").read_text().splitlines()), "one process writes"


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
