"""The page of a recording in a real browser: the right picture at its time, by sight."""

import io

import numpy as np
import pytest
from PIL import Image
from publish.recordings import square, tone, wav

from browser.waiting import wait
from s2i_core.publish.audio import web_audio
from s2i_core.publish.page import Card, Fault, Frame, Stretch, index_page, recording_page
from s2i_core.records import Skip

pytestmark = pytest.mark.browser

COLOURS = [(220, 40, 40), (40, 160, 60), (40, 60, 220), (230, 190, 40), (150, 50, 180), (30, 180, 190)]
STARTS = [0.4, 7.25, 13.8, 31.031, 44.5, 52.125]
MUSIC = Stretch(20.5, 31.031, Skip.NO_SPEECH)
DURATION_S = 60.0


def frames():
    ends = [7.25, 13.8, 20.5, 44.5, 52.125, DURATION_S]
    return [
        Frame(start, end, square(colour), "image/webp", 0.5)
        for start, end, colour in zip(STARTS, ends, COLOURS, strict=True)
    ]


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page with a space")
    sound, kind = web_audio(io.BytesIO(wav(tone(DURATION_S, 0.3))))
    page = recording_page("Six colours", sound, kind, frames(), DURATION_S, skipped=[MUSIC])
    (folder / "page.html").write_text(page, "utf-8")
    card, fault = Card("Six colours", "page.html#t=44.5", DURATION_S, 6, frames()), Fault("b.mp3", "it is empty", "…")
    (folder / "index.html").write_text(index_page([card], [fault]), "utf-8")
    return folder.as_uri()


on_both = pytest.mark.parametrize("page", [(1280, 860), (360, 740)], ids=["desktop", "phone"], indirect=True)


@pytest.fixture
def page(request, browser, address):
    """The page, open from disk; anything that it asks of another place or logs as an error fails the test."""
    width, height = getattr(request, "param", (1280, 860))
    context = browser.new_context(viewport={"width": width, "height": height}, reduced_motion="reduce")
    opened = context.new_page()
    wrong = []
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    opened.on("request", lambda r: None if r.url.startswith(("file:", "data:", "blob:")) else wrong.append(r.url))
    opened.goto(f"{address}/page.html")
    wait(opened, "document.getElementById('audio').readyState >= 2")
    yield opened
    context.close()
    assert wrong == []


def seen(page):
    """The colour in the middle of the big picture, as it is on the screen; None where it shows that there is none."""
    shot = page.locator(".now").screenshot()
    if page.locator("#rest").is_visible():
        return None
    with Image.open(io.BytesIO(shot)) as image:
        pixels = np.asarray(image.convert("RGB"))
    return pixels[pixels.shape[0] // 2, pixels.shape[1] // 2].astype(int)


def assert_shows(page, colour):
    found = seen(page)
    assert found is not None
    assert np.abs(found - colour).max() < 12, f"{found} is on the screen, not {colour}"


def seek(page, seconds):
    page.evaluate("s => { document.getElementById('audio').currentTime = s }", seconds)
    wait(page, "!document.getElementById('audio').seeking")
    # Two frames: one in which the page learns of it, one in which it is painted.
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


@on_both
def test_every_picture_is_shown_from_its_time_until_the_next(page):
    for index, (frame, colour) in enumerate(zip(frames(), COLOURS, strict=True)):
        for seconds in (frame.start_s, frame.end_s - 0.2):
            seek(page, seconds)
            assert_shows(page, colour)
        assert page.locator("#which").text_content() == f"Picture {index + 1} of 6"
        assert page.locator(".tile[aria-current]").count() == 1
    seek(page, 0.0)
    assert_shows(page, COLOURS[0])


def test_a_stretch_without_picture_says_why(page):
    seek(page, 25.0)
    assert seen(page) is None
    assert page.locator("#reason").text_content() == "Music or noise"
    assert page.locator("#rest").is_visible()


def test_a_click_on_a_thumbnail_jumps_to_it(page):
    for index in (4, 0, 5):
        tile = page.locator(".tile:not(.quiet)").nth(index)
        tile.click()
        wait(page, "!document.getElementById('audio').seeking")
        assert page.evaluate("document.getElementById('audio').currentTime") == pytest.approx(STARTS[index], abs=0.05)
        assert_shows(page, COLOURS[index])
        assert tile.get_attribute("aria-current") == "true"


@on_both
def test_a_click_on_the_timeline_jumps_there(page):
    box = page.locator("#timeline").bounding_box()
    page.mouse.click(box["x"] + box["width"] * 48 / DURATION_S, box["y"] + box["height"] / 2)
    wait(page, "!document.getElementById('audio').seeking")
    assert page.evaluate("document.getElementById('audio').currentTime") == pytest.approx(48, abs=1.5)
    assert_shows(page, COLOURS[4])


def test_keys_play_and_move(page):
    at = "document.getElementById('audio').currentTime"
    page.keyboard.press("Space")
    wait(page, f"{at} > 0.3")
    assert page.locator("#play").get_attribute("aria-label") == "Pause"
    page.keyboard.press("Space")
    assert page.evaluate("document.getElementById('audio').paused")
    seek(page, 10.0)
    page.keyboard.press("ArrowRight")
    wait(page, f"Math.abs({at} - 15) < 0.1")
    page.keyboard.press("ArrowLeft")
    wait(page, f"Math.abs({at} - 10) < 0.1")
    page.keyboard.press("Shift+ArrowRight")
    wait(page, f"Math.abs({at} - {STARTS[2]}) < 0.1")
    assert_shows(page, COLOURS[2])
    page.keyboard.press("Shift+ArrowLeft")
    wait(page, f"Math.abs({at} - {STARTS[1]}) < 0.1")


def test_pictures_change_while_it_plays(page):
    seek(page, STARTS[1] - 0.4)
    assert_shows(page, COLOURS[0])
    # The page itself notes when the picture changed, so that a busy machine does not decide.
    page.evaluate("""() => {
        const audio = document.getElementById('audio'), picture = document.getElementById('picture');
        new MutationObserver(() => { window.changedAt ??= audio.currentTime; }).observe(picture, { attributes: true });
    }""")
    page.locator("#play").click()
    wait(page, "window.changedAt !== undefined")
    page.locator("#play").click()
    assert page.evaluate("window.changedAt") == pytest.approx(STARTS[1], abs=0.5)
    seek(page, STARTS[1] + 1)
    assert_shows(page, COLOURS[1])


@on_both
def test_it_fits_the_window_and_names_its_controls(page):
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]
    for name in ("Play", "Previous picture", "Next picture", "Speed"):
        assert page.get_by_role("button", name=name, exact=True).count() >= 1
    slider = page.get_by_role("slider", name="Position in the recording")
    seek(page, 31.2)
    assert slider.get_attribute("aria-valuetext") == "0:31 of 1:00, Picture 4 of 6"


def test_the_index_leads_to_the_page_at_a_time(browser, address):
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{address}/index.html")
    assert "1 recording · 1:00 of sound · 6 pictures" in page.locator("header").inner_text()
    assert page.locator("#faults").is_visible()
    page.get_by_role("link", name="Six colours").click()
    wait(page, "document.getElementById('which').textContent === 'Picture 5 of 6'")
    assert_shows(page, COLOURS[4])
    context.close()


def test_without_a_script_all_is_still_there(browser, address):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{address}/page.html")
    assert page.locator("audio").is_visible()
    assert page.locator(".tile img").count() == 6
    assert not page.locator("#stage").is_visible()
    context.close()
