"""The modules' resources against the arguments that the providers take, which `validate` asks a provider for.

No provider can be had here as a program; HashiCorp publishes types that were generated from the schemas of the same
versions, as packages of npm. They know which arguments there are, which are needed, and what a block holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from hcl import Block, blocks

from s2i_core.corpus.sources.packages import Package, PackageError, fetch

TYPES = {
    "aws": Package(
        "npm",
        "@cdktf/provider-aws",
        "21.22.1",
        "d1446ab6ac6526c6fab4b28a5ebefdd90c0ce56203949925d35a4d286c05cbbf",
    ),
    "helm": Package(
        "npm",
        "@cdktf/provider-helm",
        "12.1.2",
        "a9dd5089ab5204d2838977dddeef54f9871242426d0af2c11f9bf0b182efbd3e",
    ),
    "kubernetes": Package(
        "npm",
        "@cdktf/provider-kubernetes",
        "12.1.1",
        "0a58a193de50c8475fd53ed0e541ed2f1254dd72f14815943fd9374e6d81b5df",
    ),
}
OF_EVERY_RESOURCE = {"count", "for_each", "depends_on", "lifecycle", "provider"}
_INTERFACE = re.compile(r"^export interface (\w+)(?: extends [\w.]+)? \{\n(.*?)^\}", re.M | re.S)
_ARGUMENT = re.compile(r"#(\w+) [\w.]+#\w+\}\s*\n(?:\s*\*[^\n]*\n)*?\s*\*/\s*\n\s*readonly \w+(\??): ([^;]+);")


@dataclass(frozen=True)
class Argument:
    """One of a resource or of a block; `holds` names the interface of a block."""

    needed: bool
    holds: str


def interfaces(kind: str, data: bool) -> tuple[str, dict[str, dict[str, Argument]]]:
    """The arguments of a resource and of each block in it, and the name of the resource's own."""
    provider, _, rest = kind.partition("_")
    folder = fetch(TYPES[provider]) / "lib" / (("data-" + kind if data else rest).replace("_", "-"))
    text = "".join(path.read_text() for path in sorted(folder.glob("*.d.ts")))
    found = {
        name: {
            argument: Argument(not optional, type_.split("[")[0].split(" |")[0].strip())
            for argument, optional, type_ in _ARGUMENT.findall(body)
        }
        for name, body in _INTERFACE.findall(text)
    }
    (own,) = (name for name, body in _INTERFACE.findall(text) if f"interface {name} extends" in text)
    return own, found


def faults(where: str, body: dict[str, Any], own: str, known: dict[str, dict[str, Argument]]) -> Iterator[str]:
    """What a body has that its interface lacks, and the other way round."""
    there = known[own]
    dynamic = {name for each in body.get("dynamic", ()) for name in each}
    given = {name for name in body if name not in OF_EVERY_RESOURCE | {"dynamic"}}
    for name in sorted(given - there.keys() | dynamic - there.keys()):
        yield f"{where}: there is no {name}"
    for name in sorted({name for name, each in there.items() if each.needed} - given - dynamic):
        yield f"{where}: {name} is missing"
    inner = [(name, each) for name in given & there.keys() if isinstance(body[name], list) for each in body[name]]
    for entry in body.get("dynamic", ()):
        inner += [(name, content) for name, each in entry.items() for content in each.get("content", ())]
    for name, each in inner:
        if isinstance(each, dict) and there[name].holds in known:
            yield from faults(f"{where}.{name}", each, there[name].holds, known)


def of(section: str) -> list[Block]:
    return [each for each in blocks(section) if each.kind.partition("_")[0] in TYPES]


@pytest.mark.slow
def test_every_argument_is_one_of_its_provider_and_none_is_missing() -> None:
    try:
        for package in TYPES.values():
            fetch(package)
    except PackageError as error:
        pytest.skip(str(error))
    seen = of("resource") + of("data")
    assert len(seen) > 40
    found = []
    for block in seen:
        own, known = interfaces(block.kind, block in of("data"))
        found += faults(str(block), block.body, own, known)
    assert found == []
    # It can fail: a name that is not there, a block that lacks what it needs.
    own, known = interfaces("aws_s3_bucket_versioning", data=False)
    broken = {"bucket": "b", "buckets": "c", "versioning_configuration": [{"state": "Enabled"}]}
    assert sorted(faults("bad", broken, own, known)) == [
        "bad.versioning_configuration: status is missing",
        "bad.versioning_configuration: there is no state",
        "bad: there is no buckets",
    ]
