"""Exit 0 where the page at HEALTH_URL answers 200, by default the one that tells whether this Ray node is well."""

from __future__ import annotations

import os
import sys
import urllib.error
import urllib.request

URL = "http://127.0.0.1:52365/api/healthz"


def main() -> int:
    """Ask once."""
    url = os.environ.get("HEALTH_URL", URL)
    try:
        # It is this pod itself: no proxy of the environment is asked.
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=5) as answer:
            return 0 if answer.status == 200 else 1
    except (urllib.error.URLError, OSError, ValueError) as error:
        sys.stderr.write(f"{url}: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
