"""A denoiser begins as another one draws."""

import pytest
import torch
from torch import nn

from s2i_core.errors import ConfigError
from s2i_core.models.decoders.native.denoiser import Denoiser
from s2i_core.training.trainers.takeover import take_over

WIDTH = 8
SIZES = {"token_width": WIDTH, "embedding_width": WIDTH, "widths": (8, 16), "head_width": 8, "groups": 4}


def test_of_fewer_styles() -> None:
    known, denoiser = Denoiser(styles=("3d",), **SIZES), Denoiser(styles=("3d", "sketch"), **SIZES)
    take_over(denoiser, known)
    assert torch.equal(denoiser.style.weight, known.style.weight.expand(2, -1))
    assert torch.equal(denoiser.pooled.weight, known.pooled.weight)


def test_of_smaller_pictures() -> None:
    known, denoiser = Denoiser(patch=4, **SIZES), Denoiser(patch=8, sample_size=64, **SIZES)
    take_over(denoiser, known)
    small = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    large, canvas = (x.repeat_interleave(2, 2).repeat_interleave(2, 3) for x in (small, torch.zeros(2, 4, 32, 32)))
    rest = torch.full((2,), 0.5), torch.randn(2, 3, WIDTH), torch.randn(2, WIDTH), torch.zeros(2, dtype=torch.long)
    for each in (known, denoiser):
        # The last convolutions see single pixels, and are not of the U-Net.
        each.eval().refine = nn.Conv2d(11, 4, 1)
        nn.init.zeros_(each.refine.weight), nn.init.zeros_(each.refine.bias)
    with torch.inference_mode():
        drawn, _ = denoiser(large, *rest, canvas)
        expected, _ = known(small, *rest, torch.zeros(2, 4, 32, 32))
    assert torch.allclose(drawn, expected.repeat_interleave(2, 2).repeat_interleave(2, 3), atol=1e-5)


def test_of_one_without_light() -> None:
    torch.manual_seed(0)
    known, denoiser = Denoiser(**SIZES).eval(), Denoiser(light=True, **SIZES).eval()
    take_over(denoiser, known)
    canvas = torch.rand(2, 4, 32, 32)
    given = torch.randn(2, 3, 32, 32), torch.rand(2), torch.randn(2, 3, WIDTH), torch.randn(2, WIDTH)
    with torch.inference_mode():
        pairs = zip(
            *(each(*given, torch.zeros(2, dtype=torch.long), canvas) for each in (denoiser, known)), strict=True
        )
        assert all(torch.allclose(lit, drawn, atol=1e-5) for lit, drawn in pairs)


@pytest.mark.parametrize("known", [{"patch": 8}, {"patch": 4, "light": True}], ids=["larger patches", "light"])
def test_of_one_that_does_not_fit(known: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="cannot go on"):
        take_over(Denoiser(patch=4, **SIZES), Denoiser(**known, **SIZES))
