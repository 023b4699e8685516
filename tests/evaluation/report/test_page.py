"""The page and the card say what was measured, and load nothing from elsewhere."""

from __future__ import annotations

import re

import numpy as np
import pytest

from s2i_core.config import ImageConfig
from s2i_core.evaluation.report.card import card
from s2i_core.evaluation.report.page import page
from s2i_core.evaluation.report.targets import TARGETS, compare
from s2i_core.evaluation.statistics import Figure, Part, Table, cell, share
from s2i_core.publish.images import encode_image
from s2i_core.results import write_result


@pytest.fixture
def parts():
    figures = {"neural_caption_r1": share([True] * 7 + [False] * 3), "neural_caption_r10": Figure(0.6, 10, 0.3, 0.8)}
    figures["neural_caption_r10_cascade"] = Figure(0.8, 10, 0.5, 0.9)
    table = Table("Speech to <caption>", ("what", "R@1"), [["neural", figures["neural_caption_r1"]]], "a & b")
    drawn = Part([], {}, [("said-000.webp", "two <red> dogs"), ("blind-00.webp", "a cat · a dog")])
    latency = Part([], {"speech_to_picture_s": Figure(3.0, 9, 2.9, 3.2)})
    found = {"retrieval": Part([table], figures), "pictures": drawn, "latency": latency}
    return {name: part.to_json() for name, part in found.items()}


def test_targets_are_compared_as_bounds_and_as_shares_of_the_cascade(parts):
    met = {(one.target.name, one.target.over): one.met for one in compare(parts)}
    assert met["neural_caption_r1", ""] is True
    assert met["neural_caption_r10", ""] is False
    assert met["neural_caption_r10", "neural_caption_r10_cascade"] is True
    assert met["speech_to_picture_s", ""] is False
    assert met["references_object", ""] is None
    assert len(met) == len(TARGETS)


def test_page_and_card(parts, tmp_path):
    for name in ("said-000.webp", "blind-00.webp"):
        (tmp_path / name).write_bytes(encode_image(np.zeros((64, 64, 3), np.uint8), ImageConfig()))
    targets = [
        {"title": one.target.title, "target": "≥ 1", "measured": cell(one.figure), "met": one.met, "older": False}
        for one in compare(parts)
    ]
    facts = {"model_digest": "ab" * 16, "image": ImageConfig().model_dump(), "threads": 2, "targets": targets}
    names = ("speech_encoder", "projection", "layout", "denoiser", "image_encoder")
    facts |= {"styles": ["3d", "sketch"], "library_sprites": 3, "library_concepts": 2}
    facts["parameters"] = dict.fromkeys(names, 1_000_000)
    parts["latency"] |= {"older": True, "date": "2025-01-31"}
    result = write_result(tmp_path / "model.json", "s2i eval", facts | {"parts": parts})
    html = page(result, tmp_path)
    assert "two &lt;red&gt; dogs" in html
    assert "Speech to &lt;caption&gt;" in html
    assert "0.70 (0.40–0.89)" in html
    assert html.count("Measured on 2025-01-31") == 1
    assert not re.findall(r"""(?:src|href)=["'](?!data:|#)""", html)
    text = card(result)
    assert "| speech → caption in 1,000, neural voices: R@1 | 0.70 (0.40–0.89) |" in text
    assert "| seconds from 5 s of speech to the picture † | 3.00 (2.90–3.20) |" in text
    assert "†: measured on 2025-01-31" in text
    assert "| image encoder | starts from EfficientNet" in text and "layout projection" not in text
    assert "| short |" in text and "| met |" in text


def test_a_cell_is_as_exact_as_its_value_allows():
    assert cell(Figure(0.123, 50, 0.05, 0.2)) == "0.12 (0.05–0.20)"
    assert cell(Figure(1234.5, 9, 1200.0, 1300.0)) == "1234 (1200–1300)"
    assert cell({"value": 0.5, "n": 3, "low": 0.5, "high": 0.5}) == "0.50"
    assert cell(None) == ""
    assert cell(share([])) == ""
