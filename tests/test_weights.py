"""What names scenes and images: each part's own files and settings, and no other's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tiny import tiny_library, tiny_pipeline

from s2i_core import presets
from s2i_core.config import RunConfig, changed
from s2i_core.identity import Digests
from s2i_core.models.decoders.native.library import SpriteLibrary
from s2i_core.weights import confidence_for, digests, least_confidence, name_in_0_1, scene_settings

SHIPPED_WITH_0_1 = "b566d1606a80ba058b50e17182c74b02"
DRAWS_ON_PAINTED_GROUNDS = "e99762748594b0e349f4dc6239f703df"
HEARS_THINGS = "d7f8027cc01c610cd8f78b1b06c4675d"


def test_what_is_shipped_has_the_names_that_tables_know_it_by() -> None:
    """A change here makes every archive be listened to, or drawn, again: say so in CHANGELOG.md."""
    expected = Digests(
        HEARS_THINGS, "55808813b9b76b9a2c476598e1e7bad1", DRAWS_ON_PAINTED_GROUNDS, "9906718fb565a029b7c30d2e717ad639"
    )
    assert digests(presets.cpu()) == expected
    assert presets.draft().image_digest == "16bf22cd69895e816e776ebe1668f819"
    assert name_in_0_1(presets.cpu().model) == SHIPPED_WITH_0_1


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> RunConfig:
    folder = tmp_path_factory.mktemp("model")
    tiny_pipeline().save_pretrained(folder)
    return changed(presets.cpu(), {"model.checkpoint": str(folder)})


def test_another_decoder_library_or_setting_of_the_image_names_images_only(config: RunConfig, tmp_path: Path) -> None:
    model = tiny_pipeline().model
    house = SpriteLibrary.joined([tiny_library(), tiny_library()])
    house.embed(model)
    house.save(tmp_path)
    before = digests(config)
    others = [
        digests(changed(config, change))
        for change in (
            {"model.decoder.kind": "collage"},
            {"model.decoder.library": str(tmp_path)},
            {"image.guidance": "2"},
        )
    ]
    assert {(other.encoder, other.plan) for other in others} == {(before.encoder, before.plan)}
    assert len({(other.decoder, other.image) for other in [before, *others]}) == 4
    assert (others[1].image, others[2].decoder) == (before.image, before.decoder)


def test_settings_that_a_decoder_does_not_read_leave_its_pictures(config: RunConfig) -> None:
    collage = changed(config, {"model.decoder.kind": "collage"})
    for other in ({"image.guidance": "2"}, {"image.steps": "9"}, {"image.start_noise": "0.5"}):
        assert changed(collage, other).image_digest == collage.image_digest
    frames = [{"image.size_px": "512"}, {"image.aspect": "16:9"}, {"image.size_px": "512", "image.aspect": "16:9"}, {}]
    assert len({changed(collage, frame).image_digest for frame in frames}) == len(frames)
    # More pictures of a scene rename none; each further one has a name of its own.
    assert changed(collage, {"image.variants": 4}).image_digest == collage.image_digest
    names = [each.image_digest for each in changed(collage, {"image.variants": 4}).each_variant()]
    assert names[0] == collage.image_digest and len(set(names)) == 4


def test_another_library_of_a_checkpoint_leaves_its_scenes(config: RunConfig, tmp_path: Path) -> None:
    pipeline = tiny_pipeline()
    library = tiny_library()
    library.embed(pipeline.model)
    library.vectors = np.roll(library.vectors, 1, axis=1)
    pipeline.with_library(library).save_pretrained(tmp_path)
    other, before = digests(changed(config, {"model.checkpoint": str(tmp_path)})), digests(config)
    assert (other.encoder, other.plan) == (before.encoder, before.plan)
    assert other.decoder != before.decoder


def test_the_limit_of_confidence_is_the_spaces_unless_it_is_set(config: RunConfig, tmp_path: Path) -> None:
    assert scene_settings(config).min_confidence == 0.27
    pipeline = tiny_pipeline()
    pipeline.min_confidence = 0.5
    pipeline.save_pretrained(tmp_path)
    other = changed(config, {"model.checkpoint": str(tmp_path)})
    assert scene_settings(other).min_confidence == 0.5
    assert digests(other).encoder != digests(config).encoder
    named = {changed(config, {"scenes.min_confidence": limit}).plan_digest for limit in ("0.27", "0.3")}
    assert scene_settings(changed(config, {"scenes.min_confidence": "0.3"})).min_confidence == 0.3
    assert len({*named, config.plan_digest}) == 3


def test_a_grounding_names_scenes_where_there_is_one_and_its_precision_where_it_is_not_the_usual(
    config: RunConfig, tmp_path: Path
) -> None:
    plain, grounded = tmp_path / "plain", tmp_path / "grounded"
    tiny_pipeline().save_pretrained(plain)
    pipeline = tiny_pipeline(grounded=True)
    pipeline.grounding.register_to_config(limits=[(0.5, 0.2), (0.9, 0.6)])
    pipeline.save_pretrained(grounded)
    named = {folder.name: digests(changed(config, {"model.checkpoint": str(folder)})) for folder in (plain, grounded)}
    assert named["plain"].encoder != named["grounded"].encoder
    assert named["plain"].decoder == named["grounded"].decoder
    hears = changed(config, {"model.checkpoint": str(grounded)})
    assert least_confidence(hears) == pytest.approx(0.55)
    assert least_confidence(changed(hears, {"scenes.precision": 0.7})) == pytest.approx(0.4)
    assert least_confidence(changed(hears, {"scenes.precision": "none"})) is None
    assert least_confidence(changed(config, {"model.checkpoint": str(plain)})) is None
    assert changed(config, {"scenes.precision": 0.7}).plan_digest != config.plan_digest
    assert confidence_for(0.8, ()) == 0.8
