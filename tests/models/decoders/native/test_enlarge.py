import numpy as np
import torch
from torch.nn import functional as F

from s2i_core.models.decoders.native.denoiser import Parts
from s2i_core.models.decoders.native.enlarge import cast_shadows, composed, enlarged, shade_of, smoothed
from s2i_core.models.decoders.native.reference import Slot


def canvas(side: int) -> np.ndarray:
    """A green square on transparent ground, premultiplied."""
    painted = np.zeros((side, side, 4), np.float32)
    painted[side // 4 : side // 2, side // 4 : side // 2] = (0, 1, 0, 1)
    return painted


def reference(side: int) -> torch.Tensor:
    x = torch.from_numpy(canvas(side)).permute(2, 0, 1)[None]
    return torch.cat([2 * x[:, :3] - x[:, 3:], x[:, 3:]], dim=1)


def parts(side: int = 64) -> Parts:
    sky = torch.linspace(-0.5, 0.5, side)[:, None].expand(1, 3, side, side)
    return Parts(sky.clone(), torch.ones(1, 1, side, side), torch.full((1, 3, 4, 4), 0.5))


def test_what_lies_on_the_canvas_is_as_sharp_as_it_and_lit() -> None:
    picture = enlarged(parts(), reference(64), canvas(256))
    assert picture.shape == (3, 256, 256)
    green = (picture[1] + 1) / 2
    assert torch.allclose(green[64:128, 64:128], torch.full((64, 64), 0.5), atol=1e-4), "half the light"
    assert float(picture[0, 100, 64]) == -1 and float(picture[0, 100, 63]) > -0.7, "its edge is one pixel wide"


def test_it_is_what_the_denoiser_blends_where_nothing_is_enlarged() -> None:
    own = parts()
    on = reference(64)
    gains = F.interpolate(own.gains, scale_factor=16, mode="bilinear")
    blended = own.drawn * (1 - on[:, 3:]) + ((on[:, :3] + on[:, 3:]) * gains - on[:, 3:])
    assert (enlarged(own, on, canvas(64)) - blended[0]).abs().mean() < 0.02


def test_speckle_goes_and_edges_stay() -> None:
    torch.manual_seed(0)
    ground = torch.full((1, 3, 64, 64), -0.5)
    ground[..., 32:, :] = 0.5
    speckled = ground + 0.05 * torch.randn_like(ground)
    smooth = smoothed(speckled, torch.ones(1, 1, 64, 64))
    assert (smooth - ground)[..., :20, :].std() < 0.015
    assert float(smooth[0, 0, 34:].mean() - smooth[0, 0, :30].mean()) > 0.9
    assert float(smooth[0, 0, 33].mean() - smooth[0, 0, 30].mean()) > 0.7


def test_what_is_hidden_does_not_bleed_out() -> None:
    ground, seen = torch.full((1, 3, 64, 64), 0.5), torch.ones(1, 1, 64, 64)
    ground[..., 16:48, 16:48], seen[..., 16:48, 16:48] = -5.0, 0.0
    assert (smoothed(ground, seen) - 0.5)[..., :18, :].abs().max() < 0.05


def test_things_on_a_painted_ground_have_the_light_and_the_ground_its_own_shade() -> None:
    ground = np.full((256, 256, 3), 200, np.uint8)
    picture = composed(ground, torch.full((1, 1, 4, 4), 0.5), canvas(256), torch.full((1, 3, 4, 4), 0.25))
    assert picture[100, 100].tolist() == [0, 64, 0] and picture[10, 10].tolist() == [100, 100, 100]
    assert picture[100, 63].tolist() == [100, 100, 100], "an edge is as sharp as the drawing"
    assert composed(ground, torch.ones(1, 1, 4, 4), 0 * canvas(256), None).min() == 200


def test_shade_is_what_the_denoiser_drew_darker_and_neither_its_noise_nor_what_is_hidden() -> None:
    torch.manual_seed(0)
    given = torch.full((1, 3, 64, 64), 0.2)
    drawn = given - 0.1 + 0.2 * torch.randn_like(given)
    on = reference(64)
    drawn[:, :, 16:32, 16:32] = -1.0
    shade = shade_of(Parts(drawn, torch.ones(1, 1, 64, 64), None), on, given)
    assert shade.shape == (1, 1, 4, 4)
    assert float(shade.std()) < 0.03 and 0.88 < float(shade.mean()) < 0.97


def test_what_stands_casts_a_shadow_and_what_flies_does_not() -> None:
    ground = np.full((100, 100, 3), 200, np.uint8)
    stands, flies = (Slot(0, "x", (0.5, 0.6, 0.3, 0.4), aloft=aloft) for aloft in (False, True))
    shaded = cast_shadows(ground, [stands])
    assert shaded[79, 50, 0] < 120 and shaded[79, 90, 0] == 200 and ground.min() == 200
    assert (cast_shadows(ground, [flies]) == 200).all()
    assert (cast_shadows(ground, [Slot(0, "x", (0.5, 0.9, 0.3, 0.3))]) == 200).all(), "its feet are below the frame"
