"""From spoken sentences to a grounding: shards resume, times hold through speed and pauses, and windows are learned."""

import json

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from torch.nn import functional as F
from typer.testing import CliRunner

from s2i_core.audio.features import SAMPLING_RATE_HZ
from s2i_core.corpus.sources import wordnet
from s2i_core.corpus.sources.voices import UnspeakableText
from s2i_core.corpus.sources.word_times import Spoken, TimedWord
from s2i_core.corpus.speech_set import Utterance
from s2i_core.english.vocabulary import Concept, Name
from s2i_core.errors import ConfigError
from s2i_core.hearing import CROP_S, FRAMES_HZ
from s2i_core.models.parts import load_part
from s2i_core.models.speech.grounding import Grounding
from s2i_core.pipeline import SpeechToImagePipeline
from s2i_core.training import library as libraries
from s2i_core.training.grounding import __main__ as command
from s2i_core.training.grounding import frames, spoken, trainer
from s2i_core.training.grounding.frames import NOTHING, TimedName
from s2i_core.training.grounding.trainer import GroundingConfig, Windows
from tests.tiny import tiny_pipeline

PITCHES_HZ = {"owl": 400.0, "ship": 1600.0}
CAPTIONS = ["an owl", "a ship"]


class Beeper:
    """Says every word in half a second: a tone of its own for what can be named, silence for the rest."""

    spoken = 0

    def __init__(self, utterance):
        self._utterance = utterance

    def say_timed(self, text):
        type(self).spoken += 1
        if text == "...":
            raise UnspeakableText("beeper", "nothing", "say something")
        rate_hz = 16_000
        time_s = np.arange(rate_hz // 2) / rate_hz
        sounds, words, at = [], [], 0
        for number, word in enumerate(text.split()):
            hz = PITCHES_HZ.get(word)
            sounds.append(0.3 * np.sin(2 * np.pi * hz * time_s) if hz else np.zeros(len(time_s)))
            words.append(TimedWord(at, at + len(word), number / 2, (number + 1) / 2))
            at += len(word) + 1
        return Spoken(np.concatenate(sounds).astype(np.float32), rate_hz, tuple(words))


@pytest.fixture
def lexicon(monkeypatch):
    for name in ("nouns", "other_words", "adverbs"):
        monkeypatch.setattr(wordnet, name, frozenset)
    from s2i_core.corpus.lexicon import Lexicon

    return Lexicon([Concept("", (Name(name, f"{name}s", "count"),), "thing", "plain") for name in PITCHES_HZ], {})


def utterances(count=12):
    texts = ["so the owl is it", "we had a ship", "well and so on", "ship and then an owl"]
    return [Utterance(n, texts[n % len(texts)], "beep:one") for n in range(count)]


def test_speech_is_made_once_and_read_with_its_times(tmp_path, monkeypatch):
    monkeypatch.setattr(Beeper, "spoken", 0)
    said = [*utterances(3), Utterance(3, "...", "beep:one")]
    spoken.speak(said, tmp_path, shard_size=2, voice_of=Beeper)
    assert Beeper.spoken == 4
    spoken.speak([*said, Utterance(4, "an owl", "beep:one")], tmp_path, shard_size=2, voice_of=Beeper)
    assert Beeper.spoken == 5
    shards = sorted(tmp_path.glob("shard-*.safetensors"))
    assert len(shards) == 3
    first, second = spoken.read(shards[0])
    assert (first.text, second.text, second.voice) == ("so the owl is it", "we had a ship", "beep:one")
    assert [second.text[word.start : word.end] for word in second.words] == ["we", "had", "a", "ship"]
    assert second.words[3].start_s == pytest.approx(1.5)
    loud = np.flatnonzero(np.abs(second.waveform) > 0.1) / SAMPLING_RATE_HZ
    assert loud.min() == pytest.approx(1.5, abs=0.01)
    assert len(list(spoken.read(shards[1]))) == 1  # what has no sound is left out


def test_the_times_of_names_are_those_of_their_sound(tmp_path, lexicon, monkeypatch):
    monkeypatch.setattr(frames, "CHANNEL", frames.CHANNEL.model_copy(update=dict.fromkeys(
        ("room_probability", "noise_probability", "telephone_probability", "gain_probability"), 0.0)))  # fmt: skip
    spoken.speak(utterances(), tmp_path, shard_size=20, voice_of=Beeper)
    said = list(spoken.read(next(tmp_path.glob("shard-*.safetensors"))))
    made = list(frames.crops(said, lexicon, np.random.default_rng(0)))
    assert len(made) > 1
    assert sum(len(one.names) for one in made) == 12
    for one in made:
        assert len(one.sound) <= CROP_S * SAMPLING_RATE_HZ
        loud = np.zeros(len(one.sound), bool)
        for name in one.names:
            start, end = round(name.start_s * SAMPLING_RATE_HZ), round(name.end_s * SAMPLING_RATE_HZ)
            assert np.abs(one.sound[start:end]).mean() > 0.1
            loud[max(0, start - 200) : end + 200] = True
        assert np.abs(one.sound[~loud]).max(initial=0) < 0.05


def test_a_name_that_nobody_can_tell_has_no_caption(lexicon, monkeypatch):
    monkeypatch.setattr(wordnet, "other_words", lambda: frozenset({"ship"}))
    places = ((0, 4), (5, 9), (10, 12), (13, 16))
    words = tuple(TimedWord(start, end, start / 10, end / 10) for start, end in places)
    said = spoken.Said("they ship an owl", "beep", np.zeros(1, np.float32), words)
    assert list(frames.named(said, lexicon)) == [TimedName(0.5, 0.9, None), TimedName(1.3, 1.6, "an owl")]


def test_what_only_sounds_like_a_thing_is_kept_with_its_time(lexicon):
    words = tuple(TimedWord(start, end, start / 10, end / 10) for start, end in ((0, 2), (3, 6), (7, 10), (11, 15)))
    said = spoken.Said("Mr Owl saw ship", "beep", np.zeros(1, np.float32), words)
    assert list(frames.named(said, lexicon)) == [
        TimedName(0.0, 0.2, NOTHING),
        TimedName(0.3, 0.6, NOTHING),
        TimedName(1.1, 1.5, "a ship"),
    ]


@pytest.fixture
def encoded(tmp_path, lexicon):
    spoken.speak(utterances(24), tmp_path / "speech", shard_size=12, voice_of=Beeper)
    encoder = tiny_pipeline().speech_encoder.eval()
    for take in (0, 1):
        frames.build(tmp_path / "speech", tmp_path / "frames" / "espeak", lexicon, encoder, take)
    return tmp_path / "frames" / "espeak"


def test_each_take_has_shards_of_its_own(encoded, lexicon, monkeypatch):
    shards = sorted(encoded.glob("shard-*.safetensors"))
    assert [path.stem[-2:] for path in shards] == ["-0", "-1", "-0", "-1"]
    found = [frames.read_frames(path) for path in shards]
    for one in found:
        assert one.frames.shape == (len(one.names), round(CROP_S * FRAMES_HZ), 8)
        assert (one.durations_s > 1).all()
    assert not np.array_equal(found[0].frames[0], found[1].frames[0])
    monkeypatch.setattr(frames, "_write", None)  # nothing is made again
    frames.build(encoded.parents[1] / "speech", encoded, lexicon, tiny_pipeline().speech_encoder)


@pytest.fixture
def easy(tmp_path):
    """Frames in which an owl is a one in the first place, a ship in the second; both are named once a crop."""
    rng = np.random.default_rng(0)
    made = 0.1 * rng.standard_normal((20, round(CROP_S * FRAMES_HZ), 8)).astype(np.float16)
    names = []
    for crop in range(len(made)):
        starts_s = rng.permutation([2.0, 5.0, 8.0])[:2]
        names.append([(start_s, start_s + 0.4, caption) for start_s, caption in zip(starts_s, CAPTIONS, strict=True)])
        for place, start_s in enumerate(starts_s):
            made[crop, round(start_s * FRAMES_HZ) : round((start_s + 0.4) * FRAMES_HZ), place] += 1
    (tmp_path / "espeak").mkdir()
    tensors = {"frames": made, "durations_s": np.full(len(made), CROP_S, np.float32)}
    save_file(tensors, tmp_path / "espeak" / "shard-0.safetensors", {"names": json.dumps(names)})
    return tmp_path / "espeak"


def test_windows_are_where_names_are_and_where_none_is(easy):
    config = GroundingConfig(named=6, empty=4, widths_s=(0.4,), jitter_s=0.0)
    windows = Windows([easy], CAPTIONS, config)
    assert len(windows) == 40
    slices, numbers = windows.batch(np.random.default_rng(0))
    assert slices.shape == (10, 10, 8)
    assert set(numbers[:6].tolist()) == {0, 1}
    assert (numbers[6:] == -1).all()
    means = slices.mean(1)
    assert all(means[row, number] > 0.9 for row, number in enumerate(numbers[:6]))
    assert (means[6:] < 0.5).all()
    with pytest.raises(ConfigError, match="no frames with names"):
        Windows([easy], ["a tractor"], config)


def test_an_empty_window_is_drawn_the_more_often_where_something_only_sounds_like_a_thing(easy):
    frames_file = next(easy.glob("*.safetensors"))
    read = frames.read_frames(frames_file)
    # What was an owl is now somebody's name.
    listed = [
        [(n.start_s, n.end_s, NOTHING if n.caption == CAPTIONS[0] else n.caption) for n in of] for of in read.names
    ]
    save_file({"frames": read.frames, "durations_s": read.durations_s}, frames_file, {"names": json.dumps(listed)})
    shares = []
    for weight in (1.0, 50.0):
        config = GroundingConfig(named=1, empty=300, widths_s=(0.4,), mix=0.0, seeming=weight)
        slices, numbers = Windows([easy], CAPTIONS, config).batch(np.random.default_rng(0))
        assert (numbers[1:] == -1).all()
        shares.append(float((slices[1:].mean(1)[:, 0] > 0.6).float().mean()))
    assert shares[0] < 0.2
    assert shares[1] > 0.4


def test_rare_names_are_drawn_as_often_where_that_is_wanted(easy):
    frames_file = next(easy.glob("*.safetensors"))
    read = frames.read_frames(frames_file)
    names = [of_crop if crop == 0 else of_crop[:1] for crop, of_crop in enumerate(read.names)]
    listed = [[(name.start_s, name.end_s, name.caption) for name in of_crop] for of_crop in names]
    tensors = {"frames": read.frames, "durations_s": read.durations_s}
    save_file(tensors, frames_file, {"names": json.dumps(listed)})
    for balance, least, most in ((0.0, 0.0, 0.15), (1.0, 0.35, 0.65)):
        windows = Windows([easy], CAPTIONS, GroundingConfig(named=400, empty=1, balance=balance))
        _, numbers = windows.batch(np.random.default_rng(0))
        assert least <= (numbers[:400] == 1).float().mean() <= most


def interrupted_after(calls, function):
    """The function, and Ctrl-C at the next call."""
    made = iter(range(calls))

    def wrapped(*args):
        if next(made, None) is None:
            raise KeyboardInterrupt
        return function(*args)

    return wrapped


def test_it_learns_what_is_named_and_goes_on_where_it_was_cut_off(easy, tmp_path, monkeypatch):
    torch.manual_seed(0)
    vectors = F.normalize(torch.randn(2, 8), dim=1).numpy()
    fast = {"steps": 80, "named": 16, "empty": 8, "lr": 1e-2, "warmup": 5, "save_every": 40}
    config = GroundingConfig(**fast, dtype="float32", alike=0.0, mix=0.0)

    def grounding():
        torch.manual_seed(1)
        return Grounding(8, 1, 2, 16, 2, 8)

    def run(folder, model):
        trainer.train([easy], tmp_path / folder, model, CAPTIONS, vectors, config)

    whole = grounding()
    run("whole", whole)
    batch = Windows([easy], CAPTIONS, config).batch(np.random.default_rng(99))
    with torch.no_grad():
        logits = whole.logits(whole(batch[0]), torch.from_numpy(vectors))
    assert (logits.argmax(1) == batch[1] % 3).float().mean() > 0.9
    assert sorted(path.name for path in (tmp_path / "whole").glob("step-*")) == ["step-00040", "step-00080"]
    assert load_part(tmp_path / "whole" / "step-00080", Grounding).config.num_queries == 2
    with monkeypatch.context() as patch:
        patch.setattr(Windows, "batch", interrupted_after(60, Windows.batch))
        with pytest.raises(KeyboardInterrupt):
            run("cut", grounding())
    resumed = grounding()
    run("cut", resumed)
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], value)


def test_the_target_is_spread_over_what_is_alike():
    torch.manual_seed(0)
    things = F.normalize(torch.tensor([[1.0, 0.1], [1.0, 0.0], [-1.0, 0.0]]), dim=1)
    grounding = Grounding(8, 1, 2, 16, 2, 2)
    slices, numbers = torch.randn(2, 10, 8), torch.tensor([0, -1])
    logits = grounding.logits(grounding(slices), things)
    config = GroundingConfig(alike=0.4, alike_temperature=0.1)
    loss, _ = trainer.losses(grounding, slices, numbers, things, config)
    spread = torch.softmax(things[0] @ things.T / 0.1, 0)
    named = 0.6 * torch.tensor([1.0, 0, 0, 0]) + 0.4 * F.pad(spread, (0, 1))
    target = torch.stack([named, torch.tensor([0, 0, 0, 1.0])])
    torch.testing.assert_close(loss, -(target * logits.log_softmax(1)).sum(1).mean())


def test_a_checkpoint_gets_it_with_the_things_of_its_library(tmp_path, monkeypatch):
    others = np.eye(8, dtype=np.float32)[:5]
    monkeypatch.setattr(libraries, "other_nouns", lambda drawn: others)
    checkpoint = tmp_path / "checkpoint"
    tiny_pipeline().save_pretrained(checkpoint)
    Grounding(8, 1, 2, 16, 4, 8, slope=0.5).save_pretrained(tmp_path / "trained")
    told = CliRunner().invoke(command.app, ["export", str(tmp_path / "trained"), str(checkpoint)])
    assert told.exit_code == 0, told.output
    assert told.output.startswith("3 things to be heard among 5 others")
    assert str(tmp_path) not in (checkpoint / "grounding" / "config.json").read_text()
    loaded = SpeechToImagePipeline.from_pretrained(checkpoint)
    assert loaded.grounding.config.slope == 0.5
    assert loaded.vocabulary.titles == ["red", "green", "blue"]
    np.testing.assert_allclose(loaded.vocabulary.vectors, loaded.library.vectors, atol=1e-3)
    np.testing.assert_allclose(loaded.vocabulary.others, others, atol=1e-3)


def test_mixing_takes_on_the_sound_of_other_crops_and_keeps_what_is_said(easy):
    plain = GroundingConfig(named=16, empty=8, mix=0.0)
    mixed = GroundingConfig(named=16, empty=8, mix=1.0)
    frames_of = {name: Windows([easy], CAPTIONS, config) for name, config in (("plain", plain), ("mixed", mixed))}
    (as_said, numbers), (as_heard, same) = (frames_of[name].batch(np.random.default_rng(3)) for name in frames_of)
    assert torch.equal(numbers, same)
    assert not torch.allclose(as_said, as_heard, atol=1e-2)
    # A window is shifted and stretched as a whole, so what changes within it still does.
    centred = [x - x.mean(1, keepdim=True) for x in (as_said, as_heard)]
    moving = centred[0].flatten(1).norm(dim=1) > 1e-3
    assert moving.any()
    assert (F.cosine_similarity(*(x.flatten(1) for x in centred))[moving] > 0.7).all()


def test_it_goes_on_from_a_grounding_and_forgets_what_that_was_calibrated_for(tmp_path, monkeypatch, lexicon):
    began = Grounding(8, 1, 2, 16, 2, 8, slope=0.5, offset=-1.0, limits=((0.85, 0.4),))
    began.save_pretrained(tmp_path / "began")
    given = []
    monkeypatch.setattr(command.lexicon, "shipped", lambda: lexicon)
    monkeypatch.setattr(command, "TextTeacher", lambda: lambda captions: np.eye(8, dtype=np.float32)[: len(captions)])
    monkeypatch.setattr(command.trainer, "train", lambda _, __, grounding, *___: given.append(grounding))
    (tmp_path / "frames").mkdir()
    arguments = ["train", str(tmp_path / "frames"), str(tmp_path / "out"), "--start", str(tmp_path / "began")]
    told = CliRunner().invoke(command.app, arguments)
    assert told.exit_code == 0, told.output
    torch.testing.assert_close(given[0].state_dict(), began.state_dict())
    assert (given[0].config.slope, given[0].config.offset, list(given[0].config.limits)) == (1.0, 0.0, [])


def test_the_mean_of_two_groundings_is_between_them_and_uncalibrated(tmp_path):
    torch.manual_seed(0)
    both = [Grounding(8, 1, 2, 16, 2, 8, slope=0.5, limits=((0.85, 0.4),)) for _ in range(2)]
    for name, one in zip(("before", "after"), both, strict=True):
        one.save_pretrained(tmp_path / name)
    folders = [str(tmp_path / name) for name in ("before", "after", "mean")]
    told = CliRunner().invoke(command.app, ["mean", *folders, "--share", "0.25"])
    assert told.exit_code == 0, told.output
    made = load_part(tmp_path / "mean", Grounding)
    for name, value in made.state_dict().items():
        torch.testing.assert_close(value, 0.75 * both[0].state_dict()[name] + 0.25 * both[1].state_dict()[name])
    assert (made.config.slope, list(made.config.limits)) == (1.0, [])
