"""One local file, start to finish, with a model of tiny random parts."""

import dataclasses
import hashlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from publish.recordings import wav
from tiny import tiny_pipeline
from typer.testing import CliRunner

from s2i_core import cli
from s2i_core.config import ImageConfig, SceneConfig
from s2i_core.english.alt import alt_text
from s2i_core.errors import ConfigError, DecodeError, GenerationError
from s2i_core.illustrate import illustrate_file
from s2i_core.models.decoders.native.decoder import NativeDecoder
from s2i_core.presets import cpu
from s2i_core.publish.xmp import contents_of

SAMPLES = Path(__file__).parent.parent / "samples"
TALK = SAMPLES / "castle-tale.mp3"


@pytest.fixture(scope="module")
def pipeline():
    torch.set_num_threads(1)
    return tiny_pipeline()


@pytest.fixture(scope="module")
def config():
    # A random model is sure of nothing, and its vectors hardly change: take any scene, and many of them. It hears no
    # single things, as the shipped one does, whose settings these are.
    scenes = SceneConfig(min_confidence=-1, change_cost=0, max_s=10, precision=None)
    return cpu().model_copy(update={"scenes": scenes, "image": ImageConfig(size_px=64, steps=1)})


@pytest.fixture(scope="module")
def made(pipeline, config, tmp_path_factory):
    steps = []
    out = tmp_path_factory.mktemp("out") / "new" / "folder"
    result = illustrate_file(TALK, out, config, pipeline.model, lambda *step: steps.append(step))
    return result, out, steps


def lines(path):
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_several_pictures_of_a_scene_lie_beside_each_other_and_the_page_shows_the_first(
    pipeline, config, made, tmp_path
):
    first, _, _ = made
    image = config.image.model_copy(update={"variants": 2})
    several = illustrate_file(TALK, tmp_path, config.model_copy(update={"image": image}), pipeline.model)
    rows = lines(tmp_path / "images.jsonl")
    assert [row["variant"] for row in rows] == [0] * len(first.images) + [1] * len(first.images)
    assert [(row["image_id"], row["sha256"]) for row in rows[: len(first.images)]] == [
        (one.image_id, one.sha256) for one in first.images
    ]
    assert len({row["image_id"] for row in rows}) == len({row["seed"] for row in rows}) == 2 * len(first.images)
    assert [row["scene_id"] for row in rows[len(first.images) :]] == [one.scene_id for one in first.images]
    assert all((tmp_path / row["key"]).is_file() for row in rows)
    assert several.page.read_text("utf-8") == first.page.read_text("utf-8")
    # One of them can be drawn alone.
    image = config.image.model_copy(update={"variant": 1})
    alone = illustrate_file(TALK, tmp_path / "alone", config.model_copy(update={"image": image}), pipeline.model)
    assert [one.image_id for one in alone.images] == [row["image_id"] for row in rows[len(first.images) :]]


def test_every_scene_has_its_picture_and_its_row(made):
    result, out, _ = made
    rows = lines(out / "images.jsonl")
    assert len(rows) == len(result.images) == len(result.scenes) - len(result.skipped) >= 5
    assert {path.name for path in (out / "images").iterdir()} == {Path(row["key"]).name for row in rows}
    for row in rows:
        data = (out / row["key"]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == row["sha256"]
        # The file and the row say the same of what it shows.
        told = contents_of(data)
        assert row["shows"] == [dataclasses.asdict(each) for each in told.things] and row["shows"]
        assert row["alt"] == alt_text(told)
        with Image.open(io.BytesIO(data)) as image:
            assert image.size == (64, 64) == (row["width_px"], row["height_px"])
        assert -1.001 <= row["similarity"] <= 1.001
    scenes = lines(out / "scenes.jsonl")
    assert [scene["scene_id"] for scene in scenes] == [scene.scene_id for scene in result.scenes]
    assert not {"pooled", "focus_tokens", "focus_pooled"}.intersection(scenes[0])
    assert scenes[-1]["end_s"] == pytest.approx(result.recording.duration_s, abs=0.01)
    (recording,) = lines(out / "recording.json")
    assert recording["recording_id"] == hashlib.sha256(TALK.read_bytes()).hexdigest()[:32]
    assert lines(out / "failures.jsonl") == []


def test_the_page_and_the_progress_are_there(made):
    result, out, steps = made
    html = result.page.read_text("utf-8")
    assert result.page.parent == out
    assert html.count('data-tint="') == len(result.images)
    assert {step for step, _, _ in steps} == {"Listening", "Drawing", "Writing the page"}
    assert ("Drawing", len(result.images), len(result.images)) in steps


def test_again_gives_the_same_and_a_seed_gives_others(made, pipeline, config, tmp_path):
    result, out, _ = made
    again = illustrate_file(TALK, tmp_path / "again", config, pipeline.model)
    assert [image.sha256 for image in again.images] == [image.sha256 for image in result.images]
    assert (tmp_path / "again" / "index.html").read_bytes() == (out / "index.html").read_bytes()
    other = illustrate_file(TALK, tmp_path / "other", config, pipeline.model, seed=7)
    assert [image.scene_id for image in other.images] == [image.scene_id for image in result.images]
    assert not {image.seed for image in other.images}.intersection(image.seed for image in result.images)
    assert not {image.image_id for image in other.images}.intersection(image.image_id for image in result.images)


def test_a_scene_that_cannot_be_drawn_is_a_failure_and_the_rest_goes_on(made, config, tmp_path):
    class Fragile(NativeDecoder):
        """Refuses every batch in which one particular seed is."""

        def draw(self, speech, seeds, image, on_step=None):
            if bad in seeds:
                raise GenerationError("seeds", "the picture is not finite", "Try another dtype or seed.")
            return super().draw(speech, seeds, image, on_step)

    result, out, _ = made
    bad = result.images[2].seed
    fragile = tiny_pipeline().model
    fragile.decoder.__class__ = Fragile
    broken = illustrate_file(TALK, tmp_path, config, fragile)
    assert [failure.scene_id for failure in broken.failures] == [result.images[2].scene_id]
    whole = [image for image in result.images if image.seed != bad]
    assert [image.image_id for image in broken.images] == [image.image_id for image in whole]
    # In another batch a pixel may be rounded otherwise, and the compression spreads it.
    for one, other in zip(broken.images, whole, strict=True):
        pixels = [np.asarray(Image.open(at / image.key), int) for at, image in ((tmp_path, one), (out, other))]
        assert np.abs(pixels[0] - pixels[1]).mean() < 1
    (row,) = lines(tmp_path / "failures.jsonl")
    assert row["remedy"] == "Try another dtype or seed."
    assert "No picture: failed" in broken.page.read_text("utf-8")


def test_bad_input_says_what_is_wrong(pipeline, config, tmp_path):
    with pytest.raises(ConfigError, match="not a file"):
        illustrate_file(tmp_path, tmp_path / "out", config, pipeline.model)
    with pytest.raises(DecodeError, match=r"not-audio\.mp3"):
        illustrate_file(SAMPLES / "not-audio.mp3", tmp_path / "out", config, pipeline.model)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ConfigError, match="cannot be made"):
        illustrate_file(TALK, tmp_path / "file", config, pipeline.model)
    style = config.model_copy(update={"image": ImageConfig(size_px=64, style="baroque")})
    with pytest.raises(ConfigError, match=r"baroque.*3d"):
        illustrate_file(TALK, tmp_path / "out", style, pipeline.model)


def test_the_command_prints_a_summary_as_json(tmp_path):
    # A saved checkpoint, as `--checkpoint` takes it; silence needs no trained model.
    tiny_pipeline().save_pretrained(tmp_path / "model")
    (tmp_path / "quiet.wav").write_bytes(wav(np.zeros(48_000)))
    arguments = ["illustrate", str(tmp_path / "quiet.wav"), "--out", str(tmp_path / "out"), "--json"]
    result = CliRunner().invoke(cli.app, [*arguments, "--checkpoint", str(tmp_path / "model")])
    assert result.exit_code == 0, result.output
    summary = json.loads(result.stdout)
    assert (summary["images"], summary["failures"], summary["duration_s"]) == (0, 0, 3.0)
    assert Path(summary["page"]).is_file()
    assert "Silence" in Path(summary["page"]).read_text("utf-8")
    styles = CliRunner().invoke(cli.app, ["styles", "--checkpoint", str(tmp_path / "model"), "--json"])
    assert json.loads(styles.stdout) == {"styles": ["3d"]}
