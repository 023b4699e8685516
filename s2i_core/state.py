"""The state folder of a project: what s2i keeps on this machine between runs, and nothing that cannot be made again."""

from __future__ import annotations

import os
from pathlib import Path


def state_home() -> Path:
    """`.s2i` in the current folder, or the folder that `S2I_HOME` names."""
    return Path(os.environ.get("S2I_HOME") or ".s2i").absolute()
