"""`python -m s2i_core.evaluation`: measure a checkpoint and write result file, contact sheet and model card figures."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console

from s2i_core.config import ImageConfig
from s2i_core.evaluation import blind, report, spoken
from s2i_core.evaluation import sentences as recorded
from s2i_core.evaluation.card import card
from s2i_core.pipeline import SpeechToImagePipeline, shipped_checkpoint
from s2i_core.publish.images import encode_image
from s2i_core.publish.sheet import contact_sheet

app = typer.Typer(help="Measure a checkpoint.", no_args_is_help=True, add_completion=False)


@app.command()
def run(
    checkpoint: Annotated[str, typer.Option(help="Folder of a saved pipeline; empty takes the shipped weights.")] = "",
    samples: Annotated[Path, typer.Option(help="Folder of recordings with transcripts.json.")] = Path("samples"),
    out: Annotated[Path, typer.Option(help="Result file.")] = Path("docs/results/model.json"),
    sheet: Annotated[Path, typer.Option(help="Contact sheet of the blind test, PNG.")] = Path("docs/images/blind.png"),
    threads: Annotated[int, typer.Option(help="CPU threads; 0 takes all cores.", min=0)] = 0,
) -> None:
    """Blind caption test with and without references and paste-only, hit rates on spoken sentences, time a picture."""
    if threads:
        torch.set_num_threads(threads)
    pipeline = SpeechToImagePipeline.from_pretrained(checkpoint or None).to(torch.float32)
    waveforms, captions = recorded.load()
    image = ImageConfig()
    start = time.perf_counter()
    seen = blind.blind_test(pipeline, waveforms, captions, image)
    seconds = time.perf_counter() - start
    alone = blind.blind_test(pipeline, waveforms, captions, image.model_copy(update={"references": 0}))
    talk = list(spoken.sentences(samples, frozenset(pipeline.library.concepts)))
    figures = {
        "model_digest": pipeline.model_digest,
        "image": image.model_dump(),
        "blind_right_of_20": sum(seen.right),
        "blind_right_of_20_without_references": sum(alone.right),
        "blind_right_of_20_paste_only": sum(seen.paste_right),
        "mean_similarity": sum(seen.similarity) / len(seen.similarity),
        "mean_share_taken_from_references": sum(seen.taken) / len(seen.taken),
        "sentences_of_talk": len(talk),
        "talk": spoken.hit_rates(pipeline, talk),
        "library_concepts": len(pipeline.library.concepts),
        "library_sprites": len(pipeline.library),
        "seconds_per_picture": seconds / len(waveforms),
        "threads": torch.get_num_threads(),
    }
    result = report.write(out, "python -m s2i_core.evaluation run", figures)
    parts = ("speech_encoder", "projection", "layout", "denoiser", "image_encoder")
    parameters = {name: sum(p.numel() for p in getattr(pipeline, name).parameters()) for name in parts}
    folder = Path(checkpoint) if checkpoint else shipped_checkpoint()
    (folder / "README.md").write_text(card(result, parameters), encoding="utf-8")
    sheet.parent.mkdir(parents=True, exist_ok=True)
    pictures = [encode_image(picture, image.model_copy(update={"format": "png"})) for picture in seen.images]
    sheet.write_bytes(contact_sheet(pictures, [sentence for sentence, _ in blind.SENTENCES], columns=5, tile_px=192))
    Console().print_json(data=figures)


@app.command()
def say() -> None:
    """Make the blind test's sentences again (needs `infra/install.sh train`)."""
    recorded.make(blind.SENTENCES)


if __name__ == "__main__":
    app()
