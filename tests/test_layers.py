"""The directions of architecture.md, held by reading every source file: imports point down only."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LAYERS = ("s2i_core", "cluster", "flows")

#: Module prefix → prefixes that it must not import, at any depth of its code.
FORBIDDEN: dict[str, tuple[str, ...]] = {
    "s2i_core": ("ray", "prefect", "cluster", "flows"),
    "cluster": ("prefect", "flows"),
}

#: Inside the core, from the ground up; a module may import its own floor's group and what lies below.
FLOORS: tuple[tuple[str, ...], ...] = (
    (
        *("errors", "records", "identity", "config", "presets", "options", "weights", "tracing", "logs", "processes"),
        *("network", "results", "sized_file", "state", "english"),
    ),
    ("audio", "models", "storage"),
    ("hearing",),
    ("pipeline", "readings", "scenes", "listing"),
    ("steps",),
    ("corpus", "learning"),
    ("training", "evaluation", "publish", "provenance", "catalog", "analysis"),
    ("illustrate", "hear_file", "build_library", "doctor", "forget", "packs", "pages"),
    ("editing",),
    ("cli",),
)

#: Neighbours on one floor that must not know each other.
STRANGERS = (
    ("storage", "models"),
    ("storage", "audio"),
    ("corpus", "learning"),
    ("training", "evaluation"),
)


def imports(source: str, module: str, is_package: bool) -> Iterator[tuple[int, str]]:
    """Line and absolute name of everything that a source imports, also inside functions and by `import_module`.

    An import for type checking alone counts too: it is a dependency of the design.
    """
    package = module if is_package else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                anchor = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*anchor, base] if base else anchor)
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in {"import_module", "__import__"} and isinstance(node.args[0].value, str):
                yield node.lineno, node.args[0].value


def within(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(prefix + ".")


def floor(name: str) -> tuple[int, str] | None:
    """Number of the floor and the group of a core module."""
    parts = name.split(".")
    if parts[0] != "s2i_core" or len(parts) < 2:
        return None
    return next(((number, parts[1]) for number, groups in enumerate(FLOORS) if parts[1] in groups), None)


def violations(source: str, module: str, is_package: bool = False) -> list[str]:
    """What a source may not import, each as `module:line imports name`."""
    found = []
    here = floor(module)
    for line, name in imports(source, module, is_package):
        wrong = any(
            within(module, layer) and within(name, prefix) for layer, barred in FORBIDDEN.items() for prefix in barred
        )
        there = floor(name)
        if here is not None and there is not None:
            pair = {here[1], there[1]}
            wrong = wrong or there[0] > here[0] or any(pair == set(strangers) for strangers in STRANGERS)
        if wrong:
            found.append(f"{module}:{line} imports {name}")
    return found


def sources() -> Iterable[tuple[Path, str, bool]]:
    for layer in LAYERS:
        for path in sorted((ROOT / layer).rglob("*.py")):
            parts = list(path.relative_to(ROOT).with_suffix("").parts)
            is_package = parts[-1] == "__init__"
            yield path, ".".join(parts[:-1] if is_package else parts), is_package


def test_imports_point_down_only() -> None:
    checked = list(sources())
    assert {module.split(".")[0] for _, module, _ in checked} == set(LAYERS)
    found = [line for path, module, package in checked for line in violations(path.read_text(), module, package)]
    assert not found, "\n".join(found)


def dependencies(modules: Iterable[tuple[Path, str, bool]]) -> dict[str, set[str]]:
    """Each module with those that it imports, inside functions and for type checking too."""
    known = {module: (path, is_package) for path, module, is_package in modules}

    def imported(name: str) -> str:
        while name and name not in known:
            name = name.rpartition(".")[0]
        return name

    return {
        module: {imported(name) for _, name in imports(path.read_text(), module, is_package)} - {"", module}
        for module, (path, is_package) in known.items()
    }


def circle(graph: Mapping[str, set[str]]) -> list[str]:
    """The modules of a circle, the first of them again at the end; empty where there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        found: list[str] = error.args[1]
        return found
    return []


def test_no_modules_import_each_other_in_a_circle() -> None:
    found = circle(dependencies(sources()))
    assert not found, " is imported by ".join(found)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("import pair.second", "from pair import first"),
        ("from pair.second import x", "def f():\n    from pair.first import y"),
        ("from .second import x", "import importlib\nimportlib.import_module('pair.first')"),
        ("from pair import second", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import pair.first"),
        ("x = 1", "from pair import second_name"),
    ],
)
def test_a_circle_is_found_wherever_its_imports_stand(tmp_path: Path, first: str, second: str) -> None:
    package = "from pair import second" if first == "x = 1" else ""
    texts = {"pair": package, "pair.first": first, "pair.second": second, "pair.third": "from pair import first"}
    modules = []
    for module, text in texts.items():
        (path := tmp_path / module).write_text(text)
        modules.append((path, module, module == "pair"))
    assert circle(dependencies(modules))
    (tmp_path / "pair.second").write_text("import os")
    assert circle(dependencies(modules)) == []


def test_every_module_of_the_core_has_a_floor() -> None:
    """A new module must be given its place in FLOORS before it can import anything unseen."""
    homeless = [module for _, module, _ in sources() if module.count(".") and within(module, "s2i_core")]
    assert [module for module in homeless if floor(module) is None] == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("s2i_core.pipeline", "import ray"),
        ("s2i_core.pipeline", "import numpy, ray.data as data"),
        ("s2i_core.audio.decode", "from ray.data import Dataset"),
        ("s2i_core.audio.decode", "def f():\n    import prefect"),
        ("s2i_core.cli", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from cluster.jobs import plan"),
        ("s2i_core.cli", "from flows.archive import illustrate_archive"),
        ("s2i_core.cli", "import importlib\nimportlib.import_module('flows.commands')"),
        ("s2i_core.cli", "__import__('ray')"),
        ("cluster.jobs.plan", "import prefect"),
        ("cluster.jobs.plan", "from flows import archive"),
        ("s2i_core.storage.tables", "from s2i_core.models.projection import Projection"),
        ("s2i_core.storage.tables", "from s2i_core import models"),
        ("s2i_core.storage.tables", "from ..models import projection"),
        ("s2i_core.models.projection", "from s2i_core.storage.objects import ObjectStore"),
        ("s2i_core.records", "from s2i_core.audio.decode import decode"),
        ("s2i_core.models.projection", "from s2i_core import pipeline"),
        ("s2i_core.models.projection", "from ..pipeline import SpeechToImagePipeline"),
        ("s2i_core.pipeline", "from s2i_core.training.trainers import align"),
        ("s2i_core.publish.page", "import s2i_core.cli"),
        ("s2i_core.training.trainers.align", "from s2i_core.evaluation import statistics"),
        ("s2i_core.evaluation.native.namer", "from s2i_core.training.trainers import align"),
        ("s2i_core.corpus.compose", "from s2i_core.training.recipe import Recipe"),
    ],
)
def test_a_violation_is_caught(module: str, source: str) -> None:
    assert violations(source, module)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("s2i_core.pipeline", "from s2i_core.models.projection import Projection\nimport torch"),
        ("s2i_core.audio.decode", "import raylib\nfrom s2i_core import config"),
        ("s2i_core.cli", "from .storage.commands import app"),
        ("cluster.jobs.plan", "import ray\nfrom s2i_core.storage.tables import Lake"),
        ("flows.archive", "import prefect, ray\nfrom cluster.jobs import plan"),
    ],
)
def test_what_is_allowed_passes(module: str, source: str) -> None:
    assert violations(source, module) == []


def test_a_violating_file_fails_the_whole_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for layer in LAYERS:
        (tmp_path / layer).mkdir()
        (tmp_path / layer / "__init__.py").write_text("")
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    test_imports_point_down_only()
    (tmp_path / "s2i_core" / "pipeline.py").write_text("def run():\n    import ray\n")
    with pytest.raises(AssertionError, match=r"s2i_core\.pipeline:2 imports ray"):
        test_imports_point_down_only()
