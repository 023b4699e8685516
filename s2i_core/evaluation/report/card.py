"""The model card of a checkpoint, written from what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from s2i_core.evaluation.statistics import cell

CARD = """# s2i-native

Speech to picture, with no text in between: 16 kHz speech of up to 29 s in, {size} × {size} RGB out. Made by
`python -m s2i_core.training` (recipe in `recipe.json`); measured by `{command}` on {date}. All figures are in
`docs/results/model.json`, with the tables and the pictures in `docs/results/model/index.html`.
Digest `{digest}`.

## What it is

| part | what | parameters |
|---|---|---|
{networks}
| library | {sprites} illustrations of {concepts} things, in {styles} styles (credits in `NOTICE`) | none |
| grounds | coarse grounds of places, by style and time of day | none |

**It is retrieval-augmented.** The layout asks the library for illustrations that lie near the speech in the shared
space, and the denoiser sees them laid out on a canvas. Much of what you recognise in a picture was looked up: on
average {taken} of the pixels under a reference are taken over from it, in the light that the denoiser gives them, which
makes {changed} of them visibly different. What stands where, how many, and which place and time of day it is come from
the speech. Of a place it begins with one of a dozen coarse grounds, 16 × 16 colours under
noise; edges, texture and light are drawn, and {ground} of the pixels of a ground end up visibly different from it.

## What it does

Voices, words and combinations that training never had; 95 % intervals in brackets. *Cascade*: Whisper tiny.en's
transcript, its vector by the text teacher, and the same decoder.

| measured | model | cascade |
|---|---|---|
{rows}

Composition on unseen combinations, judged by networks that were trained on composed pictures alone. The first row says
how far they can be trusted.

| pictures | object | setting | colour | number | relation |
|---|---|---|---|---|---|
{composition}

Against the targets that were set for training on CPUs:

| figure | target | measured | |
|---|---|---|---|
{targets}

**How blind these figures are.** The test phrases, passages and voices are used in no training. The choices of guidance,
of the confidence limit and of the way of looking up were made on earlier figures of the blind test and of `samples/`,
and so are not blind to those two. The share of noise that pictures start from, that drawings of a kind are moved apart,
and that the layout is the mean of two, were chosen on the very scenes of the table of composition; how far the image
encoder's last layer is fitted, on the drawings by other hands. Its judges do not mind blur: compare the row of what is
only pasted.

## What it was trained on

Composed scenes of the library's illustrations with their captions, ordinary talk, and phrases of a dictionary, spoken
by synthetic voices with noise, rooms and telephone bands; the vectors of MiniLM-L6-v2 (Apache-2.0) as teacher; for the
image encoder also illustrations of other things, with titles, by other hands. No recording of a person and no
photograph was trained on here, but training started from networks that knew some: Whisper from 680,000 hours of
recorded speech, EfficientNet from ImageNet.

## What it can't do

- It knows {concepts} things, and draws nothing else. Speech about anything else gets the nearest of them, with a low
  confidence; scenes below the preset's limit are skipped.
- English only.
- One utterance makes the picture: what a passage says over several sentences is not put together.
- The table of composition says how well colours, numbers and relations are followed.

Weights: Apache-2.0; those that come from Whisper: MIT. Credits in `NOTICE`.
"""

_NETWORKS = {
    "speech_encoder": "Whisper tiny.en's encoder (OpenAI, MIT)",
    "projection": "query transformer that starts from Whisper tiny.en's decoder layers",
    "layout_projection": "another one, started from the first, that listens for the layout alone",
    "layout": "what to draw and where, from their tokens",
    "denoiser": "U-Net, flow matching in pixels, x-prediction",
    "image_encoder": "starts from EfficientNet-Lite0 (Google, Apache-2.0); for your own library, search, evaluation",
}
_ROWS = (
    ("retrieval", "neural_caption_r1", "speech → caption in 1,000, neural voices: R@1"),
    ("retrieval", "neural_caption_r10", "… R@10"),
    ("retrieval", "human_caption_r1", "people, short phrases, in 800: R@1"),
    ("retrieval", "human_caption_r10", "… R@10"),
    ("retrieval", "human_concept_r10", "people naming things, among the library's: R@10"),
    ("retrieval", "neural_image_r10", "speech → picture of an unseen scene, in 400: R@10"),
    ("retrieval", "own_drawing_r10", "speech → a drawing by another hand, of a thing not trained on: R@10"),
    ("robustness", "neural_noise_10_dB_r10", "speech → caption at 10 dB noise: R@10"),
    ("robustness", "neural_noise_0_dB_r10", "… at 0 dB"),
    ("robustness", "neural_telephone_r10", "… over a telephone"),
    ("passages", "synthetic_topic_top10", "topic of a passage (17 s on average), top 10"),
)


def card(result: Mapping[str, Any]) -> str:
    """The card for a result file's content; what was not measured is left out."""
    facts = result["figures"]
    parts = facts["parts"]

    def figure(part: str, name: str) -> str:
        return cell(parts.get(part, {}).get("figures", {}).get(name))

    measured = [(title, figure(part, name), figure(part, f"{name}_cascade")) for part, name, title in _ROWS]
    measured.append(("milliseconds from features to condition", figure("latency", "understanding_ms"), ""))
    measured[-1] = (*measured[-1][:2], figure("latency", "understanding_cascade_crop_ms"))
    measured.append(
        ("seconds from 5 s of speech to the picture, 2 cores", figure("latency", "speech_to_picture_s"), "")
    )
    composition = parts.get("composition", {}).get("tables", [{"rows": [["not measured", *[""] * 5]]}])[0]["rows"]
    taken = parts.get("composition", {}).get("figures", {}).get("references_taken")
    changed = parts.get("composition", {}).get("figures", {}).get("references_changed")
    ground = parts.get("composition", {}).get("figures", {}).get("references_ground_changed")
    taken = taken or parts.get("pictures", {}).get("figures", {}).get("blind_taken")
    marks = {True: "met", False: "missed", None: "not measured"}
    return CARD.format(
        size=facts["image"]["size_px"],
        command=result["command"],
        date=result["date"],
        digest=facts["model_digest"],
        sprites=facts["library_sprites"],
        concepts=facts["library_concepts"],
        styles=len(facts["styles"]),
        taken=f"{taken['value']:.0%}" if taken else "some",
        changed=f"{changed['value']:.0%}" if changed else "some",
        ground=f"{ground['value']:.0%}" if ground else "some",
        rows="\n".join(f"| {title} | {ours} | {theirs} |" for title, ours, theirs in measured if ours),
        composition="\n".join(f"| {' | '.join(cell(value) for value in row)} |" for row in composition),
        targets="\n".join(
            f"| {row['title']} | {row['target']} | {row['measured']} | {marks[row['met']]} |"
            for row in facts["targets"]
        ),
        networks="\n".join(
            f"| {name.replace('_', ' ')} | {what} | {facts['parameters'][name] / 1e6:.1f} M |"
            for name, what in _NETWORKS.items()
            if name in facts["parameters"]
        ),
    )
