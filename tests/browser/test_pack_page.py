"""The page of a pack and the gallery in a real browser: from files beside them, with the search, and nothing barred."""

import io

import pytest
from axe_playwright_python.sync_playwright import Axe
from packs.episodes import COLOURS, encoded
from publish.recordings import square
from rows_for_tests import image, recording, scene

from browser.waiting import wait
from s2i_core.config import PackConfig
from s2i_core.packs.episode import Rows
from s2i_core.packs.pack import write_pack
from s2i_core.publish.page import Exhibit, Exhibited, gallery_page
from s2i_core.records import row

pytestmark = pytest.mark.browser

ALTS = ("A cow on a farm.", "Two horses by a river.", "A boat at sea.")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    home = tmp_path_factory.mktemp("a gallery")
    scenes = [scene("a", number) for number in range(3)]
    scores = (0.3, 0.9, 0.2)
    images = [
        row(image(each, alt=alt, similarity=score)) for each, alt, score in zip(scenes, ALTS, scores, strict=True)
    ]
    colours = {image["key"]: colour for image, colour in zip(images, COLOURS[:3], strict=True)}
    rows = Rows(row(recording("a", duration_s=30.0)), [row(each) for each in scenes], images)
    sound = io.BytesIO(encoded("libopus", "ogg", 30.0))
    read = lambda of: square(colours[of["key"]], 64)  # noqa: E731
    pack = write_pack(home / "id-a", rows, "Farm & sea", sound, read, PackConfig(film=False))
    shown = [Exhibit(f"id-a/{each['file']}", each["start_s"], each["title"]) for each in pack.shown]
    (home / "index.html").write_text(gallery_page([Exhibited("Farm & sea", "id-a/index.html", 30.0, shown)]), "utf-8")
    return home


@pytest.fixture(params=[(1280, 860, "light"), (390, 780, "dark")], ids=["desktop", "phone"])
def page(request, browser):
    width, height, scheme = request.param
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce"
    )
    opened = context.new_page()
    wrong = []
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    opened.on("request", lambda r: None if r.url.startswith(("file:", "data:", "blob:")) else wrong.append(r.url))
    yield opened
    context.close()
    assert wrong == []


def free_of_barriers(page):
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_page_plays_the_files_beside_it(page, folder):
    page.goto((folder / "id-a" / "index.html").as_uri())
    assert page.locator("#begin").is_visible()
    assert page.locator("#which").text_content() == "Picture 2 of 3"  # the best one stands for the recording
    free_of_barriers(page)
    page.locator("#begin").click()
    wait(page, "document.getElementById('audio').currentTime > 0.1")
    assert page.locator("#begin").is_hidden()
    assert page.locator("#which").text_content() == "Picture 1 of 3"
    assert "A cow on a farm." in page.locator("#picture").get_attribute("alt")
    assert page.evaluate("[...document.querySelectorAll('.tile img')].every(one => one.naturalWidth === 64)")
    page.keyboard.press("Space")
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("s")
    assert page.locator("#link").input_value().endswith("index.html#t=10")
    assert "?embed#t=10" in page.locator("#embed").input_value()
    free_of_barriers(page)
    page.keyboard.press("Escape")
    assert page.locator("#sharing").is_hidden()


def test_a_shared_moment_and_an_embedded_player(page, folder):
    page.goto((folder / "id-a" / "index.html").as_uri() + "?embed#t=21")
    assert page.locator("#which").text_content() == "Picture 3 of 3"
    assert page.locator("#begin").is_hidden() and page.locator("#strip").is_hidden()
    assert page.locator("#play").is_visible()


def test_the_gallery_finds_what_is_shown(page, folder):
    page.goto((folder / "index.html").as_uri())
    free_of_barriers(page)
    page.keyboard.press("/")
    page.keyboard.type("HORSE riv")
    assert page.locator("#found").text_content() == "1 picture in 1 recording"
    assert page.locator(".pictures li:visible").count() == 1
    page.keyboard.press("Escape")
    assert page.locator(".pictures li:visible").count() == 3
    page.locator("#wanted").fill("<b>")
    assert page.locator("#found").text_content() == "No picture shows that."
    page.goto((folder / "index.html").as_uri() + "#q=boat")
    page.locator(".pictures li:visible a").click()
    wait(page, "location.href.endsWith('id-a/index.html#t=20.0')")
    assert page.locator("#which").text_content() == "Picture 3 of 3"
