"""Draw the same sentences in every style of the model: python docs/images/styles.py docs/images/styles.webp"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from s2i_core.config import ImageConfig
from s2i_core.evaluation import sentences
from s2i_core.pipeline import SpeechToImagePipeline


def main() -> None:
    """A column a sentence, a row a style, unpicked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--sentences", type=int, default=8, help="how many of the blind test's, the first ones")
    arguments = parser.parse_args()
    pipeline = SpeechToImagePipeline.from_pretrained()
    spoken = sentences.load()[0][: arguments.sentences]
    embeddings = pipeline.encode_speech(spoken, pipeline.sampling_rate_hz)
    seeds = list(range(len(spoken)))
    rows = [pipeline.generate(embeddings, seeds, ImageConfig(style=style)) for style in pipeline.styles]
    sheet = np.concatenate([np.concatenate(list(row), axis=1) for row in rows])
    Image.fromarray(sheet).save(arguments.picture, quality=88)


if __name__ == "__main__":
    main()
