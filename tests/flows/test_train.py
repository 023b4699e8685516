"""Training as a flow: a real step on tiny data, and what is said where it fails."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file
from tiny import tiny_library, tiny_pipeline

from flows.local_server import PrefectServer
from flows.train import TrainingFailed, _command, train_model
from s2i_core.corpus.compose import SpriteBook
from s2i_core.corpus.folder import read_scenes
from s2i_core.training.data import build
from s2i_core.training.data.config import DataConfig


def test_a_step_runs_and_its_log_is_an_artifact(prefect: PrefectServer, tmp_path: Path) -> None:
    folder, out, start = tmp_path / "data", tmp_path / "out", tmp_path / "start"
    tiny_pipeline().save_pretrained(start)
    library = tiny_library()
    library.save(folder / "library")
    build._build_scenes(folder, DataConfig(scenes=6, bare=1, tests=2), SpriteBook(library))
    rng = np.random.default_rng(0)
    counts = {"scenes": len(list(read_scenes(folder))), "phrases": 1, "sprites": len(library)}
    vectors = {name: rng.normal(size=(count, 8)).astype(np.float32) for name, count in counts.items()}
    save_file(vectors, folder / "teacher.safetensors")
    settings = {"pictures.steps": 1, "pictures.batch": 4, "pictures.warmup": 1, "pictures.captioned": 0}
    made = train_model(str(folder), str(out), str(out / "model"), ["pictures"], "cpu", settings, str(start))
    assert made == str(out / "model")
    assert (out / "pictures.pt").exists()
    assert '"sprite_r1"' in (out / "pictures.jsonl").read_text()


def test_a_step_that_fails_says_why(prefect: PrefectServer, tmp_path: Path) -> None:
    with pytest.raises(TrainingFailed, match="step align"):
        train_model(str(tmp_path), str(tmp_path), str(tmp_path), ["align"], "cpu", {"align.stepps": 1})


def test_several_processes_train_what_can_be_shared() -> None:
    folders = ("s3://training/data", Path("out"), "s3://models/mine")
    many = _command("align", *folders, "gpu", {"align.steps": 5}, "before", 8)
    assert many[many.index("--data") + 1] == "s3://training/data"
    assert "--nproc-per-node=8" in many and many[-2:] == ["--set", "align.steps=5"]
    assert many[many.index("--start") + 1] == "before"
    assert "torch.distributed.run" not in _command("export", *folders, "gpu", {}, "", 8)
    last = _command("finetune", *folders, "gpu", {}, "before", 2)
    assert "--nproc-per-node=2" in last and last[last.index("--start") + 1] == "before"
    assert "--out" not in _command("data", *folders, "gpu", {}, "", 1)
