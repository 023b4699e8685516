"""Two real processes train together: their weights stay the same, and are not those of one."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import one_of_two
import pytest
import torch


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
