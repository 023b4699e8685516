"""Do the pictures look like those that the model learnt from, as varied, and yet not copied from them?

FID (Heusel et al. 2017), KID (Binkowski et al. 2018), precision and recall by nearest neighbours (Kynkäänniemi et al.
2019). The main space is the judge's features, which share nothing with the model; the model's own image encoder is the
second.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from s2i_core.corpus.compose import render, sample_spec
from s2i_core.corpus.folder import read_scenes
from s2i_core.corpus.spec import SceneSpec, split_of
from s2i_core.evaluation.examination import Examination
from s2i_core.evaluation.native.composed import as_input, test_scenes
from s2i_core.evaluation.statistics import Cell, Figure, Part, Table, mean, share

_REAL, _TRAINING = 500, 3000
_NEIGHBOURS = 3
_QUANTILE = 0.01
_SMALL = 32

Features = NDArray[np.float64]


def run(exam: Examination) -> Part:
    """Measure it."""
    size, book = exam.image.size_px, exam.tests.book
    exam.tell("real pictures")
    real = np.stack([render(spec, book, size)[0] for spec in test_scenes(book, _REAL, seed=5)])
    sets = [
        (
            "same",
            "composed pictures of the same scenes",
            np.stack([render(s, book, size)[0] for s in exam.drawn_specs]),
        ),
        ("references", "the model", exam.draw("references").images),
        ("plain", "the model without references", exam.draw("plain").images),
        ("paste", "paste only", exam.pasted),
    ]
    spaces: tuple[tuple[str, str, Callable[[NDArray[np.uint8]], Features]], ...] = (
        ("judge", "the judge's features", lambda pictures: exam.judges.features(pictures).astype(np.float64)),
        ("own", "the model's image encoder", lambda pictures: _own(exam, pictures)),
    )
    figures: dict[str, Figure] = {}
    tables = []
    for key, title, embed in spaces:
        truth = embed(real)
        rows: list[list[Cell]] = []
        for name, label, pictures in sets:
            found = embed(pictures)
            precision, recall = precision_recall(truth, found)
            fid, kid = frechet(truth, found), kernel(truth, found)
            rows.append([label, len(found), round(fid, 3), round(kid, 4), precision, recall])
            figures |= {f"{key}_{name}_precision": precision, f"{key}_{name}_recall": recall}
            figures |= {f"{key}_{name}_fid": _point(fid, len(found)), f"{key}_{name}_kid": _point(kid, len(found))}
        note = (
            f"Against {_REAL} composed pictures of other unseen scenes. With so few pictures FID is biased upwards: "
            "the first row is what real pictures get. KID is not biased."
        )
        columns = ("pictures", "n", "FID", "KID", "precision", "recall")
        tables.append(Table(f"Fidelity, in {title} ({truth.shape[1]} wide)", columns, rows, note))
    tables.append(_memorised(exam, sets[0][2], sets[1][2], sets[2][2], figures))
    return Part(tables, figures)


def _own(exam: Examination, pictures: NDArray[np.uint8]) -> Features:
    some = [exam.pipeline.encode_images(pictures[n : n + 64]).cpu().numpy() for n in range(0, len(pictures), 64)]
    return np.concatenate(some).astype(np.float64)


def _memorised(
    exam: Examination,
    real: NDArray[np.uint8],
    drawn: NDArray[np.uint8],
    plain: NDArray[np.uint8],
    figures: dict[str, Figure],
) -> Table:
    """Nearest training picture of each drawn one, by pixels; held-out real pictures say what is near by chance."""
    exam.tell("nearest training pictures")
    specs = list(training_scenes(exam))
    training = _pixels(np.stack([render(spec, exam.tests.book, 64)[0] for spec in specs]))
    held_out = _nearest(_pixels(real), training)
    limit = float(np.quantile(held_out, _QUANTILE))
    rows: list[list[Cell]] = []
    for name, title, pictures in (
        ("real", "composed pictures of the same scenes, held out", real),
        ("references", "the model", drawn),
        ("plain", "the model without references", plain),
    ):
        distance = _nearest(_pixels(pictures), training)
        copied = share(distance < limit)
        figures[f"{name}_copied"] = copied
        rows.append([title, mean(distance), round(float(distance.min()), 4), copied])
    return Table(
        f"Memorisation: the nearest of {len(specs)} training pictures",
        ("pictures", "mean distance", "least distance", "nearer than 1 % of the held-out"),
        rows,
        f"Root mean square difference at {_SMALL} pixels, channels 0 to 1. A model that copied training pictures would "
        "be nearer to them than pictures it never saw. What the decoder copies on purpose, the illustrations it looked "
        "up, is in the table of composition.",
    )


def training_scenes(exam: Examination) -> list[SceneSpec]:
    """Scenes that the model was trained on, or, where they are not at hand, some of the same distribution."""
    rng = np.random.default_rng(11)
    if exam.scenes is not None and exam.scenes.exists():
        rows = [row.spec for row in read_scenes(exam.scenes.parent) if row.split == "train"]
        known = exam.tests.book.library
        rows = [spec for spec in rows if all(slot.sprite < len(known) for slot in spec.slots)]
        return [rows[n] for n in rng.choice(len(rows), min(_TRAINING, len(rows)), replace=False)]
    found: list[SceneSpec] = []
    while len(found) < _TRAINING:
        spec = sample_spec(rng, exam.tests.book)
        if split_of(spec) == "train":
            found.append(spec)
    return found


def _pixels(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    small = as_input(pictures, 2 * _SMALL).unfold(2, 2, 2).unfold(3, 2, 2).mean((-1, -2))
    return np.asarray(small.flatten(1).numpy() / 2, dtype=np.float32)


def _nearest(some: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float64]:
    squares = (some**2).sum(1)[:, None] - 2 * some @ others.T + (others**2).sum(1)[None]
    return np.asarray(np.sqrt(np.maximum(squares.min(1), 0) / some.shape[1]), dtype=np.float64)


def frechet(a: Features, b: Features) -> float:
    """Fréchet distance of the Gaussians that fit two sets of features `(N, D)`, `(M, D)`."""
    first, second = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    # The trace of the square root of the product, from the eigenvalues of a symmetric matrix alike to it.
    values, vectors = np.linalg.eigh(first)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    between = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ second @ root), 0)).sum()
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(first) + np.trace(second) - 2 * between)


def kernel(a: Features, b: Features) -> float:
    """Squared maximum mean discrepancy under a cubic kernel, unbiased; it may fall below 0."""
    width = a.shape[1]

    def k(x: Features, y: Features) -> Features:
        return np.asarray((x @ y.T / width + 1) ** 3)

    def within(x: Features) -> float:
        found = k(x, x)
        return float((found.sum() - np.trace(found)) / (len(x) * (len(x) - 1)))

    return within(a) + within(b) - 2 * float(k(a, b).mean())


def precision_recall(real: Features, drawn: Features) -> tuple[Figure, Figure]:
    """Share of the drawn that lie among the real, and of the real that lie among the drawn."""
    return share(_inside(real, drawn)), share(_inside(drawn, real))


def _inside(ground: Features, points: Features) -> NDArray[np.bool_]:
    """Whether each point is within the reach of some ground point: the distance to its third neighbour."""
    own = _squares(ground, ground)
    reach = np.sort(own, axis=1)[:, min(_NEIGHBOURS, len(ground) - 1)]
    return np.asarray((_squares(points, ground) <= reach[None] * (1 + 1e-9)).any(1))


def _squares(a: Features, b: Features) -> Features:
    return np.asarray(np.maximum((a**2).sum(1)[:, None] - 2 * a @ b.T + (b**2).sum(1)[None], 0))


def _point(value: float, n: int) -> Figure:
    return Figure(value, n, value, value)
