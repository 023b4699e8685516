"""Which pictures become chapters."""

import itertools
import json

import pytest

from packs.episodes import episode, picture
from s2i_core.packs.episode import Episode, plain, title_of
from s2i_core.packs.json_chapters import json_chapters, timestamps
from s2i_core.packs.selection import RULES, chapters


def told(made):
    return [(each.start_s, each.title) for each in made]


def test_all_shows_every_picture_and_says_each_title_once(tmp_path):
    made = chapters(episode(tmp_path, "Cow", "Cow", "", "Boat"), RULES["all"])
    assert told(made) == [(0, "Cow"), (10, ""), (20, ""), (30, "Boat")]
    assert [each.end_s for each in made] == [10, 20, 30, 40]
    assert all(each.picture for each in made)


def test_where_a_picture_ends_and_none_follows_the_artwork_comes_back(tmp_path):
    pictures = [picture(tmp_path, 0, 2, 10, "Cow"), picture(tmp_path, 1, 30, 35, "Boat")]
    made = chapters(Episode("r", "Talk", 60, pictures), RULES["all"])
    assert [(each.start_s, each.picture is None) for each in made] == [(2, False), (10, True), (30, False), (35, True)]


def test_apple_takes_at_most_six_an_hour_from_the_start_and_three_at_least(tmp_path):
    hour = episode(tmp_path, *(f"Thing {number}" for number in range(120)), each_s=30, first_s=3)
    made = chapters(hour, RULES["apple"])
    assert len(made) == 6 and made[0].start_s == 0
    assert not any(each.silent for each in made)
    assert min(each.end_s - each.start_s for each in made) >= 10
    assert chapters(episode(tmp_path, "Cow", "Boat", each_s=30), RULES["apple"]) == []
    assert len(chapters(episode(tmp_path, "Cow", "Boat", "Sun", each_s=30), RULES["apple"])) == 3
    assert chapters(episode(tmp_path, "", "", "", "", each_s=30), RULES["apple"]) == []


def test_the_better_of_two_pictures_is_chosen(tmp_path):
    pictures = [
        picture(tmp_path, number, number * 60.0, number * 60.0 + 60, f"T{number}", score=0.1 + (number in {1, 3, 5}))
        for number in range(6)
    ]
    made = chapters(Episode("r", "Talk", 360, pictures), RULES["apple"])
    assert [each.title for each in made] == ["T1", "T3", "T5"]


def test_spotify_wants_thirty_seconds_and_short_titles(tmp_path):
    titles = [f"{number} a dragon, a castle and a very long road home" for number in range(30)]
    made = chapters(episode(tmp_path, *titles, each_s=10), RULES["spotify"])
    assert len(made) >= 3
    assert min(each.end_s - each.start_s for each in made) >= 30
    assert max(len(each.title) for each in made) < 40


def test_chapters_that_the_recording_brings_along_stay(tmp_path):
    made = chapters(episode(tmp_path, "Cow", "Boat", "Sun"), RULES["all"], [(0, "Welcome"), (12.5, "Farewell")])
    assert told(made) == [(0, "Welcome"), (10, ""), (12.5, "Farewell"), (20, "")]
    assert made[2].picture is not None and made[2].picture.title == "Boat"


@pytest.mark.parametrize("rules", RULES)
def test_no_picture_and_five_thousand(tmp_path, rules):
    assert chapters(Episode("r", "Talk", 60, []), RULES[rules]) == []
    shown = picture(tmp_path, 0, 0, 1, "Cow")
    many = [
        type(shown)(**{**vars(shown), "start_s": 7.2 * number, "end_s": 7.2 * number + 7.2, "title": f"T{number}"})
        for number in range(5000)
    ]
    made = chapters(Episode("r", "Talk", 36_000, many), RULES[rules])
    assert {"all": 5000, "apple": 60}.get(rules, len(made)) == len(made)
    assert all(first.end_s == second.start_s for first, second in itertools.pairwise(made))


def test_titles_are_plain_text_of_any_script():
    assert title_of({"alt": "A cow on a farm."}, {"things": ["pig"]}) == "A cow on a farm"
    assert title_of({"alt": None}, {"things": ["cow", "barn", "tree", "cow"]}) == "Cow, barn and tree"
    assert title_of({}, {"things": None}) == title_of({}, {}) == ""
    assert plain("a\x00b\n\tc\u202e") == "a b c"
    assert plain("שלום עולם") == "שלום עולם"
    assert plain("👩\u200d🌾 farmer") == "👩\u200d🌾 farmer"
    assert len(plain("x" * 10_000)) == 120


def test_json_chapters_are_silent_where_only_the_picture_changes(tmp_path):
    made = chapters(episode(tmp_path, 'Cow "x" <b>', "", "שלום"), RULES["all"])
    document = json.loads(json_chapters(made, "https://cdn.example.org/packs/f/"))
    assert document["version"] == "1.2.0"
    assert [(one["startTime"], one.get("title"), one.get("toc")) for one in document["chapters"]] == [
        (0, 'Cow "x" <b>', None),
        (10, None, False),
        (20, "שלום", None),
    ]
    assert document["chapters"][0]["img"] == "https://cdn.example.org/packs/f/images/0.jpg"
    assert timestamps(made).decode().splitlines() == ['(00:00) Cow "x" <b>', "(00:20) שלום"]
