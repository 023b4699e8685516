"""The lecture test: what is marked can be shown, what is right is in the library, and nothing of it is trained on."""

import numpy as np
import pytest

from s2i_core.corpus.sources import voices
from s2i_core.english.vocabulary import english
from s2i_core.evaluation.lectures import passages as lectures
from s2i_core.evaluation.lectures.passages import line, passages
from s2i_core.evaluation.lectures.spoken import NEURAL, ROBOTIC, TAKES
from s2i_core.models.decoders.native.library import SpriteLibrary
from s2i_core.training.grounding.sentences import FRAMES
from s2i_core.weights import LIBRARY_FOLDER, shipped_checkpoint

SPLITS = ("dev", "test")


def titles():
    return {*SpriteLibrary.load(shipped_checkpoint() / LIBRARY_FOLDER).concepts, *english().concepts}


def test_marks_become_places_in_the_plain_text():
    found = line("An [owl] and a (monk).")
    assert found.text == "An owl and a monk."
    owl, monk = found.mentions
    assert (found.text[owl.start : owl.end], owl.needed, owl.accepted) == ("owl", True, frozenset({"owl"}))
    assert (found.text[monk.start : monk.end], monk.needed) == ("monk", False)


def test_a_thing_is_right_where_its_plain_name_is_said(monkeypatch):
    monkeypatch.setattr(lectures, "_accepted", lambda: {"owls": frozenset({"bird"}), "physicians": frozenset()})
    owls, physicians = line("[Owls] and (physicians).").mentions
    assert owls.accepted == {"owl", "bird"}
    assert physicians.accepted == frozenset()  # a synonym has to be written down


def test_a_thing_without_an_entry_is_refused():
    with pytest.raises(KeyError, match="quasar"):
        line("A [quasar].")


def test_every_accepted_title_is_one_of_a_library_or_of_the_vocabulary():
    accepted = lectures._accepted()
    assert {title for row in accepted.values() for title in row} <= titles()
    used = {
        one.text[mention.start : mention.end].lower()
        for split in SPLITS
        for passage in passages(split)
        for one in passage.lines
        for mention in one.mentions
    }
    assert used == set(accepted)


def test_the_test_is_as_large_as_it_says():
    test = passages("test")
    topics = [passage.topic for passage in test if passage.topic != "nothing"]
    assert len(topics) == len(set(topics)) >= 12
    for passage in test:
        assert 60 <= sum(len(one.text.split()) for one in passage.lines) <= 130, passage.title
        needed = sum(mention.needed for one in passage.lines for mention in one.mentions)
        assert needed >= 4 if passage.topic != "nothing" else not needed, passage.title


def test_dev_and_test_share_no_sentence_and_training_has_none():
    said = [[one.text.lower() for passage in passages(split) for one in passage.lines] for split in SPLITS]
    assert not set(said[0]) & set(said[1])
    # Five words in a row would give a sentence away.
    fives = {tuple(text.split()[n : n + 5]) for lines in said for text in lines for n in range(len(text.split()) - 4)}
    for frame in FRAMES:
        words = frame.split()
        assert not fives & {tuple(words[n : n + 5]) for n in range(len(words) - 4)}, frame


def test_the_voices_are_held_out_and_take_turns():
    trained = set(voices.TRAIN)
    for kind in (NEURAL, ROBOTIC):
        assert not trained & {*kind["dev"], *kind["test"]}
        assert not set(kind["dev"]) & set(kind["test"])
        assert all(len(names) >= TAKES for names in kind.values())
    between = {name for voice in NEURAL["test"] for name in voice.partition(":")[2].split("&")}
    assert not between & set(np.concatenate([voices.KOKORO_TRAIN, voices.KOKORO_DEV]))
