"""Sound that names nothing: of each kind something, loud enough to be listened to."""

import numpy as np

from s2i_core.evaluation.lectures import unnamed
from s2i_core.evaluation.lectures.spoken import Lecture


def test_there_is_something_of_each_kind(monkeypatch):
    def speak(script, voice):
        assert not any(line.mentions for line in script.lines)
        sound = np.full(16000 * len(script.lines), 0.1, np.float32)
        return Lecture(script.title, script.topic, voice, sound, (), ())

    monkeypatch.setattr(unnamed, "speak", speak)
    found, again = list(unnamed.sounds()), list(unnamed.sounds())
    kinds = {each.title for each in found}
    assert {"names", "letters and numbers", "two at once", "coughs", "singing", "laughter"} <= kinds
    assert len(found) == 2 * len(kinds)
    for each, other in zip(found, again, strict=True):
        np.testing.assert_array_equal(each.sound, other.sound)
        assert each.sound.dtype == np.float32
        assert 0.05 < np.abs(each.sound).max() < 1
