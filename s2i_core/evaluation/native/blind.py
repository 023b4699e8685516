"""The blind caption test: is a picture's own caption the nearest of five?

Forty sentences about one thing each, in neural voices that training never hears. Each is drawn; the picture's vector
is compared with those of five captions, the right one and four of the other sentences'. Chance is 8 of 40. Beside the
model stands *paste only*: the library image that the decoder looked up, on a plain ground, judged in the same way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2i_core import steps
from s2i_core.config import ImageConfig
from s2i_core.pipeline import SpeechToImagePipeline

SENTENCES: tuple[tuple[str, str], ...] = (
    ("A penguin stands and waits.", "a penguin"),
    ("This is an old castle.", "a castle"),
    ("We saw a big elephant today.", "an elephant"),
    ("She played the guitar for us.", "a guitar"),
    ("The rocket is ready to start.", "a rocket"),
    ("Here comes the train.", "a train"),
    ("I would like a banana.", "a banana"),
    ("Look at the snowman outside.", "a snowman"),
    ("A turtle walks slowly.", "a turtle"),
    ("He opened his umbrella.", "an umbrella"),
    ("My sister rides a bicycle.", "a bicycle"),
    ("The owl sat on a branch.", "an owl"),
    ("They baked a birthday cake.", "a birthday cake"),
    ("The farmer bought a new tractor.", "a tractor"),
    ("An octopus has eight arms.", "an octopus"),
    ("That is a beautiful butterfly.", "a butterfly"),
    ("The cat is sleeping.", "a cat"),
    ("There was a volcano far away.", "a volcano"),
    ("Where is my camera?", "a camera"),
    ("He gave her a rose.", "a rose"),
    ("A frog jumped into the water.", "a frog"),
    ("We need a new sofa.", "a sofa"),
    ("The astronaut looks down at us.", "an astronaut"),
    ("It is only a spider.", "a spider"),
    ("My grandfather sold his boat.", "a boat"),
    ("Have you tried the pineapple?", "a pineapple"),
    ("The dinosaur was very tall.", "a dinosaur"),
    ("They built a lighthouse.", "a lighthouse"),
    ("I dropped the key somewhere.", "a key"),
    ("A squirrel ran up the tree.", "a squirrel"),
    ("She bought a red balloon.", "a red balloon"),
    ("The violin sounds sad.", "a violin"),
    ("A crocodile is watching.", "a crocodile"),
    ("He is wearing a crown.", "a crown"),
    ("The helicopter is very loud.", "a helicopter"),
    ("There is a snail on the path.", "a snail"),
    ("The wizard knows the answer.", "a wizard"),
    ("We shared a large pizza.", "a pizza"),
    ("The ambulance came quickly.", "an ambulance"),
    ("A cactus needs little water.", "a cactus"),
)
CANDIDATES = 5


@dataclass(frozen=True)
class BlindResult:
    """How many of the sentences' pictures have their own caption nearest.

    Attributes:
        right: for each sentence, whether it has.
        paste_right: the same for the looked-up library image alone.
        similarity: cosine of each picture to its own caption `(40,)`.
        taken: share of the pixels under the references that the decoder took from them `(40,)`.
        images: the pictures `(40, S, S, 3)` uint8.
        candidates: for each sentence, places of the captions to choose among; its own is the first.
    """

    right: list[bool]
    paste_right: list[bool]
    similarity: list[float]
    taken: list[float]
    images: NDArray[np.uint8]
    candidates: list[list[int]]


def blind_test(
    pipeline: SpeechToImagePipeline,
    waveforms: list[NDArray[np.float32]],
    captions: NDArray[np.float32],
    image: ImageConfig,
    seed: int = 0,
) -> BlindResult:
    """Run it.

    Args:
        pipeline: the model.
        waveforms: the sentences, 16 kHz.
        captions: the text teacher's vectors of their captions `(40, E)`.
        image: settings of the pictures.
        seed: of the pictures and of the choice of the wrong captions.
    """
    rng = np.random.default_rng(seed)
    model = pipeline.model
    speech = steps.encode([model.encoder.frontend(waveform) for waveform in waveforms], model)
    drawing: Any = steps.draw(speech, [seed + i for i in range(len(waveforms))], image, model)
    vectors = pipeline.encode_images(drawing.images).cpu().numpy()
    pasted = pipeline.library.vectors
    if pasted is None:
        raise ValueError("the library has no vectors")
    right: list[bool] = []
    paste_right: list[bool] = []
    chosen: list[list[int]] = []
    for i in range(len(waveforms)):
        others = rng.choice([j for j in range(len(captions)) if j != i], CANDIDATES - 1, replace=False)
        chosen.append([i, *others.tolist()])
        candidates = captions[chosen[i]]
        right.append(int((candidates @ vectors[i]).argmax()) == 0)
        looked_up = pasted[drawing.slots[i][0].sprite] if drawing.slots[i] else vectors[i]
        paste_right.append(int((candidates @ looked_up).argmax()) == 0)
    similarity = [float(v @ c) for v, c in zip(vectors, captions, strict=True)]
    return BlindResult(right, paste_right, similarity, drawing.taken, drawing.images, chosen)
