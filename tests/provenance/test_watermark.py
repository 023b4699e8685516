"""The mark is found where it is, and nowhere else."""

import numpy as np
import pytest
from PIL import Image

from provenance.pictures import again, drawn
from s2i_core.provenance.watermark import FOUND_Z, LEAST_DB, detect, embed

ATTACKS = {
    "none": lambda pixels: pixels,
    "JPEG 60": lambda pixels: again(pixels, "JPEG", 60),
    "WebP 60": lambda pixels: again(pixels, "WEBP", 60),
    "half size": lambda pixels: np.asarray(Image.fromarray(pixels).resize((128, 128))),
    "10 % crop": lambda pixels: pixels[20:-6, 5:-21],
    "brighter": lambda pixels: np.clip(pixels * 1.15, 0, 255).astype(np.uint8),
}


@pytest.fixture(scope="module")
def marked():
    return [(drawn(seed), embed(drawn(seed), b"key %d" % seed), b"key %d" % seed) for seed in range(3)]


@pytest.mark.parametrize("attack", ATTACKS)
def test_it_is_found_after(attack, marked):
    assert [detect(ATTACKS[attack](made), key) >= FOUND_Z for _, made, key in marked] == [True] * 3


def test_it_can_hardly_be_seen(marked):
    for before, made, _ in marked:
        error = np.square(made.astype(float) - before).mean()
        assert 10 * np.log10(255**2 / error) >= LEAST_DB


def test_no_other_key_and_no_other_picture_has_it(marked):
    for before, made, key in marked:
        assert detect(made, key + b"!") < FOUND_Z
        assert detect(before, key) < FOUND_Z
    for noise in (np.zeros((256, 256, 3), np.uint8), np.full((97, 301, 3), 255, np.uint8)):
        assert detect(noise, b"key") < FOUND_Z


def test_what_it_does_not_survive_is_known(marked):
    _, made, key = marked[0]
    assert detect(np.ascontiguousarray(made[:, ::-1]), key) < FOUND_Z
    assert detect(np.asarray(Image.fromarray(made).rotate(20)), key) < FOUND_Z


def test_one_too_small_for_it_is_left_alone():
    small = drawn(0, 64)
    assert embed(small, b"key") is small
    assert detect(small, b"key") < FOUND_Z
