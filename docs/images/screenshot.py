"""Take the pictures of the docs, with a real browser.

    python docs/images/screenshot.py talk/index.html docs/images/page.png --at 42
    python docs/images/screenshot.py http://127.0.0.1:8000 docs/images/studio.png --say sentence.opus
    python docs/images/screenshot.py http://127.0.0.1:8000 docs/images/studio-doubt.webp --say w.ogg --doubt
    python docs/images/screenshot.py http://127.0.0.1:8000 docs/images/studio-recording.png --recording talk.mp3 --at 42

The first is the page of a recording, from `s2i illustrate` or `s2i demo`; the others are the Studio of `s2i serve`,
which hears a file as its microphone, or is given one as a recording. Needs the test extras and a Chromium.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import tempfile
import wave
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from playwright.sync_api import Page, sync_playwright

from s2i_core.audio.decode import decode
from s2i_core.config import AudioConfig

_WAIT_MS = 240_000
_RATE_HZ = 16_000
_GAP_PX = 16


def main() -> None:
    """Open the page, bring it to the moment, and take its picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", help="file of a recording's page, or URL of the Studio")
    parser.add_argument("picture", type=Path)
    parser.add_argument("--at", type=float, default=0.0, metavar="SECONDS", help="the moment to show")
    parser.add_argument("--say", type=Path, metavar="FILE", help="what the Studio's microphone hears")
    parser.add_argument("--listening", action="store_true", help="with --say: while it listens, not the picture")
    parser.add_argument("--doubt", action="store_true", help="with --say: a strip of doubt, tap and picture")
    parser.add_argument("--recording", type=Path, metavar="FILE", help="what the Studio is given")
    parser.add_argument("--size", default="1280x880", help="of the window, in pixels")
    parser.add_argument("--dark", action="store_true", help="as people see it who prefer dark")
    arguments = parser.parse_args()
    width, height = map(int, arguments.size.split("x"))
    studio = arguments.page.startswith("http")
    program = os.environ.get("S2I_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    flags = ["--disable-gpu", "--disable-background-networking", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        if arguments.say:
            flags += _microphone(arguments.say, Path(folder) / "voice.wav")
        browser = playwright.chromium.launch(executable_path=program, args=flags)
        page = browser.new_page(
            viewport={"width": width, "height": height},
            color_scheme="dark" if arguments.dark else "light",
            reduced_motion="no-preference" if studio else "reduce",
        )
        page.set_default_timeout(_WAIT_MS)
        if not studio:
            page.goto(f"{Path(arguments.page).resolve().as_uri()}#t={arguments.at}")
        else:
            page.goto(arguments.page)
            if arguments.say:
                _say(page, arguments.listening)
            if arguments.recording:
                _give(page, arguments.recording, arguments.at)
        page.wait_for_timeout(1500)
        if arguments.doubt:
            _strip(page).save(arguments.picture, quality=82)
        else:
            page.screenshot(path=arguments.picture)
        browser.close()


def _microphone(speech: Path, file: Path) -> list[str]:
    """Flags of a Chromium that hears a file as its microphone; it takes WAV only."""
    with speech.open("rb") as source:
        samples = np.concatenate(list(decode(source, speech.name, AudioConfig())))
    with wave.open(str(file), "wb") as out:
        out.setparams((1, 2, _RATE_HZ, 0, "NONE", ""))
        out.writeframes((samples.clip(-1, 1) * 32767).astype("<i2").tobytes())
    fake = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    return [*fake, f"--use-file-for-fake-audio-capture={file}%noloop"]


def _say(page: Page, listening: bool) -> None:
    page.locator("#speak").click()
    page.locator("body[data-state=listening]").wait_for()
    if not listening:
        page.locator("body:is([data-state=shown], [data-state=choosing])").wait_for()
        page.mouse.move(0, 0)


def _strip(page: Page) -> Image.Image:
    """Doubt, the tap, and the picture, side by side."""
    choice = page.locator(".choice").first
    box = choice.bounding_box()
    assert box is not None, "nothing is in doubt"
    frames = [Image.open(io.BytesIO(page.screenshot())).convert("RGB") for _ in range(2)]
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    draw = ImageDraw.Draw(frames[1], "RGBA")
    for radius, ink in ((30, (255, 255, 255, 120)), (20, (40, 30, 24, 170))):
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=ink)
    choice.click()
    page.locator("body[data-state=shown]").wait_for()
    page.mouse.move(0, 0)
    page.wait_for_timeout(1500)
    frames.append(Image.open(io.BytesIO(page.screenshot())).convert("RGB"))
    width, height = frames[0].size
    strip = Image.new("RGB", (3 * width + 2 * _GAP_PX, height), "white")
    for place, frame in enumerate(frames):
        strip.paste(frame, (place * (width + _GAP_PX), 0))
    return strip


def _give(page: Page, recording: Path, at_s: float) -> None:
    page.locator("#file").set_input_files(recording)
    page.locator("#cancel").wait_for(state="visible")
    page.locator("#cancel").wait_for(state="hidden")
    page.locator("#audio").evaluate("(audio, seconds) => { audio.currentTime = seconds; }", at_s)
    page.locator("#play").click()
    page.wait_for_timeout(700)
    page.locator("#play").click()


if __name__ == "__main__":
    main()
