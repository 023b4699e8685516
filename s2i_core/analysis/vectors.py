"""Which scenes are nearest to a vector: exactly, or by an index of signs for archives that are large.

The index keeps one bit for each dimension of a scene's vector, whether it is positive: 48 bytes instead of 1,536 of 384
dimensions. A question reads all of them, keeps the scenes with the fewest differing bits, and measures those anew on
float16, which are mapped from disk. Charikar, "Similarity estimation techniques from rounding algorithms", 2002.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from s2i_core.identity import digest
from s2i_core.records import Status
from s2i_core.state import state_home

if TYPE_CHECKING:
    from s2i_core.storage.tables import Lake

Vectors = npt.NDArray[np.floating[Any]]

EXACT_BELOW = 50_000
"""Scenes up to which every vector is read: no index is worth its upkeep."""
CANDIDATES = 1000
"""Scenes that are measured anew on float16."""
_FORMAT = "signs-1"


@dataclass(frozen=True)
class Nearest:
    """Scenes by how near they are, `(k,)` each; `cosine` is 1 for the same."""

    scene_ids: list[str]
    cosine: list[float]


@dataclass(frozen=True)
class SceneIndex:
    """The vectors of all scenes of one speech encoder, mapped from files.

    Attributes:
        ids: `(N, 16)` uint8, the bytes of the scenes' ids.
        signs: `(N, E / 64)` uint64, read as a whole for each question.
        half: `(N, E)` float16, length 1.
    """

    ids: npt.NDArray[np.uint8]
    signs: npt.NDArray[np.uint64]
    half: npt.NDArray[np.float16]

    def __len__(self) -> int:
        return len(self.ids)

    def nearest(self, wanted: Vectors, count: int, allowed: npt.NDArray[np.bool_] | None = None) -> Nearest:
        """The `count` nearest of all scenes, or of those that are allowed.

        Args:
            wanted: `(E,)`, of any length but zero.
            allowed: `(N,)`.
        """
        wanted = np.asarray(wanted, np.float32) / max(float(np.linalg.norm(wanted)), 1e-12)
        rows = np.arange(len(self)) if allowed is None else np.flatnonzero(allowed)
        most = max(CANDIDATES, 10 * count)
        if len(rows) > max(EXACT_BELOW, most):
            rows = rows[self._fewest_differences(wanted, rows if allowed is not None else None, most)]
        rows = np.sort(rows)  # in the order of the file
        cosine = self.half[rows].astype(np.float32) @ wanted
        best = np.argsort(-cosine, kind="stable")[:count]
        return Nearest([self.ids[row].tobytes().hex() for row in rows[best]], [float(each) for each in cosine[best]])

    def _fewest_differences(
        self, wanted: Vectors, rows: npt.NDArray[np.intp] | None, most: int
    ) -> npt.NDArray[np.intp]:
        bits = _signs(wanted[None])[0]
        signs = self.signs if rows is None else self.signs[rows]
        differences = np.zeros(len(signs), np.uint16)
        for word in range(signs.shape[1]):
            differences += np.bitwise_count(signs[:, word] ^ bits[word])
        return np.argpartition(differences, most)[:most]

    def among(self, scene_ids: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
        """Which scenes are among these `(N,)`."""
        mine = pa.array(np.ascontiguousarray(self.ids).view("V16").ravel().tolist(), pa.binary(16))
        wanted = pa.array([bytes.fromhex(each) for each in scene_ids.to_pylist()], pa.binary(16))
        return np.asarray(pc.is_in(mine, value_set=wanted))


def open_index(lake: Lake, encoder: str, tell: Callable[[str], None] = lambda _: None) -> SceneIndex:
    """The index of a destination's scenes as they are now, in this machine's state folder; made anew when stale.

    Args:
        lake: the destination's tables.
        encoder: digest of the speech encoder; vectors of another one are in another space.
        tell: is told what is done.
    """
    version = lake.scenes.version()
    folder = state_home() / "search" / digest(_FORMAT, lake.uri, encoder)
    try:
        facts = json.loads((folder / "about.json").read_text())
    except (OSError, ValueError):
        facts = {}
    if facts.get("version") != version:
        tell("Make the index")
        _make(lake, encoder, folder, version)
        facts = json.loads((folder / "about.json").read_text())
    width = facts["width"]
    shapes = {"ids": (-1, 16), "signs": (-1, -(-width // 64)), "half": (-1, width)}
    kinds = {"ids": np.uint8, "signs": np.uint64, "half": np.float16}
    parts: dict[str, Any] = {}
    for name, shape in shapes.items():
        path = folder / name
        empty = path.stat().st_size == 0
        parts[name] = (
            np.empty((0, shape[1]), kinds[name]) if empty else np.memmap(path, kinds[name], "r").reshape(shape)
        )
    return SceneIndex(**parts)


def _make(lake: Lake, encoder: str, folder: Path, version: int) -> None:
    """Write the index beside where it belongs, and put it there in one step."""
    part = folder.with_name(f"{folder.name}.{os.getpid()}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    width = 0
    wanted = (pc.field("status") == Status.OK.value) & (pc.field("model_digest") == encoder)
    with (part / "ids").open("wb") as ids, (part / "signs").open("wb") as signs, (part / "half").open("wb") as half:
        for batch in lake.scenes.batches(["scene_id", "pooled"], wanted):
            if not batch.num_rows:
                continue
            pooled = batch["pooled"]
            vectors = pooled.flatten().to_numpy(zero_copy_only=False).reshape(batch.num_rows, -1)
            width = vectors.shape[1]
            ids.write(bytes.fromhex("".join(batch["scene_id"].to_pylist())))
            signs.write(_signs(vectors).tobytes())
            half.write(vectors.astype(np.float16).tobytes())
    (part / "about.json").write_text(json.dumps({"version": version, "width": width or 1, "uri": lake.uri}))
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)


def _signs(vectors: Vectors) -> npt.NDArray[np.uint64]:
    """One bit a dimension `(B, E)` → `(B, ceil(E / 64))` uint64."""
    bits = np.packbits(np.asarray(vectors) > 0, axis=1)
    padded = np.pad(bits, ((0, 0), (0, -bits.shape[1] % 8)))
    return np.ascontiguousarray(padded).view(np.uint64)


def forget_indexes() -> None:
    """Delete all indexes that this machine keeps: they hold ids of scenes."""
    shutil.rmtree(state_home() / "search", ignore_errors=True)
