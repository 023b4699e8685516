"""The commands of training, on data that lie in a real object store."""

from pathlib import Path

import numpy as np
from tiny import tiny_pipeline
from typer.testing import CliRunner

from s2i_core.errors import ConfigError
from s2i_core.pipeline import SpeechToImagePipeline
from s2i_core.storage.folders import kept_copy
from s2i_core.storage.objects import ObjectStore
from s2i_core.training.__main__ import app
from s2i_core.training.trainers.align import new_layout


def test_a_model_is_trained_from_data_in_the_store_and_exported_there(
    objects: ObjectStore, bucket: str, tmp_path: Path, folder: Path
) -> None:
    for path in folder.rglob("*.*"):
        objects.put(bucket, f"data/{path.relative_to(folder).as_posix()}", path.read_bytes(), "x/y")
    objects.put(bucket, "data/speech-train/shard.bin", b"a recording", "x/y")
    whole = tiny_pipeline()
    whole.register_modules(layout=new_layout(whole.projection))
    whole.save_pretrained(tmp_path / "start")
    common = ["--data", f"s3://{bucket}/data", "--out", str(tmp_path / "out"), "--start", str(tmp_path / "start")]
    settings = {"steps": 2, "batch": 4, "warmup": 1, "dtype": "float32"}
    changes = [part for name, value in settings.items() for part in ("--set", f"align.{name}={value}")]
    for step in (["align"], ["export", "--target", f"s3://{bucket}/models/mine"]):
        result = CliRunner().invoke(app, [*step, *common, *changes])
        assert result.exit_code == 0, result.output + repr(result.exception)
    assert not (tmp_path / "out" / "data" / "speech-train").exists(), "recordings are fetched only for `finetune`"
    fetched = kept_copy(f"s3://{bucket}/models/mine", tmp_path / "mine")
    made = SpeechToImagePipeline.from_pretrained(fetched)
    assert made.encode_speech([np.zeros(16_000, np.float32)], 16_000).pooled.isfinite().all()


def test_data_are_not_built_into_a_store() -> None:
    result = CliRunner().invoke(app, ["data", "--data", "s3://bucket/data"])
    assert isinstance(result.exception, ConfigError) and "on this machine" in str(result.exception)
