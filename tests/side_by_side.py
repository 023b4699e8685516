"""`pytest -n 3 --dist loadscope`, as `make test` calls it: which process runs what.

Much of the suite's time is waiting, for clusters and servers to start and to end. What shares one of them is one piece
of work, so that it is started once; of the rest, each file is one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from xdist.scheduler import LoadScopeScheduling

#: Folders whose tests share a cluster or a server; the first that fits holds. They take longest, so they are handed out
#: before the files of other folders, and no process is left with much to do when the others have ended.
TOGETHER = ("tests/cluster/serve/", "tests/cluster/", "tests/flows/", "tests/chaos/", "tests/browser/")


def piece(nodeid: str) -> str:
    """The piece of work to which a test belongs: a folder of `TOGETHER`, or its file."""
    return next(filter(nodeid.startswith, TOGETHER), nodeid.partition("::")[0])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The order in which pieces are handed out is that of their first tests."""
    if hasattr(config, "workerinput"):
        rank = {name: number for number, name in enumerate(TOGETHER)}
        items.sort(key=lambda item: rank.get(piece(item.nodeid), len(rank)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling | None:
    """Hand out pieces, in the order of the tests."""
    if config.getvalue("dist") != "loadscope":
        return None
    from xdist.scheduler import LoadScopeScheduling

    class Pieces(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return piece(nodeid)

    config.option.loadscopereorder = False
    return Pieces(config, log)
