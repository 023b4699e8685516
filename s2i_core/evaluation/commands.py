"""`s2i eval`: measure a model, resumably, and write the result file and the page."""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from s2i_core.identity import digest
from s2i_core.weights import folder_digest

if TYPE_CHECKING:
    from s2i_core.models.decoders.native.library import SpriteLibrary
    from s2i_core.models.speech.grounding import Vocabulary

_MODULES = {
    "talk": "talk",
    "talk-pictures": "talk_pictures",
    "near-sounds": "near_sounds",
    "retrieval": "retrieval",
    "composition": "native.composition",
    "fidelity": "native.fidelity",
    "robustness": "robustness",
    "passages": "passages",
    "latency": "latency",
    "pictures": "native.pictures",
}
"""Modules of this package with a function `run(Examination) -> Part`, in the order of the page."""
PARTS = tuple(_MODULES)
JUDGED_PARTS = ("composition", "fidelity")
"""Those that ask the judge of pictures: another judge, other figures."""
HEARING_PARTS = ("retrieval", "robustness")
"""Those that compare vectors alone: they hold for every checkpoint that hears and sees alike, however it draws."""
TALK_PARTS = ("talk", "talk-pictures", "near-sounds")
"""Those that listen to the lectures: by so many voices, other figures."""


Checkpoint = Annotated[str, typer.Option(help="Folder of a saved model; empty takes the shipped one.")]
Only = Annotated[list[str] | None, typer.Option(help=f"Only this part; give it again for more: {', '.join(PARTS)}.")]
Out = Annotated[Path, typer.Option(help="Folder of the results: model.json and model/index.html.")]
Work = Annotated[Path, typer.Option(help="Folder of test speech and unfinished results.")]
Judge = Annotated[str, typer.Option(help="Folder of a judge of pictures; empty takes the shipped one.")]
Data = Annotated[Path, typer.Option(help="Training data of the model, for the check of memorisation.")]
Takes = Annotated[int, typer.Option(help="By how many voices each lecture is spoken.", min=1, max=2)]
Before = Annotated[str, typer.Option(help="Folder of an older model, beside this one in the part near-sounds.")]
Again = Annotated[bool, typer.Option("--again", help="Measure parts again that are done for this model.")]
Threads = Annotated[int, typer.Option(help="CPU threads; 0 takes all cores.", min=0)]
AsJson = Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")]


def evaluate(
    checkpoint: Checkpoint = "",
    only: Only = None,
    out: Out = Path("docs/results"),
    work: Work = Path("data/eval"),
    data: Data = Path("data/first"),
    judge: Judge = "",
    takes: Takes = 1,
    before: Before = "",
    again: Again = False,
    threads: Threads = 0,
    as_json: AsJson = False,
) -> None:
    """Measure the model on voices, words and combinations that training never saw, beside a cascade.

    Parts that are done for the same weights are kept, here or in the result file: a run that was cut off goes on. The
    first run makes the test speech (half an hour on two cores); later ones take minutes. Needs the training packages:
    infra/install.sh train.
    """
    from rich.console import Console

    from s2i_core.errors import ConfigError

    parts = tuple(only or PARTS)
    if unknown := sorted(set(parts) - set(PARTS)):
        raise ConfigError(f"--only {unknown[0]}", "there is no such part", f"Choose of: {', '.join(PARTS)}.")
    console = Console(stderr=True)
    with console.status("Loading the model") as status:

        def tell(step: str) -> None:
            if console.is_terminal:
                status.update(step)
            else:
                console.print(step)

        stored = stored_parts(out / "model.json")
        asked = checkpoint or None, parts, work, data, judge, again, threads, tell, stored
        results = measure(*asked, takes=takes, before=before or None)
        tell("Writing the page")
        result = write(results, out)
    comparisons = result["figures"]["targets"]
    if as_json:
        typer.echo(json.dumps(result["figures"], ensure_ascii=False))
        return
    for row in comparisons:
        title = f"{row['title']} (older weights)" if row["older"] else row["title"]
        typer.echo(f"{_MARK[row['met']]}  {row['measured']:>18}  of {row['target']:<7}  {title}")
    typer.echo(f"Open {(out / 'model' / 'index.html').resolve().as_uri()}")


_MARK = {True: "met     ", False: "short   ", None: "not yet "}


def stored_parts(path: Path) -> dict[str, Any]:
    """The parts of a result file, each with the day on which it was measured; none of one that does not exist."""
    if not path.exists():
        return {}
    found = json.loads(path.read_text("utf-8"))
    return {name: {"date": found["date"], **part} for name, part in found["figures"].get("parts", {}).items()}


def measure(
    checkpoint: str | None,
    parts: tuple[str, ...],
    work: Path,
    data: Path,
    judge: str,
    again: bool,
    threads: int,
    tell: Any,
    stored: Mapping[str, Any],
    *,
    takes: int = 1,
    before: str | None = None,
) -> dict[str, Any]:
    """Measure the parts and return what is known of the model, part by part, with facts of the model.

    A part of `stored` stands for one that was measured here if it was measured on the same weights, by the same judge.
    If it was not, and the part is not measured now, it is kept and marked as `older`.
    """
    import time

    import torch

    from s2i_core.config import ImageConfig
    from s2i_core.evaluation.examination import Examination
    from s2i_core.evaluation.native.judges import judge_digest, shipped
    from s2i_core.evaluation.testset import TestSet
    from s2i_core.pipeline import SpeechToImagePipeline
    from s2i_core.records import now
    from s2i_core.weights import shipped_checkpoint

    if threads:
        torch.set_num_threads(threads)
    pipeline = SpeechToImagePipeline.from_pretrained(checkpoint)
    image = ImageConfig()
    tests = TestSet(work, pipeline.library.as_drawn.styled(image.style))
    judge_folder = Path(judge) if judge else None
    exam = Examination(
        pipeline, tests, image, work, data / "scenes.jsonl", checkpoint, judge_folder, takes, before, tell
    )
    if set(JUDGED_PARTS) & set(parts):
        _ = exam.judges  # a judge that is lacking is said before anything is drawn
    exam.own_folder.mkdir(parents=True, exist_ok=True)
    hearing = hearing_digest(Path(checkpoint) if checkpoint else shipped_checkpoint(), exam.library)
    weights = {name: hearing if name in HEARING_PARTS else pipeline.model_digest for name in PARTS}
    judged_by = judge_digest(judge_folder or shipped())
    weights |= {name: digest("judged", pipeline.model_digest, judged_by) for name in JUDGED_PARTS}
    weights |= {name: digest("talk", pipeline.model_digest, str(takes)) for name in TALK_PARTS}
    paths = {name: exam.own_folder / f"{name}.json" for name in PARTS}

    def done(name: str) -> bool:
        path = paths[name]
        return path.exists() and json.loads(path.read_text("utf-8")).get("weights") == weights[name]

    for name, part in stored.items():
        if part.get("weights") == weights.get(name) and not done(name):
            kept = {key: value for key, value in part.items() if key != "older"}
            paths[name].write_text(json.dumps(kept, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    for name in parts:
        path = paths[name]
        if done(name) and not again:
            continue
        tell(name)
        started = time.monotonic()
        part = importlib.import_module(f"s2i_core.evaluation.{_MODULES[name]}").run(exam)
        facts = {"seconds": round(time.monotonic() - started, 1), "weights": weights[name]}
        found = part.to_json() | facts | {"date": now().date().isoformat()}
        temporary = path.with_suffix(".part")
        temporary.write_text(json.dumps(found, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        temporary.replace(path)
    return {
        "folder": exam.own_folder,
        "checkpoint": checkpoint,
        "facts": {
            "model_digest": pipeline.model_digest,
            "image": exam.image.model_dump(),
            "threads": torch.get_num_threads(),
            "library_concepts": len(pipeline.library.concepts),
            "styles": pipeline.styles,
            "library_sprites": len(pipeline.library),
            "vocabulary": _sizes(pipeline.vocabulary),
            "parameters": {name: sum(p.numel() for p in part.parameters()) for name, part in pipeline.networks.items()},
        },
        "parts": {
            name: json.loads(paths[name].read_text("utf-8")) if done(name) else {**stored[name], **_OLDER}
            for name in PARTS
            if done(name) or name in stored
        },
    }


def _sizes(vocabulary: Vocabulary | None) -> dict[str, int] | None:
    if vocabulary is None:
        return None
    return {"things": len(set(vocabulary.titles)), "others": len(vocabulary.others)}


_OLDER = {"older": True, "pictures": ()}
"""Of a part that was measured on other weights: its pictures are theirs."""


def hearing_digest(folder: Path, library: SpriteLibrary) -> str:
    """Name of what a checkpoint hears and sees, and of what it knows: two may share it and differ in what they draw."""
    looked_up = hashlib.sha256(json.dumps([asdict(info) for info in library.infos]).encode())
    looked_up.update(b"" if library.vectors is None else library.vectors.tobytes())
    parts = ("speech_encoder", "projection", "image_encoder")
    return digest("hearing", *(folder_digest(folder / name) for name in parts), looked_up.hexdigest())


def write(results: dict[str, Any], out: Path) -> dict[str, Any]:
    """Write `model.json`, the page and the model card; return the content of the first."""
    from s2i_core.evaluation.report.card import write_card
    from s2i_core.evaluation.report.page import page
    from s2i_core.evaluation.report.targets import compare
    from s2i_core.evaluation.statistics import cell
    from s2i_core.results import write_result
    from s2i_core.weights import shipped_checkpoint

    targets = [
        {
            "title": one.target.title,
            "target": f"{'≤' if one.target.at_most else '≥'} {one.target.bound:.2f}",
            "measured": cell(one.figure) if one.figure else "",
            "met": one.met,
            "older": bool(results["parts"].get(one.target.part, {}).get("older")),
        }
        for one in compare(results["parts"])
    ]
    figures = results["facts"] | {"targets": targets, "parts": results["parts"]}
    result = write_result(out / "model.json", "s2i eval", figures)
    folder = out / "model"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "index.html").write_text(page(result, results["folder"] / "pictures"), encoding="utf-8")
    target = Path(results["checkpoint"]) if results["checkpoint"] else shipped_checkpoint()
    write_card(result, target)
    return result
