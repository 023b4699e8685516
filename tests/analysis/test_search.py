"""Scenes that are near: found exactly, by the index nearly as well, and by SQL; the index follows the table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import rows_for_tests as rows
from PIL import Image
from small_archive import clip
from tiny import tiny_pipeline
from typer.testing import CliRunner

from s2i_core import cli
from s2i_core.analysis import vectors
from s2i_core.analysis.vectors import SceneIndex, open_index
from s2i_core.config import ModelConfig
from s2i_core.models import registry
from s2i_core.records import row
from s2i_core.storage.objects import ObjectStore
from s2i_core.storage.tables import Lake


def name(number: int) -> str:
    return f"{number:032x}"


def index_of(made: np.ndarray) -> SceneIndex:
    ids = np.frombuffer(bytes.fromhex("".join(map(name, range(len(made))))), np.uint8).reshape(-1, 16)
    return SceneIndex(ids, vectors._signs(made), made.astype(np.float16))


def test_the_index_finds_what_an_exact_search_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    topics = random.normal(size=(200, 384)).astype(np.float32)
    made = topics[random.integers(0, 200, 20_000)] + 0.7 * random.normal(size=(20_000, 384)).astype(np.float32)
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    index = index_of(made)
    monkeypatch.setattr(vectors, "EXACT_BELOW", 0)
    recall = []
    for number in range(0, 2000, 100):
        wanted = made[number] + 0.02 * random.normal(size=384).astype(np.float32)
        exact = {name(each) for each in np.argsort(-(made @ wanted))[:10]}
        recall.append(len(exact & set(index.nearest(wanted, 10).scene_ids)) / 10)
    assert np.mean(recall) >= 0.99
    allowed = np.zeros(len(made), bool)
    allowed[5000:9000] = True
    among = index.nearest(made[3], 5, allowed)
    best = 5000 + np.argsort(-(made[5000:9000] @ made[3]))[:5]
    assert among.scene_ids == [name(each) for each in best]
    assert index.nearest(made[7] * 5, 1).cosine == [pytest.approx(1, abs=1e-3)]


@pytest.fixture
def lake(objects: ObjectStore, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    monkeypatch.setenv("S2I_HOME", str(tmp_path / "home"))
    lake = Lake(objects.settings, f"s3://{bucket}/out")
    monkeypatch.setenv("S2I_DESTINATION", lake.uri)
    monkeypatch.setenv("COLUMNS", "200")
    tiny_pipeline().save_pretrained(tmp_path / "tiny")
    model = registry.load(ModelConfig(checkpoint=str(tmp_path / "tiny"), device="cpu"))
    width = model.encoder.embedding_width
    random = np.random.default_rng(1)
    made = random.normal(size=(6, width))
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    scenes = [
        rows.scene("a", number, scene_id=name(number), pooled=made[number].tolist(), model_digest=model.encoder_digest)
        for number in range(6)
    ]
    # One of an older plan, which is near, and shown no more; one of another model.
    scenes.append(
        rows.scene(
            "a", 6, scene_id=name(6), pooled=made[0].tolist(), model_digest=model.encoder_digest, plan_digest="old"
        )
    )
    scenes.append(rows.scene("a", 7, scene_id=name(7), pooled=made[0].tolist()))
    lake.scenes.merge([row(each) for each in scenes])
    lake.recordings.merge([row(rows.recording("a", model_digest=model.encoder_digest))])
    lake.images.merge([row(rows.image(scenes[1]))])
    lake.things.merge([row(rows.thing(scenes[2], "owl")), row(rows.thing(scenes[3], "Owl's nest", confidence=0.7))])
    return lake


def search(*words: str, code: int = 0) -> Any:
    result = CliRunner().invoke(cli.app, ["search", *words, *(["--json"] if code == 0 else [])])
    assert result.exit_code == code, result.output
    return json.loads(result.stdout) if code == 0 else result.output


def test_by_a_scene_with_conditions(lake: Lake) -> None:
    told = search("--scene", name(0))
    assert told[0]["scene_id"] == name(0) and told[0]["cosine"] == pytest.approx(1, abs=1e-3)
    assert {each["scene_id"] for each in told} == {name(number) for number in range(6)}
    assert [each["cosine"] for each in told] == sorted((each["cosine"] for each in told), reverse=True)
    assert [each["scene_id"] for each in search("--scene", name(0), "--where", "what = 'illustrated'")] == [name(1)]
    assert search("--scene", name(0), "--where", "source_uri LIKE '%nothing%'") == []
    assert len(search("--scene", name(0), "--top", "2")) == 2


def test_the_index_is_made_anew_when_the_table_has_changed(lake: Lake) -> None:
    first = open_index(lake, "m")
    assert len(first) == 1
    made: list[str] = []
    assert len(open_index(lake, "m", made.append)) == 1 and made == []
    lake.scenes.merge([row(rows.scene("b", 0, scene_id=name(20), pooled=[1.0] * first.half.shape[1]))])
    assert len(open_index(lake, "m", made.append)) == 2 and made == ["Make the index"]
    assert len(open_index(lake, "another")) == 0


def test_by_what_is_named(lake: Lake) -> None:
    assert [(each["scene_id"], each["confidence"]) for each in search("--thing", "OWL")] == [(name(2), 0.9)]
    assert [each["scene_id"] for each in search("--thing", "owl's nest")] == [name(3)]
    assert search("--thing", "owl", "--where", "start_s < 1") == []
    assert "Named are owl" in search("--thing", "owll", code=2)


def test_by_speech_and_by_a_picture(lake: Lake, tmp_path: Path) -> None:
    (tmp_path / "asked.wav").write_bytes(clip("sea-animals.opus", 0, 8))
    Image.new("RGB", (80, 50), "navy").save(tmp_path / "sea.png")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    own = ("--checkpoint", str(tmp_path / "tiny"))
    for question in ([str(tmp_path / "asked.wav")], ["--image", str(tmp_path / "sea.png")]):
        told = search(*question, *own)
        assert len(told) == 6 and all(-1 <= each["cosine"] <= 1 for each in told)
    assert "no picture that can be read" in search("--image", str(tmp_path / "broken.png"), *own, code=2)
    assert "it is not a file" in search(str(tmp_path / "none.wav"), *own, code=2)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "one of them"),
        (["--scene", "0" * 32, "--thing", "owl"], "one of them"),
        (["--scene", "nowhere"], "there is none"),
        (["--scene", "0" * 32, "--where", "nothing = 1"], "there is no 'nothing'"),
        (["--scene", "0" * 32, "--where", "1=1); DROP TABLE scenes; --"], "it is not SQL"),
    ],
)
def test_what_is_wrong_is_one_clear_line(lake: Lake, words: list[str], said: str) -> None:
    assert said in search(*words, code=2)


def test_scenes_are_found_among_ids(lake: Lake) -> None:
    index = open_index(lake, "m")
    assert index.among(pa.chunked_array([[name(7), name(1)]])).tolist() == [True]
