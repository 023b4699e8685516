import numpy as np

from s2i_core.corpus.backgrounds import SETTING_NAMES, SETTINGS
from s2i_core.models.decoders.native.places import PLACES, WITHOUT_SKY, fitted, named, place_of

NAMES = tuple(PLACES)


def heard(**logits: float) -> np.ndarray:
    return np.array([logits.get(name, -8.0) for name in NAMES], np.float32)


def test_they_are_the_settings_that_captions_name_in_their_order() -> None:
    assert NAMES == SETTING_NAMES
    for name, setting in SETTINGS.items():
        assert (setting.horizon, setting.times) == (PLACES[name].horizon, PLACES[name].times)


def test_a_place_in_which_things_cannot_be_gives_way_to_one_in_which_they_can() -> None:
    unsure = heard(sky=1.0, grass=0.0)
    assert NAMES[fitted(unsure, [("ground", 2.0)]).argmax()] == "grass"
    assert NAMES[fitted(unsure, [("sky", 40.0), ("air", 1.0)]).argmax()] == "sky"
    assert NAMES[fitted(heard(table=1.0, city=0.5), [("ground", 25.0)]).argmax()] == "city"
    assert NAMES[fitted(heard(table=1.0, city=0.5), [("ground", 0.2)]).argmax()] == "table"


def test_a_place_that_was_clearly_heard_stays() -> None:
    assert NAMES[fitted(heard(sea=6.0, grass=0.0), [("ground", 2.0)]).argmax()] == "sea"


def test_a_model_of_other_places_has_a_stage_too() -> None:
    assert (fitted(np.float32([1, 2]), [("ground", 2.0)]) == [1, 2]).all()
    assert place_of(1, 2).stage == place_of(0, 0).stage
    assert place_of(NAMES.index("sea"), len(NAMES)).stage.water


def test_a_place_has_a_time_of_day_where_one_sees_the_sky() -> None:
    assert named(NAMES.index("beach"), 1) == ("beach", "sunset")
    assert named(NAMES.index("room"), 1) == ("room", None)
    assert named(len(NAMES), 0) == (None, None)
    assert WITHOUT_SKY.isdisjoint(name for name, place in PLACES.items() if len(place.times) > 1)


def test_things_speak_for_the_places_where_one_expects_them() -> None:
    near = heard(city=0.5, underwater=0.0)
    assert NAMES[fitted(near, [("water", 0.5)] * 2, ["sea", "sea"]).argmax()] == "underwater"
    assert NAMES[fitted(heard(city=3.0, underwater=0.0), [("water", 0.5)] * 4, ["sea"] * 4).argmax()] == "city"
