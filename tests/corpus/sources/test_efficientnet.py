"""The image encoder's pretrained start: norms folded away, and nothing but tensors read from outside."""

import pickle
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from s2i_core.corpus.sources import efficientnet
from s2i_core.errors import ModelError
from s2i_core.models.image_encoder import LITE0


def weights() -> efficientnet.State:
    """Random ones, by the names and in the shapes of the package."""
    torch.manual_seed(0)
    state: efficientnet.State = {}

    def convolution(name: str, norm: str, outputs: int, inputs: int, kernel: int) -> None:
        state[f"{name}.weight"] = torch.randn(outputs, inputs, kernel, kernel) / (inputs * kernel**2) ** 0.5
        state[f"{norm}.weight"], state[f"{norm}.bias"] = torch.rand(outputs) + 0.5, torch.randn(outputs) / 4
        state[f"{norm}.running_mean"] = torch.randn(outputs) / 4
        state[f"{norm}.running_var"] = torch.rand(outputs) + 0.5

    convolution("_conv_stem", "_bn0", 32, 3, 3)
    inputs, n = 32, 0
    for kernel, count, _, expansion, outputs in LITE0:
        for _ in range(count):
            block, width = f"_blocks.{n}", inputs * expansion
            if expansion > 1:
                convolution(f"{block}._expand_conv", f"{block}._bn0", width, inputs, 1)
            convolution(f"{block}._depthwise_conv", f"{block}._bn1", width, 1, kernel)
            convolution(f"{block}._project_conv", f"{block}._bn2", outputs, width, 1)
            inputs, n = outputs, n + 1
    convolution("_conv_head", "_bn1", 1280, inputs, 1)
    return state


def as_published(state: efficientnet.State, x: torch.Tensor) -> torch.Tensor:
    """The network with its norms, `(B, 3, H, W)` to `(B, 1280, H / 32, W / 32)`; H and W are multiples of 32."""

    def step(x: torch.Tensor, name: str, norm: str, stride: int = 1) -> torch.Tensor:
        weight = state[f"{name}.weight"]
        missing = weight.shape[-1] - stride
        x = F.pad(x, (missing // 2, missing - missing // 2) * 2)
        x = F.conv2d(x, weight, stride=stride, groups=x.shape[1] if weight.shape[1] == 1 else 1)
        moments = state[f"{norm}.running_mean"], state[f"{norm}.running_var"]
        return F.batch_norm(x, *moments, state[f"{norm}.weight"], state[f"{norm}.bias"], eps=1e-3)

    x, n = F.relu6(step(x, "_conv_stem", "_bn0", 2)), 0
    for _, count, first, expansion, _ in LITE0:
        for place in range(count):
            block, y = f"_blocks.{n}", x
            if expansion > 1:
                y = F.relu6(step(y, f"{block}._expand_conv", f"{block}._bn0"))
            y = F.relu6(step(y, f"{block}._depthwise_conv", f"{block}._bn1", 1 if place else first))
            y = step(y, f"{block}._project_conv", f"{block}._bn2")
            x, n = (x + y if place else y), n + 1
    return F.relu6(step(x, "_conv_head", "_bn1"))


@torch.inference_mode()
def test_folding_the_norms_changes_nothing() -> None:
    state = weights()
    encoder = efficientnet.image_encoder(state, size_px=64, embedding_width=8).eval()
    x = torch.rand(2, 3, 64, 64) * 2 - 1
    expected = as_published(state, x)
    assert expected.shape == (2, 1280, 2, 2) and expected.std() > 0.1
    pooled = torch.cat([expected.mean((2, 3)), expected.amax((2, 3))], dim=-1)
    torch.testing.assert_close(encoder.features(x), F.layer_norm(pooled, (2560,)), atol=1e-3, rtol=1e-3)


def test_what_is_no_file_of_tensors_is_refused(tmp_path: Path) -> None:
    class Surprise:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "ran",))

    (tmp_path / "bad.pth").write_bytes(pickle.dumps({"_conv_stem.weight": Surprise()}))
    (tmp_path / "cut.pth").write_bytes(b"PK")
    for name in ("bad.pth", "cut.pth", "absent.pth"):
        with pytest.raises(ModelError, match=name):
            efficientnet.read(tmp_path / name)
    assert not (tmp_path / "ran").exists()
