"""Take the README's picture: `python docs/images/screenshot.py PAGE.html docs/images/page.png --at 42`.

PAGE.html is the page of a recording, from `s2i illustrate` or `s2i demo`. Needs the test extras and a Chromium.
"""

from __future__ import annotations

import argparse
import os
import shutil
from pathlib import Path

from playwright.sync_api import sync_playwright


def main() -> None:
    """Open the page at a time, and take its picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--at", type=float, default=0.0, metavar="SECONDS", help="the moment to show")
    parser.add_argument("--size", default="1280x880", help="of the window, in pixels")
    parser.add_argument("--dark", action="store_true", help="as people see it who prefer dark")
    arguments = parser.parse_args()
    width, height = map(int, arguments.size.split("x"))
    program = os.environ.get("S2I_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    flags = ["--disable-gpu", "--disable-background-networking", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=flags)
        page = browser.new_page(
            viewport={"width": width, "height": height},
            color_scheme="dark" if arguments.dark else "light",
            reduced_motion="reduce",
        )
        page.goto(f"{arguments.page.resolve().as_uri()}#t={arguments.at}")
        page.wait_for_timeout(1500)
        page.screenshot(path=arguments.picture)
        browser.close()


if __name__ == "__main__":
    main()
