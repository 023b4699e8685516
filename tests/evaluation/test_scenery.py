"""Settings are learnt from composed pictures, and training goes on where it was cut off."""

from __future__ import annotations

import numpy as np
import torch
from tiny import tiny_library

from s2i_core.corpus.compose import SpriteBook, bare_spec, render
from s2i_core.evaluation import scenery
from s2i_core.evaluation.scenery import SETTING_NAMES, SceneryConfig, summarise


def test_it_tells_two_settings_apart_and_resumes(tmp_path):
    book = SpriteBook(tiny_library())
    grounds = ("plain white", "space")
    bare = [bare_spec(np.random.default_rng(n), book, n % 3) for n in range(16)]
    specs = [type(spec)(spec.groups, spec.slots, grounds[n % 2], n) for n, spec in enumerate(bare)]
    pictures = np.stack([render(spec, book, 64)[0] for spec in specs])
    told: list[str] = []
    concepts = book.library.concepts
    for steps in (10, 30):
        config = SceneryConfig(steps=steps, batch=12, save_every=10)
        network = scenery.train(tmp_path, concepts, specs, pictures, config, told.append).eval()
    assert [line.split(",")[0] for line in told] == [
        "scenery: step 10 of 10", "scenery: step 20 of 30", "scenery: step 30 of 30"
    ]  # fmt: skip
    with torch.inference_mode():
        found = network.setting(summarise(network, pictures)).argmax(1).tolist()
    assert sum(SETTING_NAMES[place] == spec.setting for place, spec in zip(found, specs, strict=True)) >= 14
