"""The pictures themselves, for people: a sheet of what was said and drawn, unpicked, and a blind test by eye."""

from __future__ import annotations

import json

import numpy as np

from s2i_core.config import ImageConfig
from s2i_core.evaluation import sentences as recorded
from s2i_core.evaluation.examination import Examination
from s2i_core.evaluation.native import blind
from s2i_core.evaluation.statistics import Cell, Part, Table, mean, share
from s2i_core.publish.images import encode_image

SHOWN = 64


def run(exam: Examination) -> Part:
    """Draw them and leave their files in the model's own folder."""
    folder = exam.own_folder / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    form = exam.image.model_copy(update={"format": "webp", "quality": 80})
    drawn = exam.draw("references").images
    pictures: list[tuple[str, str]] = []
    # Every second: the first, middle and last third of the scenes test different things.
    for n in np.linspace(0, len(drawn) - 1, min(SHOWN, len(drawn))).astype(int).tolist():
        pictures.append(_save(exam, f"said-{n:03d}", exam.drawn_clips[n].said, drawn[n], form))
    waveforms, captions = recorded.load()
    rows: list[list[Cell]] = []
    figures = {}
    exam.tell(f"blind test of {len(waveforms)}")
    seen = blind.blind_test(exam.pipeline, waveforms, captions, exam.image)
    alone = blind.blind_test(exam.pipeline, waveforms, captions, exam.image_alone)
    for name, title, right in (
        ("references", "the model", seen.right),
        ("plain", "the model without references", alone.right),
        ("paste", "paste only", seen.paste_right),
    ):
        figures[f"blind_{name}"] = share(right)
        rows.append([title, figures[f"blind_{name}"]])
    figures["blind_similarity"] = mean(seen.similarity)
    figures["blind_taken"] = mean(seen.taken)
    choices = []
    for n, picture in enumerate(seen.images):
        options = [blind.SENTENCES[k][1] for k in seen.candidates[n]]
        order = np.random.default_rng([41, n]).permutation(len(options))
        pictures.append(_save(exam, f"blind-{n:02d}", " · ".join(options[k] for k in order), picture, form))
        choices.append(options[0])
    (folder / "blind-answers.json").write_text(json.dumps(choices), encoding="utf-8")
    table = Table(
        f"Blind test: the right caption among {blind.CANDIDATES}, {len(waveforms)} sentences by neural test voices",
        ("pictures", "right"),
        rows,
        "Chosen by the model's own image encoder and the text teacher, so it says whether the parts agree; chance is "
        "0.2. The pictures below carry the five captions in random order, to be chosen by eye; the answers are in the "
        "result file.",
    )
    answers = Table("Answers of the blind test", ("picture", "caption"), [[n + 1, a] for n, a in enumerate(choices)])
    return Part([table, answers], figures, pictures)


def _save(exam: Examination, name: str, text: str, picture: np.ndarray, form: ImageConfig) -> tuple[str, str]:  # type: ignore[type-arg]
    (exam.own_folder / "pictures" / f"{name}.webp").write_bytes(encode_image(picture, form))
    return f"{name}.webp", text
