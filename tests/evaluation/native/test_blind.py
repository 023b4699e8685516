"""The shipped weights against the blind test that the README tells of."""

import pytest

from s2i_core.config import ImageConfig
from s2i_core.evaluation import sentences
from s2i_core.evaluation.native import blind
from s2i_core.pipeline import SpeechToImagePipeline


@pytest.fixture(scope="module")
def result() -> blind.BlindResult:
    waveforms, captions = sentences.load()
    assert len(waveforms) == len(captions) == len(blind.SENTENCES) == 40
    return blind.blind_test(SpeechToImagePipeline.from_pretrained(), waveforms, captions, ImageConfig())


def test_pictures_are_known_by_their_caption(result: blind.BlindResult) -> None:
    """Half of the first twenty, the single objects; of all forty, twice as many as chance would find."""
    wrong = [text for (text, _), right in zip(blind.SENTENCES, result.right, strict=True) if not right]
    assert sum(result.right[:20]) >= 10, f"not recognised: {wrong}"
    assert sum(result.right) >= 16, f"not recognised: {wrong}"


def test_pictures_differ(result: blind.BlindResult) -> None:
    assert len({picture.tobytes() for picture in result.images}) == 40
