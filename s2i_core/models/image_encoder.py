"""The image encoder: pictures into the space shared with speech."""

from __future__ import annotations

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import nn
from torch.nn import functional as F

#: Kernel, blocks, stride of the first block, expansion and channels of each stage of EfficientNet-Lite0.
LITE0 = (
    (3, 1, 1, 1, 16),
    (3, 2, 2, 6, 24),
    (5, 2, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (5, 3, 1, 6, 112),
    (5, 4, 2, 6, 192),
    (3, 1, 1, 6, 320),
)


class SameConv(nn.Conv2d):
    """A convolution that pads like TensorFlow: with a stride, odd padding goes to the right and the bottom."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`(B, C, H, W)` to `(B, C', H / stride, W / stride)`, rounded up."""
        height, width = (self._missing(side) for side in x.shape[-2:])
        return super().forward(F.pad(x, (width // 2, width - width // 2, height // 2, height - height // 2)))

    def _missing(self, side: int) -> int:
        kernel, stride = self.kernel_size[0], self.stride[0]
        return max((-(-side // stride) - 1) * stride + kernel - side, 0)


class Bottleneck(nn.Module):
    """Inverted bottleneck (Sandler et al. 2018, arXiv 1801.04381): expand, look around, reduce, residual.

    Without squeeze-and-excitation and with ReLU6, as EfficientNet-Lite has it; norms are folded into the convolutions.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        width = inputs * expansion
        self.expand = SameConv(inputs, width, 1) if expansion > 1 else None
        self.depthwise = SameConv(width, width, kernel, stride, groups=width)
        self.project = SameConv(width, outputs, 1)
        self.is_residual = stride == 1 and inputs == outputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`(B, C, H, W)` to `(B, C', H / stride, W / stride)`."""
        expanded = F.relu6(self.expand(x)) if self.expand else x
        made = self.project(F.relu6(self.depthwise(expanded)))
        return x + made if self.is_residual else made


class ImageEncoder(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """RGB images `(B, 3, H, W)` in -1 to 1 to L2-normalised vectors `(B, E)`.

    EfficientNet-Lite (Tan and Le 2019, arXiv 1905.11946) without its classifier.

    Args:
        size_px: images are resized to this first, so that every size of a picture has the same vector.
        stem: channels of the first convolution.
        stages: kernel, blocks, stride of the first, expansion and channels of each stage.
        width: channels of the last convolution.
        embedding_width: E.
    """

    @register_to_config
    def __init__(
        self,
        size_px: int = 128,
        stem: int = 32,
        stages: tuple[tuple[int, int, int, int, int], ...] = LITE0,
        width: int = 1280,
        embedding_width: int = 384,
    ) -> None:
        super().__init__()
        self.first = SameConv(3, stem, 3, stride=2)
        blocks, inputs = [], stem
        for kernel, count, stride, expansion, channels in stages:
            for n in range(count):
                blocks.append(Bottleneck(inputs, channels, kernel, 1 if n else stride, expansion))
                inputs = channels
        self.blocks = nn.Sequential(*blocks)
        self.last = SameConv(inputs, width, 1)
        # Maximum as well as mean: a small object must count as much as a large background.
        self.norm = nn.LayerNorm(2 * width)
        self.head = nn.Linear(2 * width, embedding_width)

    def resize(self, images: torch.Tensor) -> torch.Tensor:
        """Images of any size to the size that the network sees."""
        size = (self.config.size_px, self.config.size_px)
        if images.shape[-2:] == size:
            return images
        resized = F.interpolate(images.float(), size, mode="bilinear", antialias=True, align_corners=False)
        return resized.to(images.dtype)

    def features(self, images: torch.Tensor) -> torch.Tensor:
        """Pooled features `(B, 2 × width)` of resized images, before the last layer."""
        x = F.relu6(self.last(self.blocks(F.relu6(self.first(images)))))
        return self.norm(torch.cat([x.mean((2, 3)), x.amax((2, 3))], dim=-1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Embed a batch."""
        return F.normalize(self.head(self.features(self.resize(images))).float(), dim=-1)
