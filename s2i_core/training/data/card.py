"""The card of a data folder: what is in it, from where, under which licence, and how it is split."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from s2i_core.corpus.folder import (
    CAPTIONED_FOLDER,
    PARTS,
    STYLES_FOLDER,
    TRAIN_PARTS,
    SceneRow,
    read_phrases,
    read_scenes,
)
from s2i_core.corpus.spec import HOLD_OUT_EVERY
from s2i_core.corpus.speech_set import INDEX_FILE, SpeechSet
from s2i_core.models.decoders.native.library import SpriteInfo, SpriteLibrary

FACTS_FILE, CARD_FILE = "card.json", "CARD.md"

#: Who speaks, and under which licence one may use what they say.
ENGINES = {
    "espeak": "espeak-ng, formant synthesis (GPL-3 program; its output is free)",
    "flite": "flite with the CMU Arctic voices slt, rms, awb (free, BSD-like)",
    "piper": "Piper (VITS), voice joe (MIT; recordings CC0)",
    "kokoro": "Kokoro-82M (Apache-2.0)",
}
WORDS = "WordNet 3.0, Princeton University (WordNet licence, free)"


def facts(folder: Path) -> dict[str, Any]:
    """Counts of a data folder; parts that are not built yet are left out."""
    own = SpriteLibrary.load(folder / "library")
    others = [SpriteLibrary.load(folder / STYLES_FOLDER)] if (folder / STYLES_FOLDER).is_dir() else []
    library = SpriteLibrary.joined([own, *others])
    more = SpriteLibrary.load(folder / CAPTIONED_FOLDER).infos if (folder / CAPTIONED_FOLDER).is_dir() else ()
    rows = list(read_scenes(folder))
    speech = {part: _speech(folder / f"speech-{part}") for part in PARTS if _is_built(folder / f"speech-{part}")}
    return {
        "sprites": len(library),
        "concepts": len(library.concepts),
        "captioned": len(more),
        "titles": len({info.title for info in more}),
        "illustrations": len(library) + len(more),
        "styles": _counted(info.style for info in (*library.infos, *more)),
        "sources": _counted(f"{info.source} ({info.licence})" for info in (*library.infos, *more)),
        "styles_by_source": _by_source((*library.infos, *more)),
        "scenes": _counted(row.split for row in rows),
        "objects_a_scene": _counted(str(len(row.spec.slots)) for row in rows),
        "told": {
            "number": sum(any(group.count > 1 for group in row.spec.groups) for row in rows),
            "colour": sum(any(group.colour for group in row.spec.groups) for row in rows),
            "size": sum(any(group.size for group in row.spec.groups) for row in rows),
            "relation": sum(row.spec.relation is not None for row in rows),
            "setting": sum(row.spec.told_setting for row in rows),
            "time of day": sum(row.spec.told_time for row in rows),
        },
        "settings": len({row.spec.setting for row in rows}),
        "concepts_seen_in_training": len(_concepts(rows, "train")),
        "phrases": len(read_phrases(folder)),
        "speech": speech,
        "hours_of_training_speech": round(sum(speech[part]["hours"] for part in TRAIN_PARTS if part in speech), 1),
    }


def write(folder: Path) -> Path:
    """Write the facts as JSON and as a page; returns the page."""
    found = facts(folder)
    (folder / FACTS_FILE).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    page = folder / CARD_FILE
    page.write_text(_page(found), encoding="utf-8")
    return page


def _concepts(rows: Iterable[SceneRow], split: str) -> set[str]:
    return {group.concept for row in rows if row.split == split for group in row.spec.groups}


def _is_built(folder: Path) -> bool:
    return (folder / INDEX_FILE).is_file()


def _speech(folder: Path) -> dict[str, Any]:
    spoken = SpeechSet.open(folder)
    return {
        "utterances": len(spoken),
        "hours": round(float(spoken.durations_s.sum()) / 3600, 2),
        "median_s": round(float(sorted(spoken.durations_s)[len(spoken) // 2]), 2),
        "engines": _counted(name.partition(":")[0] for name in spoken.voice_names()),
        "voices": len(set(spoken.voice_names())),
    }


def _counted(names: Iterable[str]) -> dict[str, int]:
    return dict(Counter(names).most_common())


def _by_source(infos: Iterable[SpriteInfo]) -> list[dict[str, Any]]:
    """Illustrations of each source in each style, the styles in their order."""
    counts = Counter((info.style, info.source, info.licence) for info in infos)
    return [
        {"style": style, "source": source, "licence": licence, "illustrations": count}
        for (style, source, licence), count in sorted(counts.items())
    ]


def _page(found: dict[str, Any]) -> str:
    lines = [
        "# The training data",
        "",
        "Made by `python -m s2i_core.training data` from packages with open licences; nothing of it is recorded speech",
        "of people.",
        "",
        "## Pictures",
        "",
        f"{found['illustrations']} illustrations. {found['sprites']} show {found['concepts']} concepts: scenes are",
        f"composed of these. {found['captioned']} captioned ones, with {found['titles']} titles, are for the image",
        f"encoder alone. By style: {_listed(found['styles'])}.",
        "",
        "| style | source | licence | illustrations |",
        "|---|---|---|---|",
        *(
            f"| {row['style']} | {row['source']} | {row['licence']} | {row['illustrations']} |"
            for row in found["styles_by_source"]
        ),
        "",
        f"The concepts make up {sum(found['scenes'].values())} scenes in {found['settings']} settings; a picture has",
        f"{_listed(found['objects_a_scene'])} objects (objects: scenes). What scenes tell: {_listed(found['told'])}.",
        "",
        "## Speech",
        "",
        f"{found['hours_of_training_speech']} hours of training speech. {found['phrases']} phrases ({WORDS},",
        "and remarks of our own).",
        "",
        "| part | utterances | hours | median s | voices | by engine |",
        "|---|---|---|---|---|---|",
        *(
            f"| {part} | {row['utterances']} | {row['hours']} | {row['median_s']} | {row['voices']} | "
            f"{_listed(row['engines'])} |"
            for part, row in found["speech"].items()
        ),
        "",
        *(f"- **{engine}**: {licence}" for engine, licence in ENGINES.items()),
        "",
        "## Splits",
        "",
        "- By combination: one of "
        f"{HOLD_OUT_EVERY} pairs (concept, told setting) and (concept, colour) is never composed in training.",
        "- By voice: every voice has one role, training, development or test (`training/sources/voices.py`).",
        "- By concept: none is held out; "
        f"{found['concepts_seen_in_training']} of {found['concepts']} concepts are drawn in training.",
    ]
    return "\n".join(lines) + "\n"


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{name}: {count}" for name, count in counts.items())
