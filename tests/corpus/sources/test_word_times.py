"""When each word is heard: out of the lengths of phonemes, and out of what the engines tell."""

import numpy as np
import pytest

from s2i_core.corpus.sources.voices import Espeak
from s2i_core.corpus.sources.word_times import TimedWord, aligned, timed_words, with_output

SOUNDS = {"of": "ʌv", "the": "ðə", "owl": "aʊl", "1984": "naɪntiːn", "didn't": "dɪdnt"}


def in_tenths(phonemes):
    return [(n / 10, (n + 1) / 10) for n in range(len(phonemes))]


def test_words_that_are_said_in_one_are_told_apart():
    # "of the" is one word to the phonemizer, with a stress mark and another vowel than the words have alone.
    phonemes = "ˈəvðə aʊl."
    words = timed_words("of the owl.", phonemes, in_tenths(phonemes), SOUNDS.__getitem__)
    assert words == (TimedWord(0, 2, 0.1, 0.3), TimedWord(3, 6, 0.3, 0.5), TimedWord(7, 10, 0.6, 0.9))


def test_what_is_read_out_in_several_words_is_one():
    phonemes = "naɪn tiːn aʊl"
    words = timed_words("1984 - owl", phonemes, in_tenths(phonemes), SOUNDS.__getitem__)
    assert [(word.start, word.end) for word in words] == [(0, 4), (7, 10)]
    assert words[0].end_s == pytest.approx(0.9)


def test_apostrophes_are_inside_of_words():
    phonemes = "dɪdnt"
    assert timed_words("didn't", phonemes, in_tenths(phonemes), SOUNDS.__getitem__) == (TimedWord(0, 6, 0.0, 0.5),)


@pytest.mark.parametrize(
    ("a", "b", "pairs"),
    [
        ("abc", "abc", [(0, 0), (1, 1), (2, 2)]),
        ("abc", "ac", [(0, 0), (2, 1)]),
        ("ac", "abc", [(0, 0), (1, 2)]),
        ("abc", "axc", [(0, 0), (1, 1), (2, 2)]),
        ("", "abc", []),
        ("abc", "", []),
    ],
)
def test_the_cheapest_edit_pairs_what_is_alike(a, b, pairs):
    assert aligned(a, b) == pairs


def test_an_edit_costs_as_much_as_by_the_textbook():
    def distance(a, b):
        row = list(range(len(b) + 1))
        for n, one in enumerate(a, 1):
            before, row = row, [n]
            for m, other in enumerate(b, 1):
                row.append(min(before[m] + 1, row[-1] + 1, before[m - 1] + (one != other)))
        return row[-1]

    rng = np.random.default_rng(0)
    for _ in range(50):
        a, b = ("".join(rng.choice(list("abcd"), rng.integers(1, 12))) for _ in range(2))
        pairs = aligned(a, b)
        unequal = sum(a[n] != b[m] for n, m in pairs)
        assert unequal + len(a) + len(b) - 2 * len(pairs) == distance(a, b)


def message(number, content):
    """A field of a protocol buffer that holds another message."""
    return bytes([number << 3 | 2, len(content)]) + content


def test_an_inner_value_of_a_model_becomes_an_output():
    runtime = pytest.importorskip("onnxruntime")
    # y = -x, z = -y: a model of a version, a set of operators, and a graph of two nodes.
    edges = ((b"x", b"y"), (b"y", b"z"))
    nodes = [message(1, source) + message(2, target) + message(4, b"Neg") for source, target in edges]
    floats = message(2, message(1, b"\x08\x01" + message(2, message(1, message(2, b"n")))))
    graph = b"".join(message(1, node) for node in nodes) + message(2, b"graph")
    graph += message(11, message(1, b"x") + floats) + message(12, message(1, b"z") + floats)
    model = b"\x08\x08" + message(8, b"\x10\x0d") + message(7, graph)
    x = np.array([1.0, 2.0], np.float32)
    (z,) = runtime.InferenceSession(model).run(None, {"x": x})
    z_too, y = runtime.InferenceSession(with_output(model, "y")).run(None, {"x": x})
    np.testing.assert_array_equal(z, z_too)
    np.testing.assert_array_equal(y, -x)


def test_espeak_tells_when_it_says_each_word():
    pytest.importorskip("espeakng_loader")
    text = "the owl, at last, sat on a ladder"
    spoken = Espeak("en-us+f3").say_timed(text)
    words = {text[word.start : word.end].strip(","): word for word in spoken.words}
    assert list(words) == ["the", "owl", "at", "last", "sat", "on", "a", "ladder"]
    loud = np.abs(spoken.waveform)
    for word in (words["owl"], words["ladder"]):
        part = loud[round(word.start_s * spoken.rate_hz) : round(word.end_s * spoken.rate_hz)]
        assert part.max() > 0.05
    starts = [word.start_s for word in spoken.words]
    assert starts == sorted(starts)
    assert spoken.words[-1].end_s == pytest.approx(len(spoken.waveform) / spoken.rate_hz)
    alone, rate_hz = Espeak("en-us+f3").say(text)
    assert (len(alone), rate_hz) == (len(spoken.waveform), spoken.rate_hz)
