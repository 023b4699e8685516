"""The model under test with its test set and its peer, and what several parts of the evaluation need of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from s2i_core import steps
from s2i_core.config import ImageConfig, changed
from s2i_core.corpus.compose import captions, sample_spec
from s2i_core.corpus.sources import voices
from s2i_core.corpus.spec import SceneSpec, split_of
from s2i_core.corpus.teacher import TextTeacher
from s2i_core.evaluation.cascade import Cascade, TokensOfText
from s2i_core.evaluation.lectures.heard import HeardLectures
from s2i_core.evaluation.native.judges import Judges, shipped
from s2i_core.evaluation.testset import SpokenPhrase, TestSet
from s2i_core.identity import config_digest
from s2i_core.models.decoders.native.decoder import Composition, NativeDecoder, canvas_tensor
from s2i_core.models.decoders.native.grounds import start_picture
from s2i_core.models.decoders.native.library import SpriteLibrary
from s2i_core.models.decoders.native.reference import Slot, SpritePainter
from s2i_core.pipeline import SpeechToImagePipeline
from s2i_core.presets import cpu
from s2i_core.records import SpeechEmbedding

Mode = Literal["references", "plain", "cascade"]
_BATCH = 8
_STEPS_ALONE = 6
"""Denoising steps of a picture that is drawn whole; one that is composed needs fewer."""
_NAMES, _CAPTIONS = 300, 600
"""What the cascade's condition tokens are fitted on."""


@dataclass(frozen=True)
class Drawn:
    """Pictures `(N, S, S, 3)` uint8 of the drawn scenes, and the share of their references taken over `(N,)`."""

    images: NDArray[np.uint8]
    taken: NDArray[np.float32]


@dataclass
class Examination:
    """Everything that a part may need; what is costly is computed when it is first asked for.

    Args:
        pipeline: the model.
        tests: the test set.
        image: settings of the pictures.
        folder: of the evaluation's data.
        scenes: `scenes.jsonl` of the training data, if it is at hand.
        checkpoint: folder of the model, if it is not the shipped one.
        judge: folder of the judges of pictures, if they are not the shipped ones.
        takes: by how many voices each lecture is spoken.
        before: folder of an older model, to set beside this one where a table has room for it.
        tell: told what is being done.
    """

    pipeline: SpeechToImagePipeline
    tests: TestSet
    image: ImageConfig
    folder: Path
    scenes: Path | None = None
    checkpoint: str | None = None
    judge: Path | None = None
    takes: int = 2
    before: str | None = None
    tell: Callable[[str], None] = lambda _: None

    @property
    def own_folder(self) -> Path:
        """What is kept of this model with these settings."""
        return (
            self.folder / "models" / f"{self.pipeline.model_digest[:16]}-{config_digest(self.image.model_dump())[:8]}"
        )

    @property
    def library(self) -> SpriteLibrary:
        """The library's drawings of the style that is drawn in."""
        return self.pipeline.library.styled(self.image.style)

    @cached_property
    def cascade(self) -> Cascade:
        """The peer."""
        return Cascade(self.folder)

    @cached_property
    def talk(self) -> HeardLectures:
        """The lectures as the model and its peers hear them."""
        config = changed(cpu(), {"model.checkpoint": self.checkpoint or "", "model.threads": 1})
        kept = self.own_folder / "heard"
        return HeardLectures(self.pipeline.model, config, self.library, self.folder, kept, self.takes, self.tell)

    @cached_property
    def judges(self) -> Judges:
        """The judges of pictures: they know the things that are drawn in the style, which the test set is made of."""
        return Judges.load(self.judge or shipped(), self.tests.book.library.concepts)

    def hear(self, clips: Sequence[SpokenPhrase]) -> NDArray[np.float32]:
        """The model's pooled vectors of clips `(N, E)`."""
        return self.listen([clip.waveform for clip in clips]).pooled.float().cpu().numpy()

    def listen(self, waveforms: Sequence[NDArray[np.float32]]) -> SpeechEmbedding:
        """What the model makes of waveforms `(T_i,)` at its rate."""
        model = self.pipeline.model
        return steps.encode([model.encoder.frontend(waveform) for waveform in waveforms], model)

    def read(self, clips: Sequence[SpokenPhrase]) -> NDArray[np.float32]:
        """The cascade's vectors of the same clips."""
        return self.cascade.vectors([clip.waveform for clip in clips])

    @cached_property
    def neural(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Vectors of the neural clips by the model and by the cascade."""
        self.tell("neural voices")
        return self.hear(self.tests.neural), self.read(self.tests.neural)

    @cached_property
    def synthetic(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Vectors of the synthetic clips by the model and by the cascade."""
        self.tell("synthetic voices")
        return self.hear(self.tests.synthetic), self.read(self.tests.synthetic)

    @cached_property
    def drawn_clips(self) -> list[SpokenPhrase]:
        """The clips of the scenes that are drawn, in their order."""
        by_target = {clip.target: clip for clip in self.tests.neural}
        return [by_target[place] for place in self.tests.drawn if place in by_target]

    @cached_property
    def drawn_specs(self) -> list[SceneSpec]:
        """What those scenes show."""
        specs = [self.tests.phrases[clip.target].spec for clip in self.drawn_clips]
        return [spec for spec in specs if spec is not None]

    @cached_property
    def tokens_of_text(self) -> TokensOfText:
        """Gives the cascade's texts condition tokens; fitted on training voices saying names and training scenes."""
        self.tell("condition tokens for the cascade")
        book, rng = self.tests.book, np.random.default_rng(29)
        texts = [book.concept(int(n)).names[0].indefinite() for n in rng.permutation(len(book.library))[:_NAMES]]
        while len(texts) < _NAMES + _CAPTIONS:
            spec = sample_spec(rng, book)
            if split_of(spec) == "train":
                texts += captions(spec, book, rng, 1)
        names = voices.ESPEAK_TRAIN
        lines = [(text, f"espeak:{names[n * 7 % len(names)]}", 1.0) for n, text in enumerate(texts)]
        waveforms = self.tests.say("regression", lines)
        kept = [n for n, waveform in enumerate(waveforms) if len(waveform)]
        return TokensOfText(TextTeacher()([texts[n] for n in kept]), self.listen([waveforms[n] for n in kept]))

    def embedding(self, mode: Mode) -> SpeechEmbedding:
        """What the decoder is given for the drawn scenes."""
        if mode == "cascade":
            return self.tokens_of_text(self.read(self.drawn_clips))
        return self.listen([clip.waveform for clip in self.drawn_clips])

    @property
    def image_alone(self) -> ImageConfig:
        """The settings of pictures that are drawn whole, without references."""
        return self.image.model_copy(update={"references": 0, "steps": max(_STEPS_ALONE, self.image.steps)})

    def draw(self, mode: Mode) -> Drawn:
        """The drawn scenes: with references, without any (`plain`), or by the cascade; kept in `own_folder`."""
        self.own_folder.mkdir(parents=True, exist_ok=True)
        image = self.image_alone if mode == "plain" else self.image
        count = len(self.drawn_clips)
        paths = {first: self.own_folder / f"drawn-{mode}-{first:03d}.safetensors" for first in range(0, count, _BATCH)}
        embedding: SpeechEmbedding | None = None
        for first, path in paths.items():
            if path.exists():
                continue
            self.tell(f"drawing, {mode}: {first} of {count}")
            embedding = embedding or self.embedding(mode)
            rows = slice(first, first + _BATCH)
            some = embedding[rows]
            # The seed is the scene's place, so that every mode starts from the same noise.
            drawing: Any = steps.draw(some, list(range(first, first + len(some))), image, self.pipeline.model)
            temporary = path.with_suffix(".part")
            images = np.ascontiguousarray(drawing.images)  # safetensors writes the memory as it lies
            save_file({"images": images, "taken": np.array(drawing.taken, dtype=np.float32)}, temporary)
            temporary.replace(path)
        found = [load_file(path) for path in paths.values()]
        return Drawn(*(np.concatenate([one[name] for one in found]) for name in ("images", "taken")))

    @property
    def decoder(self) -> NativeDecoder:
        """What draws, to be asked for its plans."""
        return self.pipeline.model.decoder  # type: ignore[no-any-return]

    @cached_property
    def slots(self) -> list[tuple[Slot, ...]]:
        """What the model looks up for each of the drawn scenes, in its places."""
        return self.slots_of("references")

    def slots_of(self, mode: Mode) -> list[tuple[Slot, ...]]:
        """The same for what the decoder is given in that mode."""
        return [plan.slots for plan in self.plans_of(mode)]

    def plans_of(self, mode: Mode) -> list[Composition]:
        """What is composed for each of the drawn scenes, by the seeds that they are drawn with."""
        speech = self.embedding(mode)
        return self.decoder.plan(self.decoder.predict(speech), self.image, range(len(speech)))

    @cached_property
    def painter(self) -> SpritePainter:
        """Lays out the library's drawings."""
        return SpritePainter(self.library)

    @cached_property
    def references(self) -> NDArray[np.uint8]:
        """The canvases of what was looked up `(N, S, S, 4)`."""
        return np.stack([self.painter.reference(slots, self.image.size_px) for slots in self.slots])

    @cached_property
    def pasted(self) -> NDArray[np.uint8]:
        """What was looked up, in its places on its ground: the baseline `paste only` `(N, S, S, 3)`.

        It is what a picture starts from under its noise. On white where the model has no grounds.
        """
        plans = self.plans_of("references")
        grounds = self.decoder.starts(plans, range(len(self.references)), self.image, self.image.frame_px)
        if grounds is None:
            grounds = np.full((len(self.references), 1, 1, 3), 255, np.uint8)
        canvases = canvas_tensor(self.references)
        starts = torch.stack([start_picture(*each) for each in zip(grounds, canvases, strict=True)])
        return ((starts.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
