"""What the deployments of the service call each other by and say to each other. Imports none of them.

Plain data, never tensors; errors that a client caused or must know of are values, because an exception loses its type
on its way through Ray.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from s2i_core import steps
from s2i_core.config import ImageConfig
from s2i_core.models.contracts import DecoderInfo
from s2i_core.records import Contents
from s2i_core.scenes import Embedded

DESK = "Desk"
"""Name of the deployment of which there is one."""


class Refused(StrEnum):
    """Why a deployment has no result."""

    FULL = "full"
    """No place, or it would begin too late."""
    LATE = "late"
    """It has not begun in time."""


@dataclass(frozen=True)
class ModelInfo:
    """What the model is."""

    model_digest: str
    encoder_digest: str
    decoder_digest: str
    decoder: DecoderInfo
    device: str


@dataclass(frozen=True)
class Encoded:
    """Embeddings of the utterances of one clip, in order."""

    embedded: list[Embedded]
    waited_s: float
    """How long the clip waited for its batch."""


@dataclass(frozen=True)
class DrawRequest:
    """Pictures of one scene: one for each seed."""

    scene: steps.Drawable
    seeds: tuple[int, ...]
    image: ImageConfig
    begin_by: float = float("inf")
    """On the clock of `time.time()`; what has not begun by then is not begun."""


@dataclass(frozen=True)
class DrawnFiles:
    """Files of the pictures, in the order of the seeds."""

    files: tuple[bytes, ...]
    content_type: str
    similarity: tuple[float, ...]
    contents: tuple[Contents | None, ...]
    """What each shows, where the decoder knows."""
    compute_ms: float
    """The share of the batch's time."""


@dataclass(frozen=True)
class PreviewFile:
    """What the picture looks like after a step."""

    step: int
    steps: int
    file: bytes
    content_type: str


@dataclass(frozen=True)
class Event:
    """An event of a recording, as it is streamed."""

    number: int
    name: str
    data: dict[str, Any]


@dataclass(frozen=True)
class BatchFacts:
    """What is known of a batch that ran."""

    items: int
    cost: float
    waited_s: float
    """How long its oldest item waited."""
    ran_s: float
    waiting: int
    """Items that wait for the next."""
