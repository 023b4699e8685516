"""What sounds nearly alike is found by its phonemes, and other forms of a word are not taken for it."""

from s2i_core.corpus.near_sounding import neighbours

SPELLED = {
    "cat": "kˈæt",
    "cats": "kˈæts",
    "wildcat": "wˈaɪldkæt",
    "catt": "kˈæt",
    "cap": "kˈæp",
    "kit": "kˈɪt",
    "caterpillar": "kˈæɾɚpˌɪlɚ",
    "dog": "dˈɔɡ",
    "owl": "ˈaʊl",
    "a": "ɐ",
}


def near(word, count=2):
    return neighbours([word], list(SPELLED), SPELLED.__getitem__, count).get(word)


def test_the_nearest_come_first_and_then_the_words_in_which_it_is_heard():
    assert near("cat") == ["kit", "cap", "caterpillar"]


def test_what_sounds_the_same_another_form_or_a_kind_of_it_is_no_neighbour():
    assert {"catt", "cats", "wildcat", "cat"}.isdisjoint(near("cat", len(SPELLED)))


def test_a_word_of_one_phoneme_has_none_and_is_none():
    assert near("a") is None
    assert "a" not in near("cat", len(SPELLED))


def test_it_is_the_same_whatever_else_is_asked():
    everything = neighbours(list(SPELLED), list(SPELLED), SPELLED.__getitem__, 3)
    assert all(everything.get(word) == near(word, 3) for word in SPELLED)
