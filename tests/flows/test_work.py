"""What there is to do, and the arguments that name it."""

from __future__ import annotations

import pytest
from small_archive import SETTINGS

from flows.work import Archive, Work
from s2i_core.errors import ConfigError, ModelError
from s2i_core.weights import name_in_0_1


def test_all_is_to_be_done_at_first(archive: tuple[str, str], checkpoint: str) -> None:
    found = Archive(*archive, checkpoint=checkpoint, settings=SETTINGS)
    assert {item.key for item in found.listing} == {"sea animals.wav", "talks/it's ../ 🌊.wav", "broken.mp3"}
    assert found.pending() == Work(unplanned=3, unillustrated=0, pages=0)
    assert found.pending(limit=2).unplanned == 2
    assert not found.pending().nothing


def test_the_digest_is_that_of_the_loaded_model(archive: tuple[str, str], checkpoint: str) -> None:
    from s2i_core.pipeline import SpeechToImagePipeline

    found = Archive(*archive, checkpoint=checkpoint)
    assert found.digests.model == SpeechToImagePipeline.from_pretrained(checkpoint).model_digest


def test_settings_given_as_text_are_the_same_settings(archive: tuple[str, str], checkpoint: str) -> None:
    text = {name: str(value) for name, value in SETTINGS.items()}
    given, typed = (Archive(*archive, checkpoint=checkpoint, settings=settings).config for settings in (text, SETTINGS))
    assert given == typed
    assert given.image.steps == 1


@pytest.mark.parametrize("settings", [{"image.nothing": 1}, {"image": 1}, {"image.steps": "many"}, {"scenes.max_s": 6}])
def test_a_wrong_setting_is_named(archive: tuple[str, str], checkpoint: str, settings: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="setting"):
        Archive(*archive, checkpoint=checkpoint, settings=settings)


def test_wrong_arguments_are_named(archive: tuple[str, str], checkpoint: str) -> None:
    with pytest.raises(ModelError, match="no saved pipeline"):
        Archive(*archive, checkpoint="/nowhere")
    with pytest.raises(ConfigError, match="no such preset"):
        Archive(*archive, "huge", checkpoint)
    with pytest.raises(ConfigError, match="not the address of a bucket"):
        Archive("/a/folder", archive[1], checkpoint=checkpoint)
    for inner, outer in ((f"{archive[0]}/a", archive[0]), (archive[0], f"{archive[0]}/a"), (archive[0], archive[0])):
        with pytest.raises(ConfigError, match="lie in each other"):
            Archive(inner, outer, checkpoint=checkpoint)
    Archive(f"{archive[0]}/a", f"{archive[0]}/ab", checkpoint=checkpoint)


def test_what_is_done_again_of_an_archive_of_0_1_with_a_checkpoint_of_ones_own_is_said(
    archive: tuple[str, str], checkpoint: str
) -> None:
    found = Archive(*archive, checkpoint=checkpoint, settings=SETTINGS)
    assert found.renamed() is None
    before = name_in_0_1(found.config.model)
    assert before not in found.digests.named().values()
    rows = [{"source_uri": uri, "etag": "e", "status": "ok", "plan_digest": found.digests.plan} for uri in "ab"]
    found.lake.recordings.upsert([{**row, "model_digest": before} for row in rows])
    assert found.renamed() == "a model's parts are named apart since 0.2: this run plans 2 recordings once more"
    image = {"image_id": "i", "image_digest": found.digests.image, "model_digest": before}
    found.lake.images.merge([image])
    said = "a model's parts are named apart since 0.2: this run plans 2 recordings and draws 1 picture once more"
    assert found.renamed() == said


def test_an_archive_of_0_1_with_the_shipped_model_needs_no_word(archive: tuple[str, str]) -> None:
    found = Archive(*archive)
    digests = found.digests
    row = {"source_uri": "a", "etag": "e", "status": "ok", "plan_digest": digests.plan, "model_digest": digests.encoder}
    found.lake.recordings.upsert([row])
    assert found.renamed() is None
