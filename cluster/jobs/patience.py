"""How long to keep trying an object store that does not answer."""

from __future__ import annotations

import time

from s2i_core.config import ResourceConfig

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 10.0


class Patience:
    """The tries of one step, with growing pauses between them.

    A store that restarts or fails over is away for tens of seconds: the work done so far is worth waiting for that.

    Args:
        config: `max_attempts` tries at least, and tries for `outage_s` seconds at least.

    Attributes:
        tries: how often the step was started, including the current try.
    """

    def __init__(self, config: ResourceConfig) -> None:
        self._config = config
        self._first = time.monotonic()
        self.tries = 1

    def again(self) -> bool:
        """To be called after a failure: whether to try again; pauses first."""
        waited_s = time.monotonic() - self._first
        if self.tries >= self._config.max_attempts and waited_s >= self._config.outage_s:
            return False
        time.sleep(min(_FIRST_PAUSE_S * 2 ** (self.tries - 1), _LONGEST_PAUSE_S))
        self.tries += 1
        return True
