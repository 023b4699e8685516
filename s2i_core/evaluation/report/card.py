"""The model card of a checkpoint, written from what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from s2i_core.evaluation.statistics import cell

CARD = """# s2i-native

Speech to picture, with no text in between: 16 kHz speech in, what is named in it and when, scenes, and RGB pictures out
({size} px; any size to 2,048 by what is drawn at {size}). Made by `python -m s2i_core.training` (recipe in
`recipe.json`); measured by `{command}` on {date}. All figures are in `docs/results/model.json`, with the tables and the
pictures in `docs/results/model/index.html`. Digest `{digest}`.

## What it is

| part | what | parameters |
|---|---|---|
{networks}
| all | | {total:.1f} M |
| vocabulary of the grounding | {vocabulary} | none |
| library | {sprites} illustrations of {concepts} things, in {styles} styles (credits in `NOTICE`) | none |
| grounds | places painted by code, by style and time of day | none |

**It hears things, one by one.** The encoder runs once over an utterance; the grounding moves windows of 0.6 to 1.2 s
over its frames and says of each how probable it is that this or that thing is named in it, or another noun, or nothing
that could be drawn. A thing has its time and a confidence, which is a probability (fitted on other lectures, by other
voices). Scenes are cut by what is named as well as by likeness and pauses, and a picture shows up to four things of its
scene, whoever of its utterances named them. The place and the time of day come from one utterance, the scene's focus.

**It is retrieval-augmented.** What is to be shown is looked up in the library, and the denoiser sees the illustrations
laid out on a canvas. All that you recognise in a picture was looked up or painted by code: {taken} of the pixels under
a reference are taken over from it, and the ground is a painted drawing of the place. The denoiser draws the light on
both, which makes {changed} of the pixels of the things and {ground} of those of the ground visibly different. What
there is, how many, in which order, and which place and time of day it is come from the speech; sizes, distances and
where things stand follow from what they are.

## What it does

Voices, words and combinations that training never had; 95 % intervals in brackets. *Cascade*: Whisper's transcript, its
vectors by the text teacher, and the same planner and decoder; Whisper base for talk, tiny.en for the rest.{older}

| measured | model | cascade |
|---|---|---|
{rows}

How many pictures of talk there are, and how many of them show something that is named in their scene, is a choice:
`scenes.precision`, 0.85 if nothing is said.

{curve}

Words that sound nearly alike, said once in a sentence by voices that training never had; what is told wrongly most
often stands in `docs/results/model/index.html`.

{near}

Where nothing is named that could be drawn, whatever is told is wrong:

{nothing}

Composition on unseen combinations, judged by networks that were trained on composed pictures alone. The first row says
how far they can be trusted.{older_composition}

| pictures | object | setting | colour | number | relation |
|---|---|---|---|---|---|
{composition}

Against the targets:

| figure | target | measured | |
|---|---|---|---|
{targets}

**How blind these figures are.** The test phrases, passages, lectures and voices are used in no training. The
confidence of things was fitted on lectures of development. Which titles are right where a lecture names something was
written down by hand before anything was measured. The choices of guidance, of the confidence limit of sentences and of
the way of looking up were made on earlier figures of the blind test and of `samples/`, and so are not blind to those
two. The share of noise that pictures start from, that drawings of a kind are moved apart, and that the layout is the
mean of two, were chosen on the very scenes of the table of composition; how far the image encoder's last layer is
fitted, on the drawings by other hands. Its judges do not mind blur: compare the row of what is only pasted.

## What it was trained on

Composed scenes of the library's illustrations with their captions, ordinary talk, sentences that name things among
much else, and phrases of a dictionary, spoken by synthetic voices with noise, rooms and telephone bands, whose word
times the grounding was trained with; the vectors of MiniLM-L6-v2 (Apache-2.0) as teacher; for the image encoder also
illustrations of other things, with titles, by other hands. No recording of a person and no photograph was trained on
here, but training started from networks that knew some: Whisper from 680,000 hours of recorded speech, EfficientNet
from ImageNet.

## What it can't do

- It knows {concepts} things, and draws nothing else. Other nouns it takes for what they are, where it knows them;
  what it does not know it takes for the nearest of what it does, with a low confidence.
- English only.
- A name that is a word is a thing to it: Mr Fox, Mrs Bell. So are some letters and numbers that are read out.
- It does not know what a word means where it has several meanings, nor what is said of a thing: a king who is not there
  is shown.
- The table of composition says how well colours, numbers and relations are followed, in short descriptions.

Weights: Apache-2.0; those that come from Whisper: MIT. Credits in `NOTICE`.
"""

_NETWORKS = {
    "speech_encoder": "Whisper tiny.en's encoder (OpenAI, MIT)",
    "projection": "query transformer that starts from Whisper tiny.en's decoder layers",
    "layout_projection": "another one, started from the first, that listens for the layout alone",
    "grounding": "another one, started from the first, that hears single things in windows as long as a word",
    "layout": "what to draw and where, from their tokens",
    "denoiser": "U-Net, flow matching in pixels, x-prediction",
    "image_encoder": "starts from EfficientNet-Lite0 (Google, Apache-2.0); for your own library, search, evaluation",
}
_BASE = "_cascade_base"
#: Part, figure, what follows its name in that of the cascade's, and what it is.
_ROWS = (
    ("talk", "neural_recall", _BASE, "things named in lectures, neural voices: recall at precision 0.85"),
    ("talk", "neural_average_precision", _BASE, "… average precision"),
    ("talk", "noise_recall", _BASE, "… recall at 10 dB noise"),
    ("talk", "telephone_recall", _BASE, "… over a telephone"),
    ("talk", "robotic_recall", _BASE, "… robotic voices"),
    ("talk", "people_recall", _BASE, "… people"),
    ("talk", "neural_told_recall", "", "what is told as it is set, neural voices: recall"),
    ("talk", "neural_told_precision", "", "… precision"),
    ("talk", "neural_off_s", "", "… off in time, median, s"),
    ("talk", "neural_calibration_error", "", "confidence off from what is right, on average"),
    ("talk", "hearing_s_a_minute", _BASE, "hearing a minute of talk, seconds of one core"),
    ("talk-pictures", "clean_right", "_cascade", "pictures of lectures that show something named in their scene"),
    ("talk-pictures", "noise_right", "_cascade", "… at 10 dB noise"),
    ("talk-pictures", "telephone_right", "_cascade", "… over a telephone"),
    ("talk-pictures", "clean_a_minute_of_names", "_cascade", "pictures a minute, where things are named"),
    ("retrieval", "neural_caption_r1", "_cascade", "speech → caption in 1,000, neural voices: R@1"),
    ("retrieval", "neural_caption_r10", "_cascade", "… R@10"),
    ("retrieval", "human_caption_r1", "_cascade", "people, short phrases, in 800: R@1"),
    ("retrieval", "human_caption_r10", "_cascade", "… R@10"),
    ("retrieval", "human_concept_r10", "_cascade", "people naming things, among the library's: R@10"),
    ("retrieval", "neural_image_r10", "_cascade", "speech → picture of an unseen scene, in 400: R@10"),
    ("retrieval", "own_drawing_r10", "_cascade", "speech → a drawing by another hand, of a thing not trained on: R@10"),
    ("robustness", "neural_noise_10_dB_r10", "_cascade", "speech → caption at 10 dB noise: R@10"),
    ("robustness", "neural_noise_0_dB_r10", "_cascade", "… at 0 dB"),
    ("robustness", "neural_telephone_r10", "_cascade", "… over a telephone"),
    ("passages", "synthetic_topic_top10", "_cascade", "topic of a passage (17 s on average), top 10"),
    ("passages", "synthetic_shown", "", "… shown in its picture"),
    ("latency", "understanding_ms", "", "milliseconds from features to condition, of 5 s, single things included"),
    ("latency", "understanding_cascade_crop_ms", "", "… of the cascade, with tiny.en"),
    ("latency", "speech_to_picture_s", "", "seconds from 5 s of speech to the picture"),
)
_MARKS = {True: "met", False: "short", None: "not measured"}
_DAGGER = " †"


def card(result: Mapping[str, Any]) -> str:
    """The card for a result file's content; what was not measured is left out."""
    facts = result["figures"]
    parts: Mapping[str, Any] = facts["parts"]

    def figure(part: str, name: str) -> Any:
        return parts.get(part, {}).get("figures", {}).get(name)

    def percent(name: str) -> str:
        found = figure("composition", name)
        return f"{found['value']:.0%}{mark('composition')}" if found else "some"

    def mark(part: str) -> str:
        return _DAGGER if parts.get(part, {}).get("older") else ""

    rows = [
        f"| {title}{mark(part)} | {cell(figure(part, name))} | {cell(figure(part, name + peer)) if peer else ''} |"
        for part, name, peer, title in _ROWS
        if figure(part, name)
    ]
    older = sorted({part["date"] for part in parts.values() if part.get("older")})
    composition = parts.get("composition", {}).get("tables", [{"rows": [["not measured", *[""] * 5]]}])[0]["rows"]
    parameters = facts["parameters"]
    return CARD.format(
        size=facts["image"]["size_px"],
        command=result["command"],
        date=result["date"],
        digest=facts["model_digest"],
        sprites=facts["library_sprites"],
        concepts=facts["library_concepts"],
        styles=len(facts["styles"]),
        vocabulary=_vocabulary(facts.get("vocabulary")),
        total=sum(parameters.values()) / 1e6,
        taken=percent("references_taken"),
        changed=percent("references_changed"),
        ground=percent("references_ground_changed"),
        older=f" †: measured on {' and '.join(older)}, on the weights of then." if older else "",
        older_composition=mark("composition"),
        rows="\n".join(rows),
        curve=_table(parts, "talk-pictures", 1),
        near=_table(parts, "near-sounds", 0),
        nothing=_table(parts, "talk", 3),
        composition="\n".join(f"| {' | '.join(cell(value) for value in row)} |" for row in composition),
        targets="\n".join(
            f"| {row['title']}{_DAGGER if row.get('older') else ''} | {row['target']} | {row['measured']} | "
            f"{_MARKS[row['met']]} |"
            for row in facts["targets"]
        ),
        networks="\n".join(
            f"| {name.replace('_', ' ')} | {what} | {parameters[name] / 1e6:.1f} M |"
            for name, what in _NETWORKS.items()
            if name in parameters
        ),
    )


def write_card(result: Mapping[str, Any], folder: Path) -> Path:
    """Write the card of a result file into the folder of its model; returns where it is."""
    path = folder / "README.md"
    path.write_text(card(result), encoding="utf-8")
    return path


def _table(parts: Mapping[str, Any], part: str, number: int) -> str:
    """One of a part's tables in Markdown."""
    if part not in parts:
        return "Not measured."
    table = parts[part]["tables"][number]
    columns = [
        f"{column}{_DAGGER if parts[part].get('older') and not n else ''}" for n, column in enumerate(table["columns"])
    ]
    lines = [columns, ["---"] * len(columns), *([cell(value) for value in row] for row in table["rows"])]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _vocabulary(sizes: Mapping[str, int] | None) -> str:
    if not sizes:
        return "none"
    return f"the library's {sizes['things']} things, by their titles, and {sizes['others']} other nouns"
