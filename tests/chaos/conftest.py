"""The fixtures of the jobs, for whole runs in which something breaks."""

from __future__ import annotations

import ray  # noqa: F401 -- makes its psutil known to the tests
from small_jobs import checkpoint, config, lake, make_scenes, ray_session, request_for  # noqa: F401 -- fixtures
