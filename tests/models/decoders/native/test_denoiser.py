import torch

from s2i_core.models.decoders.native.denoiser import Denoiser


def tiny() -> Denoiser:
    torch.manual_seed(0)
    return Denoiser(token_width=8, embedding_width=8, widths=(8, 16), head_width=8, groups=4).eval()


def inputs(batch: int) -> tuple[torch.Tensor, ...]:
    torch.manual_seed(1)
    canvas = torch.zeros(batch, 4, 32, 32)
    canvas[:, 3, :16] = 1
    style = torch.zeros(batch, dtype=torch.long)
    return (
        torch.randn(batch, 3, 32, 32),
        torch.rand(batch),
        torch.randn(batch, 4, 8),
        torch.randn(batch, 8),
        style,
        canvas,
    )


def test_takes_from_the_canvas_only_where_it_is_opaque() -> None:
    clean, taken = tiny()(*inputs(2))
    assert clean.shape == (2, 3, 32, 32)
    assert taken.shape == (2, 1, 32, 32)
    assert (taken[:, :, 16:] == 0).all()
    assert (taken[:, :, :16] > 0).all()


def test_dropped_rows_do_not_hear() -> None:
    denoiser, given = tiny(), inputs(2)
    dropped = torch.tensor([True, False])
    other = (*given[:2], given[2] + 1, given[3] + 1, *given[4:])
    with torch.no_grad():
        a, b = denoiser(*given, dropped)[0], denoiser(*other, dropped)[0]
    torch.testing.assert_close(a[0], b[0])
    assert not torch.allclose(a[1], b[1])


def test_the_place_counts_unless_nothing_is_heard() -> None:
    torch.manual_seed(0)
    denoiser = Denoiser(8, 8, widths=(8, 16), head_width=8, groups=4, place_width=3).eval()
    given, place = inputs(2), torch.eye(3)[:2]
    dropped = torch.tensor([True, False])
    with torch.no_grad():
        told, untold = denoiser(*given, dropped, place)[0], denoiser(*given, dropped, None)[0]
        torch.testing.assert_close(untold, denoiser(*given, dropped, torch.zeros(2, 3))[0])
    torch.testing.assert_close(told[0], untold[0])
    assert not torch.allclose(told[1], untold[1])


def test_lights_what_it_takes_over() -> None:
    torch.manual_seed(0)
    denoiser = Denoiser(8, 8, widths=(8, 16), head_width=8, groups=4, light=True).eval()
    canvas = torch.zeros(1, 4, 32, 32)
    canvas[:, 3, :16] = 1  # a gray thing, taken over whole
    with torch.no_grad():
        denoiser.unet.conv_out.weight.zero_()
        denoiser.unet.conv_out.bias.zero_()
        denoiser.refine[2].bias[3] = 50
        denoiser.unet.conv_out.bias[-3:] = torch.tensor([-20.0, 0.0, 20.0])
        given = torch.randn(1, 3, 32, 32), torch.rand(1), torch.randn(1, 4, 8), torch.randn(1, 8)
        clean, taken = denoiser(*given, torch.zeros(1, dtype=torch.long), canvas)
    assert torch.allclose(clean[0, :, :16].mean((1, 2)), torch.tensor([-1.0, 0.0, 1.0]), atol=1e-3)
    assert torch.allclose(taken[:, :, :16], torch.ones(1, 1, 16, 32))
