"""Is what was said near what it is about? Speech to caption, to image and back, by voice type and length."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from s2i_core.corpus.compose import render
from s2i_core.corpus.folder import read_scenes
from s2i_core.corpus.teacher import TextTeacher
from s2i_core.evaluation.examination import Examination
from s2i_core.evaluation.statistics import Cell, Figure, Part, Table, ranks, recalls, share
from s2i_core.evaluation.testset import SpokenPhrase

_COLUMNS = ("what is said", "by", "R@1", "R@5", "R@10", "MRR")
#: Likeness of the teacher's vectors of two titles that are the same.
_SAME_TITLE = 0.999
_LENGTHS = ((1, 3), (4, 6), (7, 9), (10, 99))

Vectors = NDArray[np.float32]


def run(exam: Examination) -> Part:
    """Measure it."""
    tests = exam.tests
    captions = tests.caption_vectors
    figures: dict[str, Figure] = {}
    rows: list[list[Cell]] = []
    heard: list[tuple[SpokenPhrase, int, int]] = []
    for name, clips, (ours, theirs) in (
        ("neural", tests.neural, exam.neural),
        ("synthetic", tests.synthetic, exam.synthetic),
    ):
        targets = [clip.target for clip in clips]
        places = (ranks(ours, captions, targets), ranks(theirs, captions, targets))
        heard += [(clip, int(a), int(b)) for clip, a, b in zip(clips, *places, strict=True)]
        kinds = np.array([tests.phrases[target].kind for target in targets])
        for kind in ("all", "scene", "everyday", "dictionary"):
            chosen = np.ones(len(clips), bool) if kind == "all" else kinds == kind
            rows += _pair(f"{name} voices, {kind}", places[0][chosen], places[1][chosen])
        figures |= _named(f"{name}_caption", places)
    exam.tell("people")
    human = _human(exam)
    figures |= _named("human_caption", human)
    trained = texts_of_training(exam)
    known = sum(phrase.said in trained or phrase.caption in trained for phrase in tests.phrases)
    known_of_people = sum(clip.said in trained for clip in tests.human)
    for kind, count in (("phrases", known), ("human", known_of_people)):
        figures[f"{kind}_trained_on"] = Figure(count, len(trained), count, count)
    seen = f"Of their texts {known} are among the {len(trained)} of the training data. " if trained else ""
    words = f"Of the {len(tests.human)} texts training said {known_of_people} by other voices. " if trained else ""
    tables = [
        Table(
            f"Speech to caption, in {len(captions)}",
            _COLUMNS,
            rows,
            f"New phrases by test voices. {seen}A scene is sought by its plain caption, any other phrase by itself. "
            "Cascade: Whisper tiny.en's transcript through the text teacher.",
        ),
        Table(
            f"People: single short phrases, in {len(tests.human_captions)}",
            _COLUMNS,
            _pair("recordings of people, at most 8 words", *human),
            "Telephone prompts, names in a children's game, sentences of an audiobook: three speakers, no training. "
            f"{words}",
        ),
        _images(exam, figures),
        _library(exam, figures),
        _own(exam, figures),
        _by_length(heard),
    ]
    return Part(tables, figures)


def texts_of_training(exam: Examination) -> set[str]:
    """Captions and phrases that the model was trained on; empty where the data are not at hand."""
    if exam.scenes is None or not exam.scenes.exists():
        return set()
    found = {row.caption for row in read_scenes(exam.scenes.parent) if row.split == "train"}
    phrases = exam.scenes.with_name("phrases.txt")
    return found | set(phrases.read_text(encoding="utf-8").splitlines() if phrases.exists() else ())


def _pair(name: str, ours: NDArray[np.int64], theirs: NDArray[np.int64]) -> list[list[Cell]]:
    return [[name, "model", *recalls(ours)], ["", "cascade", *recalls(theirs)]]


def _named(name: str, places: tuple[NDArray[np.int64], NDArray[np.int64]]) -> dict[str, Figure]:
    ours, theirs = (recalls(found) for found in places)
    keys = ("r1", "r5", "r10", "mrr")
    named = {f"{name}_{key}": figure for key, figure in zip(keys, ours, strict=True)}
    return named | {f"{name}_{key}_cascade": figure for key, figure in zip(keys, theirs, strict=True)}


def _human(exam: Examination) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    clips = exam.tests.human
    captions = TextTeacher()(exam.tests.human_captions)
    targets = [clip.target for clip in clips]
    return ranks(exam.hear(clips), captions, targets), ranks(exam.read(clips), captions, targets)


def _images(exam: Examination, figures: dict[str, Figure]) -> Table:
    """Speech to the pictures of composed scenes, and back."""
    exam.tell("pictures of the scenes")
    tests = exam.tests
    scenes = [(place, phrase.spec) for place, phrase in enumerate(tests.phrases) if phrase.spec is not None]
    place_of = {place: n for n, (place, _) in enumerate(scenes)}
    pictures = np.stack([render(spec, tests.book, exam.image.size_px)[0] for _, spec in scenes])
    vectors = np.concatenate([exam.pipeline.encode_images(some).cpu().numpy() for some in _split(pictures)])
    rows: list[list[Cell]] = []
    for name, clips, both in (
        ("neural", tests.neural, exam.neural),
        ("synthetic", tests.synthetic, exam.synthetic),
    ):
        of_scenes = [n for n, clip in enumerate(clips) if clip.target in place_of]
        targets = [place_of[clips[n].target] for n in of_scenes]
        to_image = [ranks(spoken[of_scenes], vectors, targets) for spoken in both]
        back = [ranks(vectors[targets], spoken[of_scenes], range(len(targets))) for spoken in both]
        rows += _pair(f"speech → image, {name}, in {len(scenes)}", to_image[0], to_image[1])
        rows += _pair(f"image → speech, {name}, in {len(targets)}", back[0], back[1])
        figures |= _named(f"{name}_image", (to_image[0], to_image[1]))
        figures |= _named(f"{name}_image_to_speech", (back[0], back[1]))
    note = "Real composed pictures of combinations that training never shows, by the model's image encoder."
    return Table("Speech to image, and image to speech", _COLUMNS, rows, note)


def _library(exam: Examination, figures: dict[str, Figure]) -> Table:
    """Names of things, said by people: is the thing among the library's nearest?"""
    library = exam.library
    place_of = {concept: n for n, concept in enumerate(library.concepts)}
    names = {
        form: place_of[concept.name]
        for concept in exam.tests.book.vocabulary.concepts.values()
        if concept.name in place_of
        for name in concept.names
        for form in (name.plural, name.singular)
        if form
    }
    clips = [clip for clip in exam.tests.human if clip.said in names]
    concept_of = np.array([place_of[info.concept] for info in library.infos])
    found = []
    for spoken in (exam.hear(clips), exam.read(clips)):
        _, order = library.nearest(spoken, k=len(library))
        # The place of a concept is that of its best illustration.
        places = [
            1 + list(dict.fromkeys(concept_of[row].tolist())).index(names[clip.said])
            for clip, row in zip(clips, order, strict=True)
        ]
        found.append(np.array(places, dtype=np.int64))
    figures |= _named("human_concept", (found[0], found[1]))
    title = f"Names of drawable things by people, among the library's {len(place_of)} concepts"
    return Table(title, _COLUMNS, _pair(f"{len(clips)} names", found[0], found[1]))


def _own(exam: Examination, figures: dict[str, Figure]) -> Table:
    """Drawings by other hands, asked for by their titles: what a library of a customer's own has to do."""
    exam.tell("drawings by other hands")
    drawings, titles = exam.tests.drawings
    drawings.embed(exam.pipeline.model)
    vectors, clips = np.asarray(drawings.vectors), exam.tests.titles
    named = _of_title([clip.target for clip in clips], titles)
    places = [_first(spoken @ vectors.T, named) for spoken in (exam.hear(clips), exam.read(clips))]
    figures |= _named("own_drawing", (places[0], places[1]))
    title = f"A library of your own: {len(drawings)} drawings of things that training never saw, by their titles"
    rows = _pair(f"{len(clips)} titles, neural voices", places[0], places[1])
    note = "By the model's image encoder, as `s2i library build` embeds them. Right is any drawing of that title."
    return Table(title, _COLUMNS, rows, note)


def _of_title(targets: Sequence[int], titles: Vectors) -> NDArray[np.bool_]:
    """Which drawings have the title of each target `(N, M)`, for the vectors of all titles `(M, E)`."""
    return np.asarray(titles[list(targets)] @ titles.T > _SAME_TITLE)


def _first(scores: NDArray[np.float32], right: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Place of the best right candidate among the wrong ones, from 1; who is as near counts as nearer."""
    best = np.where(right, scores, -np.inf).max(1, keepdims=True)
    return np.asarray(((scores >= best) & ~right).sum(1) + 1, dtype=np.int64)


def _by_length(heard: Sequence[tuple[SpokenPhrase, int, int]]) -> Table:
    rows: list[list[Cell]] = []
    for low, high in _LENGTHS:
        chosen = [(ours, theirs) for clip, ours, theirs in heard if low <= clip.words <= high]
        name = f"{low} to {high} words" if high < 99 else f"{low} words and more"
        rows.append(
            [
                name,
                *(share([ours <= k for ours, _ in chosen]) for k in (1, 10)),
                *(share([theirs <= k for _, theirs in chosen]) for k in (1, 10)),
            ]
        )
    columns = ("length", "model R@1", "model R@10", "cascade R@1", "cascade R@10")
    return Table("Speech to caption by length, synthetic and neural voices", columns, rows)


def _split(pictures: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    return [pictures[n : n + 64] for n in range(0, len(pictures), 64)]
