"""How much of what the training data hold."""

from __future__ import annotations

from pydantic import Field

from s2i_core.config import Settings
from s2i_core.corpus.augment import Augmentation
from s2i_core.corpus.sources import captioned


class DataConfig(Settings):
    """How much of what."""

    styles: tuple[str, ...] = Field(
        ("3d", "flat", "cartoon", "outline", "sketch", "clipart"),
        description="Styles of illustration; scenes are composed in the first and drawn in all.",
    )
    collections: tuple[str, ...] = Field(
        tuple(captioned.COLLECTIONS),
        description="Sets of captioned illustrations that the image encoder learns beside, in `sources/captioned.py`.",
    )
    scenes: int = Field(30_000, gt=0, description="Composed scenes of the training split.")
    bare: int = Field(12, ge=0, description="Further utterances of every concept alone, in its several wordings.")
    talk: int = Field(8, ge=0, description="Sentences of ordinary talk about every concept.")
    mentions: int = Field(8, ge=0, description="Example phrases of the dictionary that name it, for every concept.")
    passages: int = Field(3, ge=0, description="Passages of two to six sentences about every concept.")
    remarks: int = Field(3_000, ge=0, description="Talk that names nothing to draw, of one to three sentences.")
    wordings: int = Field(1, gt=0, description="Spoken wordings of every composed scene.")
    tests: int = Field(400, gt=0, description="Scenes of each test split.")
    natural: int = Field(
        6, ge=0, description="Further utterances of every concept, alone and in talk, by `natural_voices`."
    )
    words: int = Field(20_000, ge=0, description="Most frequent words of the dictionary.")
    examples: int = Field(16_000, ge=0, description="Example phrases of the dictionary.")
    definitions: int = Field(8_000, ge=0, description="Definitions of the dictionary.")
    neural: int = Field(750, ge=0, description="Utterances of all kinds by neural voices, a second of work each.")
    scene_voices: dict[str, float] = Field(
        {"espeak": 0.65, "flite": 0.25, "piper": 0.1},
        description="Engine of each utterance of the part `train`, by share.",
    )
    natural_voices: dict[str, float] = Field(
        {"flite": 0.5, "piper": 0.5}, description="Engine of each utterance of the part `natural`, by share."
    )
    phrase_voices: dict[str, float] = Field(
        {"espeak": 0.5, "flite": 0.3, "piper": 0.2},
        description="The same for the parts `phrases`, `talk`, `mentions` and `passages`.",
    )
    seed: int = Field(0, ge=0, description="Decides everything.")
    augmentation: Augmentation = Augmentation()
