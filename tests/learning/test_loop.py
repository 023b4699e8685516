"""The loop that all trainers share: exact resumption, the schedule, what it saves, logs and refuses to learn."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from s2i_core.errors import ModelError
from s2i_core.learning import checkpoint
from s2i_core.learning.loop import Loop, LoopConfig, cosine

CONFIG = LoopConfig(steps=6, warmup=2, dtype="float32")


class Cut(Exception):
    pass


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 8), nn.Linear(8, 1))


def train(path: Path, module: nn.Module, config: LoopConfig = CONFIG, *, bad: int = -1, **options: object) -> Loop:
    """A regression whose step number `bad` has no finite loss."""
    loop = Loop(path, config, {"net": module}, torch.optim.AdamW(module.parameters(), lr=0.1))
    count = iter(range(100))

    def step(rng: np.random.Generator) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        x = torch.from_numpy(rng.normal(size=(4, 3)).astype(np.float32))
        with loop.precision():
            error = (module(x) - 1).square().mean()
        return error * (torch.nan if next(count) == bad else 1), {"error": error}

    loop.run(step, **{"save_every": 2, "log_every": 1} | options)  # type: ignore[arg-type]
    return loop


def rows(path: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_run_cut_off_at_any_save_ends_like_one_that_was_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, checkpoint_save = network(), checkpoint.save
    train(tmp_path / "whole.pt", whole)
    for saves in (1, 2):
        path = tmp_path / f"cut-{saves}.pt"
        written = []

        def save(*state: object, saves: int = saves, written: list[object] = written) -> None:
            checkpoint_save(*state)  # type: ignore[arg-type]
            written.append(state)
            if len(written) == saves:
                raise Cut

        with monkeypatch.context() as patch, pytest.raises(Cut):
            patch.setattr(checkpoint, "save", save)
            train(path, network())
        torch.rand(7)  # what went on between is of no account
        resumed = network()
        train(path, resumed)
        for a, b in zip(whole.parameters(), resumed.parameters(), strict=True):
            assert torch.equal(a, b)
        steps = [row["step"] for row in rows(path.with_suffix(".jsonl"))]
        assert steps == [*range(6)], "no step is made twice"


def test_evaluation_and_the_end_see_the_modules_as_inference_does(tmp_path: Path) -> None:
    module, modes = network(), []

    def evaluate() -> dict[str, float]:
        modes.append(module.training)
        return {"score": 0.5}

    train(tmp_path / "net.pt", module, evaluate=evaluate, log_every=100)
    assert modes == [False] * 3 and not module.training
    found = [row["step"] for row in rows(tmp_path / "net.jsonl") if row.get("score") == 0.5]
    assert found == [2, 4, 6]


def test_a_gradient_that_is_not_finite_changes_nothing_and_is_told(tmp_path: Path) -> None:
    module = network()
    called: list[int] = []
    train(tmp_path / "net.pt", module, bad=3, afterwards=called.append)
    assert called == [0, 1, 2, 4, 5]
    assert all(parameter.isfinite().all() for parameter in module.parameters())
    assert [row["step"] for row in rows(tmp_path / "net.jsonl") if "skipped" in row] == [3]


def test_each_group_learns_at_its_own_rate_by_the_schedule(tmp_path: Path) -> None:
    module = network()
    groups = [{"params": module[0].parameters(), "lr": 0.1}, {"params": module[1].parameters(), "lr": 0.01}]  # type: ignore[index]
    optimizer = torch.optim.SGD(groups)
    loop = Loop(tmp_path / "net.pt", CONFIG, {"net": module}, optimizer)
    seen: list[list[float]] = []
    loop.run(
        lambda _: (module(torch.ones(1, 3)).sum(), {}),
        save_every=10,
        afterwards=lambda _: seen.append([group["lr"] for group in optimizer.param_groups]),
    )
    expected = [[rate * cosine(n, 6, 2) for rate in (0.1, 0.01)] for n in range(6)]
    np.testing.assert_allclose(seen, expected)
    assert [cosine(n, 6, 2) for n in (0, 1, 2)] == [0.5, 1.0, 1.0]
    assert cosine(6, 6, 2) == pytest.approx(0.01)


def test_a_damaged_state_is_named_before_anything_is_trained(tmp_path: Path) -> None:
    (tmp_path / "net.pt").write_bytes(b"not a state")
    with pytest.raises(ModelError, match="no training state"):
        train(tmp_path / "net.pt", network())
