"""The spoken sentences of the blind test, made once and kept in the package (`sentences/`).

They are synthetic speech of test voices; `make` is how they were made and needs the training packages.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from s2i_core.audio.decode import decode
from s2i_core.audio.features import SAMPLING_RATE_HZ
from s2i_core.config import AudioConfig

_VECTORS = "captions.safetensors"


def folder() -> Path:
    """Where they lie."""
    return Path(str(resources.files("s2i_core.evaluation"))) / "sentences"


def load() -> tuple[list[NDArray[np.float32]], NDArray[np.float32]]:
    """Waveforms at 16 kHz, and the text teacher's vectors of the captions `(40, 384)`."""
    waveforms = []
    for path in sorted(folder().glob("*.opus")):
        with path.open("rb") as file:
            waveforms.append(np.concatenate(list(decode(file, path.name, AudioConfig()))))
    return waveforms, load_file(folder() / _VECTORS)["captions"]


def make(sentences: tuple[tuple[str, str], ...]) -> None:
    """Say the sentences that are not there yet, in turn with the neural test voices, and embed the captions."""
    from s2i_core.corpus.augment import resample
    from s2i_core.corpus.sources.voices import KOKORO_TEST, voice_named
    from s2i_core.corpus.teacher import TextTeacher

    folder().mkdir(parents=True, exist_ok=True)
    for i, (sentence, _) in enumerate(sentences):
        voice = KOKORO_TEST[i % len(KOKORO_TEST)]
        path = folder() / f"{i:02d}-{voice}.opus"
        if not path.exists():
            waveform, rate_hz = voice_named(f"kokoro:{voice}").say(sentence)
            _write_opus(path, resample(waveform, rate_hz, SAMPLING_RATE_HZ))
    save_file({"captions": TextTeacher()([caption for _, caption in sentences])}, folder() / _VECTORS)


def _write_opus(path: Path, waveform: NDArray[np.float32]) -> None:
    temporary = path.with_suffix(".part")
    with av.open(str(temporary), "w", format="ogg") as container:
        stream = container.add_stream("libopus", rate=SAMPLING_RATE_HZ, layout="mono", options={"b": "32000"})
        samples = (waveform.clip(-1, 1) * 32767).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.sample_rate = SAMPLING_RATE_HZ
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    temporary.rename(path)
