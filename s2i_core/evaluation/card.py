"""The model card of a checkpoint, written from what was measured."""

from __future__ import annotations

from typing import Any

CARD = """# s2i-native

Speech to picture, with no text in between: 16 kHz speech of up to 29 s in, {size} × {size} RGB out. Made by
`python -m s2i_core.training` (recipe in `recipe.json`); measured by `{command}` on {date}, all figures in
`docs/results/model.json`. Digest `{digest}`.

## What it is

| part | what | parameters |
|---|---|---|
| speech encoder | Whisper tiny.en's encoder (OpenAI, MIT), not fine-tuned | {speech_encoder} |
| projection | query transformer that starts from Whisper tiny.en's decoder layers | {projection} |
| layout | what to draw and where, from the condition tokens | {layout} |
| denoiser | U-Net, flow matching in pixels, x-prediction | {denoiser} |
| image encoder | convolutional, for search, the confidence gate and evaluation | {image_encoder} |
| library | {sprites} illustrations of {concepts} things (Fluent Emoji 3D, Microsoft, MIT) | none |

**It is retrieval-augmented.** The layout asks the library for illustrations that lie near the speech in the shared
space, and the denoiser sees them laid out on a canvas. Much of what you recognise in a picture was looked up: on
average {taken:.0%} of the pixels under a reference are taken over from it. What stands where, how many, the ground, the
sky and the light come from the network.

## What it does

| measured | figure |
|---|---|
| blind test: own caption nearest of five, 20 sentences by voices not in training (chance 4) | **{right} of 20** |
| the same, drawing without references | {alone} of 20 |
| the same, judged on the looked-up illustration alone (paste only) | {paste} of 20 |
| sentences of ordinary talk in which a named thing is the nearest of {concepts} | {hit1:.0%} of {talk} |
| … among the nearest 5 | {hit5:.0%} |
| … among the nearest 10 | {hit10:.0%} |
| seconds a picture, {steps} steps, {threads} CPU threads | {seconds:.2f} |

The judge is the model's own image encoder against the vectors of the text teacher, so the blind test says whether the
parts agree with each other; look at the sheet as well. The talk is `samples/`, neural voices that training never heard.

**These figures are not blind to their tests.** The voices are unseen, the choices are not: guidance was chosen on the
blind test (15 of 20 without it, 14 with it), and the confidence limit and the way of looking up on the talk. The
sentence patterns of the training talk were written after reading the transcripts and share some of their turns of
phrase ("I would rather have", "look over there"), so the talk's figures are optimistic. A fresh test set is wanted.

## What it was trained on

Composed scenes of the library's illustrations with their captions, spoken by espeak-ng in 364 accents and timbres, with
noise, rooms and telephone bands; the captions' vectors of MiniLM-L6-v2 (Apache-2.0) as teacher. No recording of a
person, no photograph.

## What it can't do

- It knows {concepts} things, and draws nothing else. Speech about anything else gets the nearest of them, with a low
  confidence; scenes below the preset's limit are skipped.
- English only. Human voices have not been measured; synthetic ones only.
- One utterance makes the picture: what a passage says over several sentences is not put together.
- Colours that are asked for, and relations between things, are followed loosely.
- Without references it draws grounds and skies, and blobs for things.

Weights: Apache-2.0; those that come from Whisper: MIT. Credits in `NOTICE`.
"""


def card(result: dict[str, Any], parameters: dict[str, int]) -> str:
    """The card for a result file's content and the parts' numbers of parameters."""
    figures = result["figures"]
    return CARD.format(
        size=figures["image"]["size_px"],
        steps=figures["image"]["steps"],
        command=result["command"],
        date=result["date"],
        digest=figures["model_digest"],
        sprites=figures["library_sprites"],
        concepts=figures["library_concepts"],
        taken=figures["mean_share_taken_from_references"],
        right=figures["blind_right_of_20"],
        alone=figures["blind_right_of_20_without_references"],
        paste=figures["blind_right_of_20_paste_only"],
        hit1=figures["talk"]["hit@1"],
        hit5=figures["talk"]["hit@5"],
        hit10=figures["talk"]["hit@10"],
        talk=figures["sentences_of_talk"],
        threads=figures["threads"],
        seconds=figures["seconds_per_picture"],
        **{name: f"{count / 1e6:.1f} M" for name, count in parameters.items()},
    )
