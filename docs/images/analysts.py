"""Answer and draw the questions of docs/analysts.md on a destination: python docs/images/analysts.py s3://illustrated

After the demo, with the environment of `s2i store env`. Rewrites the answers on the page, and its pictures.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
from markupsafe import Markup

from s2i_core.analysis.answers import plain
from s2i_core.analysis.database import Database
from s2i_core.analysis.report import plots
from s2i_core.storage.objects import S3Settings
from s2i_core.storage.tables import Lake

PAGE = Path(__file__).parents[1] / "analysts.md"
PARTS = re.compile(r"(^## (\d+)\. [^\n]*\n)(.*?)(?=^## |\Z)", re.M | re.S)
SQL = re.compile(r"^```sql\n(.*?)^```\n", re.M | re.S)
ANSWER = re.compile(r"\n<!-- answer -->\n.*?<!-- /answer -->\n", re.S)
_SHOWN = 12
_LONGEST = 70
_STYLE = (
    "svg{background:#faf7f2}text{font:11px Verdana,DejaVu Sans,sans-serif;fill:#6b635a}.k0{fill:#2f6f8f}"
    ".k1{fill:#d08b2f}.k2{fill:#b5432a}.pale{opacity:.35}.grid{stroke:#e6dfd5;fill:none}"
)
Row = dict[str, Any]
PLOTS: dict[int, tuple[str, Callable[[Row], str], str]] = {
    1: ("Episodes by outcome", lambda row: row["reason"] or row["status"], "episodes"),
    2: ("Percent of the episode with a picture", lambda row: row["name"], "percent_covered"),
    3: ("How often a thing is named", lambda row: row["thing"], "times"),
    4: ("How sure it is", lambda row: f"{row['thing']}: {row['file']}, {row['from_s']:g} s", "sure"),
    5: ("How often the tags of an episode are named", lambda row: row["file"], "times"),
    6: ("Similarity of the weakest pictures", lambda row: f"{row['file']}, {row['from_s']:g} s", "similarity"),
    7: ("Similarity of the covers", lambda row: row["file"], "similarity"),
    8: ("Percent of all seconds", lambda row: row["what"], "percent"),
    9: ("Seconds that a picture stays, median", lambda row: row["file"], "median_s"),
    10: ("Milliseconds for a picture", lambda row: f"{row['style']}, {row['width_px']} px", "ms_per_picture"),
}
"""By question: what the plot is of, what a bar is called, and the column that is its length."""


def main() -> None:
    """Ask, write the answers, and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("destination")
    arguments = parser.parse_args()
    with Database(Lake(S3Settings.from_env(), arguments.destination)) as database:

        def answered(part: re.Match[str]) -> str:
            number, text = int(part[2]), ANSWER.sub("", part[3])
            found = []

            def told(sql: re.Match[str]) -> str:
                with database.ask(sql[1]) as answer:
                    table = answer.table()
                found.append(table)
                drawing = f"\n![{PLOTS[number][0]}](images/analysts-{number}.svg)\n" if len(found) == 1 else ""
                return f"{sql[0]}\n<!-- answer -->\n{markdown(table)}{drawing}<!-- /answer -->\n"

            text = SQL.sub(told, text)
            picture = PAGE.parent / "images" / f"analysts-{number}.svg"
            picture.write_text(drawn(number, found[0]), encoding="utf-8")
            return part[1] + text

        PAGE.write_text(PARTS.sub(answered, PAGE.read_text("utf-8")), encoding="utf-8")


def markdown(table: pa.Table) -> str:
    """A table for people, of its first rows."""
    lines = [" | ".join(table.column_names), " | ".join("---" for _ in table.column_names)]
    for row in table.slice(0, _SHOWN).to_pylist():
        lines.append(" | ".join(_cell(value) for value in row.values()))
    more = f"\n… and {table.num_rows - _SHOWN} more\n" if table.num_rows > _SHOWN else ""
    return "\n".join(f"| {line} |" for line in lines) + "\n" + more


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(plain(value))
    return (text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…").replace("|", "\\|").replace("<", "&lt;")


def drawn(number: int, table: pa.Table) -> str:
    """The plot of an answer as an SVG that stands alone."""
    title, name, column = PLOTS[number]
    rows = table.slice(0, _SHOWN).to_pylist()
    values = [(name(row), float(row[column] or 0), float(row[column] or 0)) for row in rows]
    return alone(plots.rows(values, title, ()))


def alone(plot: Markup) -> str:
    """With its own style and a size."""
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{plots.WIDTH}" '
    return str(plot).replace("<svg ", head, 1).replace(">", f"><style>{_STYLE}</style>", 1) + "\n"


if __name__ == "__main__":
    main()
