"""A whole pipeline of tiny random parts: 1 to 2 layers, width 8 to 16. Loads in milliseconds, draws in tens of them."""

from __future__ import annotations

import numpy as np
import torch
from diffusers import FlowMatchEulerDiscreteScheduler

from s2i_core.models.decoders.native.denoiser import Denoiser
from s2i_core.models.decoders.native.layout import LayoutPredictor
from s2i_core.models.decoders.native.library import SPRITE_SIZE, SpriteInfo, SpriteLibrary
from s2i_core.models.image_encoder import ImageEncoder
from s2i_core.models.speech.grounding import Grounding, Vocabulary
from s2i_core.models.speech.projection import QueryTransformer
from s2i_core.models.speech.whisper import SpeechEncoder, WhisperConfig
from s2i_core.pipeline import SpeechToImagePipeline

COLOURS = {"red": (220, 40, 40), "green": (40, 180, 60), "blue": (40, 80, 220)}


def tiny_library() -> SpriteLibrary:
    """Discs of three colours, without vectors."""
    y, x = np.mgrid[:SPRITE_SIZE, :SPRITE_SIZE] - SPRITE_SIZE / 2 + 0.5
    disc = ((x**2 + y**2) < 50**2).astype(np.uint8) * 255
    sprites = [np.dstack([np.full((SPRITE_SIZE, SPRITE_SIZE, 3), rgb, np.uint8), disc]) for rgb in COLOURS.values()]
    infos = [SpriteInfo(f"{name}-disc", name, f"{name} disc", "shape", "3d", "tests", "CC0-1.0") for name in COLOURS]
    return SpriteLibrary.from_arrays(infos, sprites)


def tiny_pipeline(seed: int = 0, *, grounded: bool = False) -> SpeechToImagePipeline:
    """The pipeline; the same weights for the same seed. With a grounding it hears its three discs, at random."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        pipeline = SpeechToImagePipeline(
            speech_encoder=SpeechEncoder(
                WhisperConfig(
                    d_model=8,
                    encoder_layers=2,
                    encoder_attention_heads=2,
                    encoder_ffn_dim=16,
                    max_source_positions=1500,
                )
            ),
            projection=QueryTransformer(
                width=8, depth=2, heads=2, mlp_width=16, num_queries=4, token_width=8, embedding_width=8
            ),
            image_encoder=ImageEncoder(size_px=32, stem=8, stages=((3, 1, 2, 2, 8),), width=8, embedding_width=8),
            layout=LayoutPredictor(token_width=8, embedding_width=8, num_slots=2, width=8, depth=1, heads=2),
            denoiser=Denoiser(token_width=8, embedding_width=8, styles=("3d",), widths=(8, 16), head_width=8, groups=4),
            scheduler=FlowMatchEulerDiscreteScheduler(),
        )
    pipeline.with_library(tiny_library())
    if grounded:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            pipeline.register_modules(grounding=Grounding(8, 1, 2, 16, 4, 8).eval())
        vectors = np.asarray(pipeline.library.vectors, np.float16).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        pipeline.vocabulary = Vocabulary([info.title for info in pipeline.library.infos], vectors, vectors[:0])
    return pipeline


def doubting_pipeline() -> SpeechToImagePipeline:
    """The pipeline with a grounding that is never sure, of six things that are nothing alike."""
    pipeline = tiny_pipeline(grounded=True)
    pipeline.grounding.register_to_config(limits=[(0.01, 0.999), (0.99, 0.999)])
    vectors = np.eye(8, dtype=np.float32)
    pipeline.vocabulary = Vocabulary(["owl", "ship", "tree", "key", "moon", "fox"], vectors[:6], vectors[6:])
    return pipeline
