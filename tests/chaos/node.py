"""One Ray node in a process of its own: `python -m tests.chaos.node FOLDER ADDRESS CPUS [GCS_ADDRESS]`.

Without the address of a head it is one. It says `up` and the head's address once it runs, and ends with its parent.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from cluster import local


def main() -> None:
    """Start it, and wait for the end."""
    folder, address, cpus, gcs_address = sys.argv[1:]
    place = {"gcs_address": gcs_address} if gcs_address else {"include_dashboard": False, "no_monitor": True}
    with local._settings():
        node = local.start_node(
            Path(folder), 128 << 20, head=not gcs_address, host=address, num_cpus=int(cpus), num_gpus=0, **place
        )
    sys.stdout.write(f"up {node.gcs_address}\n")
    sys.stdout.flush()
    signal.pause()


if __name__ == "__main__":
    main()
