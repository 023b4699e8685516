"""The steps from utterances to rows: one copy of each, and rows of before are read as they were meant."""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load, save
from tiny import tiny_pipeline

from s2i_core import steps
from s2i_core.config import ImageConfig
from s2i_core.errors import ModelError
from s2i_core.models.contracts import Model
from s2i_core.models.decoders.native.layout import LayoutPredictor
from s2i_core.records import SHOWN_THINGS

ROOT = Path(__file__).parents[1]
IMAGE = ImageConfig(size_px=64, steps=1)

#: Where the parts of a model and the steps themselves lie.
HOME = ("s2i_core/steps.py", "s2i_core/models/", "s2i_core/pipeline.py")
ROWS = {"s2i_core.records": {"ImageSample", "Recording"}, "s2i_core.scenes": {"plan_scenes"}}
STEPS = {"encode_features", "encode_speech", "generate", "embed_images"}
PARTS = {"encode": ("encoder",), "draw": ("decoder", "pipeline", "model"), "confidence": ("space", "pipeline", "model")}
#: Not of ours: transformers' decoding.
ALLOWED = {("s2i_core/evaluation/cascade.py", "generate")}


def copies(source: str, path: str) -> Iterator[str]:
    """What a source does by itself that `steps` is there for."""
    tree = list(ast.walk(ast.parse(source)))
    rows = {
        alias.name
        for node in tree
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.name in ROWS.get(node.module or "", ())
    }
    for node in tree:
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        on = ast.unparse(node.func.value).rpartition(".")[2] if isinstance(node.func, ast.Attribute) else ""
        taken = name in STEPS or (name in rows and not on) or any(on == part for part in PARTS.get(name, ()))
        if taken and (path, name) not in ALLOWED:
            yield f"{path}:{node.lineno} {name}"


def test_there_is_one_copy_of_each_step() -> None:
    found = []
    for layer in ("s2i_core", "cluster", "flows"):
        for path in sorted((ROOT / layer).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            if not name.startswith(HOME):
                found += copies(path.read_text("utf-8"), name)
    assert found == []


@pytest.mark.parametrize(
    "source",
    [
        "pipeline.encode_features(x)",
        "self._pipeline.generate(e, seeds, image)",
        "model.decoder.draw(e, seeds, image)",
        "exam.pipeline.draw(e, seeds, image)",
        "self._model.encoder.encode(x)",
        "from s2i_core.records import ImageSample\nImageSample(image_id=i)",
        "from s2i_core.records import Recording, row\nRecording(**row)",
        "from s2i_core.scenes import plan_scenes\nplan_scenes(utterances, gaps, config)",
    ],
)
def test_a_copy_is_found(source: str) -> None:
    assert list(copies(source, "cluster/jobs/stages.py"))


@pytest.fixture(scope="module")
def model() -> Model:
    """One whose layout predictor reads tokens of its own."""
    pipeline = tiny_pipeline()
    torch.manual_seed(3)
    layout = LayoutPredictor(8, 8, num_slots=2, width=8, depth=1, heads=2, own_tokens=4).eval()
    pipeline.register_modules(layout=layout, layout_projection=tiny_pipeline(seed=2).projection.eval())
    return pipeline.model


def planned(number: int = 0) -> steps.Planned:
    random = np.random.default_rng(number)
    tokens, layout = random.normal(size=(2, 4, 8)).astype("<f2")
    pooled = np.eye(8, dtype="<f2")[number]
    extras = save({"layout": layout})
    return steps.Planned(f"{number:032x}", "r" * 32, 0.0, 5.0, 0.8, pooled.tobytes(), tokens.tobytes(), extras)


def before_extras_had_names(scene: steps.Planned) -> steps.Planned:
    """The same scene as version 0.1 kept it: the layout's tokens follow the others."""
    layout = load(scene.focus_extras)["layout"]
    return dataclasses.replace(scene, focus_tokens=scene.focus_tokens + layout.tobytes(), focus_extras=None)


def test_a_row_of_before_gives_the_same_picture(model: Model) -> None:
    scenes = [planned(0), planned(1)]
    mixed = [scenes[0], before_extras_had_names(scenes[1])]
    one, other = (steps.draw_batch(each, [1, 2], IMAGE, model) for each in (scenes, mixed))
    for new, old in zip(one, other, strict=True):
        np.testing.assert_array_equal(new.pixels, old.pixels)
        assert (new.contents, new.similarity, new.seed) == (old.contents, old.similarity, old.seed)


def test_a_picture_is_held_to_the_things_that_it_is_to_show(model: Model) -> None:
    said, named = planned(0), planned(1)
    things = np.eye(8, dtype="<f2")[[2, 3]]
    shows = save({**load(named.focus_extras), SHOWN_THINGS: things})
    pictures = steps.draw_batch([said, dataclasses.replace(named, focus_extras=shows)], [1, 2], IMAGE, model)
    vectors = model.space.embed_images(np.stack([each.pixels for each in pictures])).float().numpy()
    assert pictures[0].similarity == pytest.approx(vectors[0, 0], abs=1e-3)
    assert pictures[1].similarity == pytest.approx((vectors[1, 2] + vectors[1, 3]) / np.sqrt(2), abs=1e-3)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"focus_extras": b""}, r"for the layout, its focus_extras has none"),
        ({"focus_extras": None}, r"for the layout, its focus_extras has tokens \(0, 8\)"),
        ({"focus_extras": save({"layout": np.zeros((3, 8), np.float16)})}, r"has tokens \(3, 8\)"),
        ({"focus_extras": b"no safetensors"}, "focus_tokens does not fit"),
        ({"focus_tokens": planned().focus_tokens[:-3]}, "focus_tokens does not fit"),
        ({"focus_tokens": planned().focus_tokens[:-16]}, "focus_tokens does not fit"),
        ({"focus_tokens": b"\x00\x7e" * 32}, "not finite"),
        ({"focus_pooled": b""}, "focus_tokens does not fit"),
    ],
)
def test_a_row_that_does_not_fit_is_named_with_a_remedy(model: Model, changes: dict[str, bytes], reason: str) -> None:
    with pytest.raises(ModelError, match=reason) as error:
        steps.focus([planned(), dataclasses.replace(planned(1), **changes)], model)
    assert f"{1:032x}" in error.value.subject
    assert "plan again" in error.value.remedy
