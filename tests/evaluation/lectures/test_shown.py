"""What pictures of a lecture show is set against what is said in their scenes."""

import numpy as np
from tiny import tiny_pipeline

from s2i_core.config import changed
from s2i_core.evaluation.lectures import shown
from s2i_core.evaluation.lectures.heard import hear
from s2i_core.evaluation.lectures.score import TimedMention
from s2i_core.evaluation.lectures.shown import Picture, named_in
from s2i_core.evaluation.lectures.spoken import Lecture
from s2i_core.presets import cpu


def mention(start_s, title, needed=True):
    return TimedMention(start_s, start_s + 0.5, frozenset([title]), needed)


def test_a_thing_is_right_where_its_scene_names_it():
    picture = Picture(10.0, 20.0, ("owl", "ship", "fox"))
    said = [mention(12, "owl"), mention(30, "ship"), mention(20.3, "fox", needed=False)]
    assert named_in(picture, said) == (True, False, True)


def test_lectures_are_heard_planned_and_counted(monkeypatch, tmp_path):
    tiny_pipeline(grounded=True).save_pretrained(tmp_path)
    config = changed(cpu(), {"model.checkpoint": str(tmp_path)})
    lecture = Lecture("t", "topic", "v", np.zeros(16000 * 60, np.float32), (mention(12, "owl"),), ())
    model = tiny_pipeline(grounded=True).model
    heard = hear(model, config, lecture, lecture.sound)
    found = shown.measure(model, config, [heard])
    assert (found.pictures, found.a_minute, found.minutes, found.right) == (0, 0.0, 1.0, [])

    told = [Picture(10.0, 20.0, ("owl", "ship")), Picture(20.0, 30.0, ("owl",))]
    monkeypatch.setattr(shown, "pictures", lambda *_: told)
    nothing = hear(model, config, Lecture("n", "nothing", "v", lecture.sound, (), ()), lecture.sound)
    found = shown.measure(model, config, [heard, nothing])
    assert (found.pictures, found.a_minute, found.a_minute_of_names) == (4, 2.0, 2.0)
    assert found.right == [True, False, False, False]
    assert found.things_right == [True, False, False, False, False, False]
    assert found.heard_s_a_minute > 0
