"""The page of an evaluation: targets, tables and pictures in one HTML file without any external address."""

from __future__ import annotations

import base64
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from s2i_core.evaluation.statistics import cell

TITLES = {
    "talk": "Things named in talk",
    "talk-pictures": "Pictures of talk",
    "near-sounds": "Near-sounding words",
    "retrieval": "Retrieval",
    "composition": "Composition",
    "fidelity": "Fidelity",
    "robustness": "Speech as it is",
    "passages": "From a passage to a picture",
    "latency": "Latency and memory",
    "pictures": "Pictures",
}


def page(result: dict[str, Any], pictures: Path) -> str:
    """The page of a result file's content.

    Args:
        result: as `report.write` returns it.
        pictures: folder of the files that its part `pictures` names.
    """
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["cell"] = cell
    parts = result["figures"]["parts"]
    shown = [
        {"name": name, "text": text, "data": base64.b64encode((pictures / name).read_bytes()).decode()}
        for name, text in parts.get("pictures", {}).get("pictures", ())
        if (pictures / name).exists()
    ]
    template = environment.from_string(files("s2i_core.evaluation.report").joinpath("page.html").read_text("utf-8"))
    return template.render(
        result=result,
        facts=result["figures"],
        parts=[(name, title, parts[name]) for name, title in TITLES.items() if name in parts],
        said=[one for one in shown if one["name"].startswith("said")],
        blind=[one for one in shown if one["name"].startswith("blind")],
    )
