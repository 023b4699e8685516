"""How long what needs the object store goes on against one that does not answer."""

from __future__ import annotations

import time

from s2i_core.config import ResourceConfig

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 10.0


class Patience:
    """The tries of one step, with pauses that grow between them.

    A store that is restarted, or fails over, is away for tens of seconds: what is done by then is worth waiting for.

    Args:
        config: `max_attempts` tries at least, and tries for `outage_s` seconds at least.

    Attributes:
        tries: how often the step was begun, the one that goes on included.
    """

    def __init__(self, config: ResourceConfig) -> None:
        self._config = config
        self._first = time.monotonic()
        self.tries = 1

    def again(self) -> bool:
        """The step failed: whether it is to be tried again, after a pause."""
        waited_s = time.monotonic() - self._first
        if self.tries >= self._config.max_attempts and waited_s >= self._config.outage_s:
            return False
        time.sleep(min(_FIRST_PAUSE_S * 2 ** (self.tries - 1), _LONGEST_PAUSE_S))
        self.tries += 1
        return True
