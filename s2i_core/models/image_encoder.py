"""The image encoder: pictures into the space shared with speech."""

from __future__ import annotations

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import nn
from torch.nn import functional as F


class ConvBlock(nn.Module):
    """ConvNeXt block (Liu et al. 2022, arXiv 2201.03545): depthwise 7 × 7, norm, pointwise MLP, residual."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.norm = nn.GroupNorm(1, width)
        self.expand = nn.Conv2d(width, 4 * width, 1)
        self.reduce = nn.Conv2d(4 * width, width, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`(B, C, H, W)` to the same shape."""
        return x + self.reduce(F.gelu(self.expand(self.norm(self.depthwise(x)))))


class ImageEncoder(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """RGB images `(B, 3, H, W)` in -1 to 1 to L2-normalised vectors `(B, E)`.

    Args:
        size_px: images are resized to this first, so that every size of a picture has the same vector.
        widths: channels of the four resolutions (1/4, 1/8, 1/16, 1/32).
        blocks: blocks at each of them.
        embedding_width: E.
    """

    @register_to_config
    def __init__(
        self,
        size_px: int = 64,
        widths: tuple[int, ...] = (64, 128, 256, 384),
        blocks: tuple[int, ...] = (1, 1, 3, 1),
        embedding_width: int = 384,
    ) -> None:
        super().__init__()
        stages: list[nn.Module] = [nn.Conv2d(3, widths[0], 4, stride=4)]
        for i, (width, count) in enumerate(zip(widths, blocks, strict=True)):
            if i:
                stages += [nn.GroupNorm(1, widths[i - 1]), nn.Conv2d(widths[i - 1], width, 2, stride=2)]
            stages += [ConvBlock(width) for _ in range(count)]
        self.stages = nn.Sequential(*stages)
        # Maximum beside mean: a small object must count as much as a large background.
        self.norm = nn.LayerNorm(2 * widths[-1])
        self.head = nn.Linear(2 * widths[-1], embedding_width)

    def resize(self, images: torch.Tensor) -> torch.Tensor:
        """Images of any size to the size that the network sees."""
        size = (self.config.size_px, self.config.size_px)
        if images.shape[-2:] == size:
            return images
        resized = F.interpolate(images.float(), size, mode="bilinear", antialias=True, align_corners=False)
        return resized.to(images.dtype)

    def features(self, images: torch.Tensor) -> torch.Tensor:
        """Pooled features `(B, 2 × last width)` of resized images, before the last layer."""
        x = self.stages(images)
        return self.norm(torch.cat([x.mean((2, 3)), x.amax((2, 3))], dim=-1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Embed a batch."""
        return F.normalize(self.head(self.features(self.resize(images))).float(), dim=-1)
