"""Pixels to image files."""

import io

import numpy as np
import pytest
from PIL import Image

from s2i_core.config import ImageConfig
from s2i_core.publish.images import content_type, encode_image


@pytest.fixture
def pixels():
    y, x = np.mgrid[:64, :96]
    return np.stack([x * 2, y * 3, 255 - x], axis=2).astype(np.uint8)


@pytest.mark.parametrize("format", ["webp", "png", "jpeg"])
def test_the_file_holds_the_picture_and_is_the_same_every_time(pixels, format):
    config = ImageConfig(format=format)
    data = encode_image(pixels, config)
    with Image.open(io.BytesIO(data)) as image:
        assert Image.MIME[image.format] == content_type(format)
        read = np.asarray(image.convert("RGB")).astype(int)
    assert read.shape == pixels.shape
    assert np.abs(read - pixels).mean() < (0.1 if format == "png" else 4)
    assert encode_image(pixels.copy(), config) == data


def test_quality_counts(pixels):
    noisy = np.random.default_rng(0).integers(0, 255, pixels.shape).astype(np.uint8)
    small, large = (len(encode_image(noisy, ImageConfig(quality=quality))) for quality in (10, 95))
    assert small < large / 2


@pytest.mark.parametrize("shape, dtype", [((64, 64), "uint8"), ((64, 64, 4), "uint8"), ((64, 64, 3), "float32")])
def test_other_arrays_are_refused(shape, dtype):
    with pytest.raises(ValueError, match="uint8"):
        encode_image(np.zeros(shape, dtype), ImageConfig())
