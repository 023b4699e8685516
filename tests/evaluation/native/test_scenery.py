"""Settings are learnt from composed pictures, and training goes on where it was cut off."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny import tiny_library

from s2i_core.corpus.compose import SpriteBook, bare_spec, render
from s2i_core.evaluation.native import scenery
from s2i_core.evaluation.native.scenery import SETTING_NAMES, SceneryConfig, summarise
from s2i_core.learning import checkpoint


def test_it_tells_two_settings_apart_and_ends_as_if_it_had_not_been_cut_off(tmp_path, monkeypatch):
    book = SpriteBook(tiny_library())
    grounds = ("plain white", "space")
    bare = [bare_spec(np.random.default_rng(n), book, n % 3) for n in range(16)]
    specs = [type(spec)(spec.groups, spec.slots, grounds[n % 2], n) for n, spec in enumerate(bare)]
    pictures = np.stack([render(spec, book, 64)[0] for spec in specs])
    told: list[str] = []
    concepts = book.library.concepts
    config = SceneryConfig(steps=30, batch=12, save_every=10)

    def train(folder):
        return scenery.train(tmp_path / folder, concepts, specs, pictures, config, told.append)

    def cut(*state):
        save(*state)
        raise InterruptedError

    save = checkpoint.save
    with monkeypatch.context() as patch, pytest.raises(InterruptedError):
        patch.setattr(checkpoint, "save", cut)
        train("cut")
    network = train("cut")
    assert [line.split()[:2] for line in told] == [["scenery", "step=0"], ["scenery", "step=20"]]
    for name, weight in train("whole").state_dict().items():
        assert torch.equal(weight, network.state_dict()[name]), name
    with torch.inference_mode():
        found = network.setting(summarise(network, pictures)).argmax(1).tolist()
    assert sum(SETTING_NAMES[place] == spec.setting for place, spec in zip(found, specs, strict=True)) >= 14
