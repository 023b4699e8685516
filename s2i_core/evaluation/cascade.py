"""The peer: recognise the words, embed the text, draw from that. It lives in evaluation only.

Whisper tiny.en, the very encoder that the model starts from, with its decoder (greedy); its transcript through the text
teacher; and the model's own decoder. A text has no condition tokens, so a ridge regression makes them of its vector,
fitted on the model's tokens for training phrases. The encoder hears the same short crop as the model does, which makes
the cascade some times faster than Whisper's usual 30 seconds.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from transformers.generation.utils import GenerationMixin
from transformers.modeling_outputs import BaseModelOutput

from s2i_core.audio.features import log_mel
from s2i_core.corpus.sources import whisper
from s2i_core.corpus.sources.packages import fetch
from s2i_core.corpus.teacher import TextTeacher
from s2i_core.models.speech.whisper import SpeechEncoder
from s2i_core.records import SpeechEmbedding

_BATCH = 24
_TOKENS, _TOKENS_PER_FRAME = 12, 0.05
"""The longest transcript: Whisper repeats itself after a short crop, which the recogniser must not pay for."""
_BLANK = 220
_BREAK = r"[ .,!?\"]+"
_REPEATED = re.compile(rf"^(.+?)(?:{_BREAK}\1)+\b.*|(?<!\w)(\w.*?)(?:{_BREAK}\2){{2,}}\b.*", re.IGNORECASE)


class Cascade:
    """Whisper → MiniLM.

    Args:
        folder: where transcripts are kept: they don't change with the model.
        size: of Whisper; `base` is multilingual and is told that it hears English.
    """

    def __init__(self, folder: Path, size: Literal["tiny.en", "base"] = "tiny.en") -> None:
        arrays = whisper.tiny_en() if size == "tiny.en" else whisper.base()
        self.encoder: SpeechEncoder = whisper.speech_encoder(arrays)
        self.model = whisper.recogniser(arrays)
        tokenizer = (
            fetch(whisper.TINY_EN) / whisper.TINY_EN_TOKENIZER
            if size == "tiny.en"
            else fetch(whisper.BASE_PARTS[0]) / whisper.BASE_TOKENIZER
        )
        self.tokenizer = Tokenizer.from_file(str(tokenizer))
        self.teacher = TextTeacher()
        task = ("en", "transcribe") if size == "base" else ()
        prompt = ("startoftranscript", *task, "notimestamps")
        self._prompt = [self.tokenizer.token_to_id(f"<|{name}|>") for name in prompt]
        self._end = self.tokenizer.token_to_id("<|endoftext|>")
        self._path = folder / ("transcripts.json" if size == "tiny.en" else f"transcripts-{size}.json")
        self._vectors: dict[str, NDArray[np.float32]] = {}
        self._known = self._kept()

    def transcripts(self, features: Sequence[NDArray[np.float16]]) -> list[str]:
        """What was said, as Whisper hears it, of log-mel features `(80, F_i)`; each is transcribed once for good."""
        keys = [hashlib.sha256(feature.tobytes()).hexdigest()[:24] for feature in features]
        if not self._known.keys() >= set(keys):
            self._known |= self._kept()  # another process may have listened
        missing = {key: feature for key, feature in zip(keys, features, strict=True) if key not in self._known}
        by_length = sorted(missing, key=lambda key: missing[key].shape[1])
        for first in range(0, len(by_length), _BATCH):
            some = by_length[first : first + _BATCH]
            self._known.update(zip(some, self.recognise([missing[key] for key in some]), strict=True))
            if first // _BATCH % 2 == 1 or first + _BATCH >= len(by_length):
                self._save()
        return [self._known[key] for key in keys]

    @torch.inference_mode()
    def recognise(self, features: Sequence[NDArray[np.float16]]) -> list[str]:
        """Transcripts of log-mel features `(80, F_i)`; rows of one length run together."""
        texts = [""] * len(features)
        by_length: dict[int, list[int]] = {}
        for row, feature in enumerate(features):
            by_length.setdefault(feature.shape[1], []).append(row)
        for rows in by_length.values():
            batch = torch.from_numpy(np.stack([features[row] for row in rows])).float()
            ids = GenerationMixin.generate(
                self.model,
                encoder_outputs=BaseModelOutput(last_hidden_state=self.encoder(batch)),
                decoder_input_ids=torch.tensor([self._prompt] * len(rows)),
                max_new_tokens=_TOKENS + round(_TOKENS_PER_FRAME * batch.shape[2]),
                do_sample=False,
                eos_token_id=self._end,
                pad_token_id=self._end,
                begin_suppress_tokens=[_BLANK, self._end],
            )
            for row, line in zip(rows, ids.tolist(), strict=True):
                text = self.tokenizer.decode(line, skip_special_tokens=True).strip(' "')
                texts[row] = once(text)
        return texts

    def vectors(self, waveforms: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Vectors of what was said in waveforms `(T_i,)`, in the text teacher's space `(B, E)`."""
        return self.vectors_of_features([log_mel(waveform) for waveform in waveforms])

    def vectors_of_features(self, features: Sequence[NDArray[np.float16]]) -> NDArray[np.float32]:
        """The same for log-mel features `(80, F_i)`."""
        return self.embed(self.transcripts(features))

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of transcripts, written as captions are: in lower case, without a stop; each text is read once."""
        plain = [text.lower().rstrip(".!?") for text in texts]
        if missing := [text for text in dict.fromkeys(plain) if text not in self._vectors]:
            self._vectors.update(zip(missing, self.teacher(missing), strict=True))
        return np.stack([self._vectors[text] for text in plain])

    def _kept(self) -> dict[str, str]:
        return json.loads(self._path.read_text("utf-8")) if self._path.exists() else {}

    def _save(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self._path.with_suffix(f".{os.getpid()}.part")
        temporary.write_text(json.dumps(self._kept() | self._known, ensure_ascii=False), encoding="utf-8")
        temporary.replace(self._path)


def once(text: str) -> str:
    """A transcript without the recogniser's repetitions: of the whole, or, three times or more, of its end."""
    return _REPEATED.sub(lambda match: match[1] or match[2], text, count=1)


class TokensOfText:
    """Condition tokens out of a text's vector, by ridge regression.

    Args:
        texts: vectors of phrases `(N, E)`.
        spoken: what the model makes of the same phrases when they are spoken.
        penalty: of the regression.
    """

    def __init__(self, texts: NDArray[np.float32], spoken: SpeechEmbedding, penalty: float = 3.0) -> None:
        x = np.concatenate([texts, np.ones((len(texts), 1))], axis=1).astype(np.float64)
        parts = {"": spoken.tokens, **spoken.extras}
        self._shapes = {name: tuple(part.shape[1:]) for name, part in parts.items()}
        y = np.concatenate([part.float().flatten(1).numpy() for part in parts.values()], axis=1).astype(np.float64)
        self._weights = np.linalg.solve(x.T @ x + penalty * np.eye(x.shape[1]), x.T @ y)

    def __call__(self, texts: NDArray[np.float32]) -> SpeechEmbedding:
        """The embeddings that stand for these texts `(B, E)`."""
        made = torch.from_numpy(np.concatenate([texts, np.ones((len(texts), 1))], axis=1) @ self._weights).float()
        parts = torch.split(made, [math.prod(shape) for shape in self._shapes.values()], dim=1)
        named = {name: part.reshape(-1, *self._shapes[name]) for name, part in zip(self._shapes, parts, strict=True)}
        return SpeechEmbedding(named.pop(""), torch.from_numpy(texts.copy()), torch.ones(len(texts)), named)
