"""Begin a denoiser with the weights of another one: of fewer styles, smaller pictures, or without light."""

from __future__ import annotations

import torch

from s2i_core.errors import ConfigError
from s2i_core.models.decoders.native.denoiser import GAINS, Denoiser

_DRAWN = ("unet.conv_out.weight", "unet.conv_out.bias")


def take_over(denoiser: Denoiser, known: Denoiser) -> None:
    """Go on from the weights of `known`.

    A style that it does not know begins as its first. Where its patch is smaller, as many positions of the U-Net cover
    a larger picture: each sees the mean of the pixels that one pixel has become, and draws them in one colour, so that
    the U-Net's first pictures are those of `known`, enlarged. The convolutions that finish a picture see single pixels,
    and have to learn the new scale. Where only `denoiser` lights what it takes over, its light begins as that of noon,
    which changes nothing.

    Raises:
        ConfigError: the patch of `denoiser` is no multiple of that of `known`; or `known` has light, and `denoiser` has
            none or larger patches.
    """
    old_patch, patch = known.config.patch, denoiser.config.patch
    if patch % old_patch:
        raise ConfigError(
            f"a denoiser with patches of {patch} px",
            f"it cannot go on from one of {old_patch} px",
            "Take a multiple of it, or train from the beginning.",
        )
    if known.config.light and (not denoiser.config.light or patch != old_patch):
        raise ConfigError(
            "a denoiser without light, or with larger patches",
            "it cannot go on from one that has light",
            "Give it light and the same patches (`--set denoiser_patch=…`), or train from the beginning.",
        )
    weights = known.state_dict()
    old, new = tuple(known.config.styles), tuple(denoiser.config.styles)
    weights["style.weight"] = weights["style.weight"][[old.index(style) if style in old else 0 for style in new]]
    if patch != old_patch:
        seen = "unet.conv_in.weight"
        area = (patch // old_patch) ** 2
        weights[seen] = _split(weights[seen].transpose(0, 1), old_patch, patch).transpose(0, 1).contiguous() / area
        for name in _DRAWN:
            weights[name] = _split(weights[name], old_patch, patch)
    if denoiser.config.light and not known.config.light:
        for name in _DRAWN:
            drawn = weights[name]
            weights[name] = torch.cat([drawn, drawn.new_zeros(GAINS, *drawn.shape[1:])])
    denoiser.load_state_dict(weights)


def _split(channels: torch.Tensor, old_patch: int, patch: int) -> torch.Tensor:
    """Channels `(C old², ...)` of pixels folded as by `pixel_unshuffle`, each as often as its pixel is split."""
    factor = patch // old_patch
    pixels = channels.unflatten(0, (-1, old_patch, old_patch))
    return pixels.repeat_interleave(factor, 1).repeat_interleave(factor, 2).flatten(0, 2)
