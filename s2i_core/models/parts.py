"""Loads single networks from the folders of a checkpoint."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import torch
from diffusers import ModelMixin
from diffusers.utils import logging as diffusers_logging
from safetensors import SafetensorError
from transformers.utils import logging as transformers_logging

from s2i_core.errors import ModelError

Part = TypeVar("Part")


def load_part(folder: Path, part: type[Part], dtype: torch.dtype = torch.float32) -> Part:
    """A network that `save_pretrained` wrote into `folder`, ready for inference.

    Raises:
        ModelError: it is missing, damaged, or has other weights than the class.
    """
    # The two libraries name the option differently. float16 is how weights are stored, not how a CPU computes.
    options: dict[str, Any] = {"torch_dtype" if issubclass(part, ModelMixin) else "dtype": dtype}
    options |= {"local_files_only": True, "use_safetensors": True, "low_cpu_mem_usage": False}
    try:
        with quiet():
            made, found = part.from_pretrained(str(folder), output_loading_info=True, **options)  # type: ignore[attr-defined]
    except (OSError, ValueError, KeyError, RuntimeError, TypeError, SafetensorError) as error:
        raise ModelError(str(folder), f"it cannot be loaded: {error}", "Copy the checkpoint again.") from error
    # Both libraries would fill in random weights for missing ones, and go on.
    if wrong := sorted([*found["missing_keys"], *found["unexpected_keys"]]):
        raise ModelError(
            str(folder),
            f"its weights are not those of {part.__name__}: {wrong[0]} and {len(wrong) - 1} more differ",
            "Copy the checkpoint again, or install the s2i that made it.",
        )
    return made.eval().requires_grad_(False)  # type: ignore[no-any-return]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Turns off the libraries' progress bars for a load that takes a second, and back on afterwards."""
    bars = [module for module in (diffusers_logging, transformers_logging) if module.is_progress_bar_enabled()]
    for module in bars:
        module.disable_progress_bar()
    try:
        yield
    finally:
        for module in bars:
            module.enable_progress_bar()
