"""One of several processes that train together, for test_devices.py: DATA OUT, and torchrun's environment."""

import sys
from pathlib import Path

import torch

from s2i_core.learning.devices import World
from s2i_core.models.decoders.native.denoiser import Denoiser
from s2i_core.models.speech.projection import QueryTransformer
from s2i_core.training.trainers import align, diffuse

WIDTH = 8


def main(data: Path, out: Path) -> None:
    torch.manual_seed(0)
    projection = QueryTransformer(
        width=WIDTH, depth=1, heads=2, mlp_width=16, num_queries=4, token_width=WIDTH, embedding_width=WIDTH
    )
    config = align.AlignConfig(steps=3, batch=8, warmup=1, bank=8, evaluate_every=2, dtype="float32")
    layout = align.train(data, out, projection, config)
    sizes = {"token_width": WIDTH, "embedding_width": WIDTH, "widths": (8, 16), "head_width": 8, "groups": 4}
    drawing = diffuse.DiffuseConfig(steps=2, batch=2, size_px=32, warmup=1, dtype="float32")
    average = diffuse.train(data, out, projection, drawing, Denoiser(**sizes))
    state = {"projection": projection.state_dict(), "layout": layout.state_dict(), "denoiser": average.state_dict()}
    torch.save(state, out / f"of-{World.join('cpu').rank}.pt")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
