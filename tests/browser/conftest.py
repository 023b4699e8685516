"""A real browser for these tests; where there is none they are deselected, and the end of the report says so."""

import os
import shutil

import pytest
from playwright.sync_api import sync_playwright

_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_REMEDY = "install one (Debian: apt-get install chromium), or name it in S2I_CHROMIUM"
_FLAGS = [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
_deselected = pytest.StashKey[int]()


def _chromium():
    named = os.environ.get("S2I_CHROMIUM")
    return named or next(filter(None, map(shutil.which, _NAMES)), None)


def pytest_collection_modifyitems(config, items):
    if _chromium():
        return
    browser = [item for item in items if item.get_closest_marker("browser")]
    items[:] = [item for item in items if item not in browser]
    config.hook.pytest_deselected(items=browser)
    config.stash[_deselected] = len(browser)


def pytest_terminal_summary(terminalreporter, config):
    if count := config.stash.get(_deselected, 0):
        terminalreporter.write_line(
            f"{count} browser tests deselected: no Chromium on this machine; {_REMEDY}", red=True
        )


@pytest.fixture(scope="package")
def launch():
    """Starts a headless Chromium without a profile, with more flags.

    It ends with this folder's tests: Playwright holds the thread's event loop, which later tests need.
    """
    with sync_playwright() as playwright:
        # Chromium's sandbox refuses to work for root, as in a container.
        flags = [*_FLAGS, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
        started = []

        def start(*more):
            started.append(playwright.chromium.launch(executable_path=_chromium(), headless=True, args=[*flags, *more]))
            return started[-1]

        yield start
        for chromium in started:
            chromium.close()


@pytest.fixture(scope="package")
def browser(launch):
    """A headless Chromium, as it comes."""
    return launch()
