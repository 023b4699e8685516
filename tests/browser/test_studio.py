"""The Studio in a real browser: a WAV is its microphone, the service behind it is real, with a tiny model."""

import base64
import contextlib
import io
import re
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from audio.audio_files import wav
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from tiny import doubting_pipeline, tiny_pipeline

from browser.waiting import wait
from cluster.serve.settings import Limits, ServeSettings
from s2i_core import presets
from s2i_core.audio.decode import decode
from s2i_core.config import AudioConfig, ImageConfig, ModelConfig, SceneConfig
from s2i_core.models.decoders.native.denoiser import Denoiser

sys.path.insert(0, str(Path(__file__).parents[1] / "cluster" / "serve"))

from inprocess import InProcess, uvicorn_server

pytestmark = pytest.mark.browser

RATE_HZ = 16000
HUSH_S = 1.0  # before somebody speaks
SIZE_PX = 64
STEPS, STEP_S = 4, 0.15  # a step of a real model takes longer than the file of its preview; a tiny one does not
STATE = "document.body.dataset.state"
MADE = "document.querySelectorAll('#made > li').length"
PHONE = {"viewport": {"width": 360, "height": 740}, "color_scheme": "dark"}
DESKTOP = {"viewport": {"width": 1280, "height": 880}, "color_scheme": "light"}


# ---------------------------------------------------------------------------------------------------- the service


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two-styles")
    pipeline = tiny_pipeline()
    sizes = {"token_width": 8, "embedding_width": 8, "widths": (8, 16), "head_width": 8, "groups": 4}
    pipeline.register_modules(denoiser=Denoiser(styles=("3d", "sketch"), **sizes))
    pipeline.save_pretrained(folder)
    run = presets.cpu().model_copy(
        update={
            "model": ModelConfig(checkpoint=str(folder), device="cpu", threads=1),
            "scenes": SceneConfig(min_s=2, max_s=4, min_confidence=-1),
            "image": ImageConfig(size_px=SIZE_PX, steps=STEPS, format="png"),
        }
    )
    return ServeSettings(run=run, limits=Limits(max_clips=4, max_live=4))


@pytest.fixture(scope="module")
def service(settings):
    service = InProcess(settings)
    service.generator._model.decoder.denoiser.register_forward_pre_hook(lambda *_: time.sleep(STEP_S))
    return service


@pytest.fixture(scope="module")
def doubting_url(settings, tmp_path_factory):
    """Of a service that is never sure what was said."""
    folder = tmp_path_factory.mktemp("doubting")
    doubting_pipeline().save_pretrained(folder)
    model = settings.run.model.model_copy(update={"checkpoint": str(folder)})
    run = settings.run.model_copy(update={"model": model, "scenes": SceneConfig(min_s=2, max_s=4)})
    with uvicorn_server(InProcess(settings.model_copy(update={"run": run})).app) as url:
        yield url


@pytest.fixture(scope="module")
def url(service):
    with uvicorn_server(service.app) as url:
        yield url


# ---------------------------------------------------------------------------------------------------- the browser


@pytest.fixture(scope="module")
def speech():
    """Four seconds of speech `(T,)` at 16 kHz."""
    from cluster.serve.clips.decoding import example

    return np.concatenate(list(decode(io.BytesIO(example()), "the example", AudioConfig())))


@pytest.fixture(scope="module")
def chromium(launch, speech, tmp_path_factory):
    """A Chromium that hears HUSH_S of silence, the speech, and silence, whenever a page opens its microphone."""
    voice = tmp_path_factory.mktemp("microphone") / "voice.wav"
    silence = np.zeros(int(HUSH_S * RATE_HZ))
    voice.write_bytes(wav(np.concatenate([silence, speech, silence])[:, None], RATE_HZ))
    return launch(
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-audio-capture={voice}%noloop",
    )


@contextlib.contextmanager
def opened(browser, url, script="", faults=(), **options):
    """The page; what it logs as an error, asks of another host or does against its policy fails the test.

    Args:
        script: runs before the page's own.
        faults: parts of messages that the browser itself logs in this test, such as for a status that it asks for.
    """
    context = browser.new_context(**(DESKTOP | options))
    context.add_init_script(script)
    page = context.new_page()
    wrong = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    page.on("request", lambda request: wrong.append(request.url) if not request.url.startswith(ours) else None)
    page.on("websocket", lambda socket: wrong.append(socket.url) if not socket.url.startswith(ours) else None)
    ours = (url, url.replace("http", "ws"), "blob:")
    page.goto(url)
    wait(page, "document.getElementById('style-name').textContent || document.body.dataset.styles === '1'")
    yield page
    context.close()
    assert [text for text in wrong if not any(fault in text for fault in faults)] == []


@pytest.fixture(params=[DESKTOP, PHONE], ids=["desktop-light", "phone-dark"])
def page(request, chromium, url):
    with opened(chromium, url, **request.param) as page:
        yield page


@pytest.fixture
def desktop(chromium, url):
    with opened(chromium, url) as page:
        yield page


def reaches(page, state, seconds=60):
    wait(page, f"{STATE} === '{state}'", seconds)


def shown(page):
    """The pixels of the picture on the stage."""
    wait(page, "document.getElementById('picture').naturalWidth > 0")
    data = page.evaluate("""() => {
        const picture = document.getElementById('picture');
        const canvas = new OffscreenCanvas(picture.naturalWidth, picture.naturalHeight);
        const context = canvas.getContext('2d');
        context.drawImage(picture, 0, 0);
        const { data, width, height } = context.getImageData(0, 0, canvas.width, canvas.height);
        return [height, width, btoa(String.fromCharCode(...data))];
    }""")
    height, width, pixels = data
    return np.frombuffer(base64.b64decode(pixels), np.uint8).reshape(height, width, 4)[..., :3]


def assert_sound(page):
    """Nothing that keeps people out (axe-core: WCAG 2.2 and good practice), and nothing wider than the screen."""
    # Half-faded things have half their contrast.
    page.evaluate("""() => {
        const brief = document.getAnimations().filter((each) => each.effect.getTiming().iterations < 9);
        return Promise.allSettled(brief.map((each) => each.finished));
    }""")
    found = Axe().run(page).response["violations"]
    assert [(each["id"], [node["target"] for node in each["nodes"]]) for each in found] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]


# ---------------------------------------------------------------------------------------------------- speaking


def test_a_tap_and_a_picture_appears(page):
    assert_sound(page)
    page.evaluate("""() => new MutationObserver(() => {
        const [picture] = document.getElementsByClassName('previewing');
        if (picture) window.blurs = [...(window.blurs ?? []), document.getElementById('picture').style.filter];
    }).observe(document.getElementById('picture'), { attributes: true })""")
    page.get_by_role("button", name="Speak").click()
    reaches(page, "listening")
    assert page.get_by_role("button", name="Stop").count() == 1
    wait(page, "document.getElementById('status').textContent === 'I hear you'")
    # Nobody presses anything: the pause after the words ends it.
    reaches(page, "shown")
    assert page.get_by_role("status").text_content() == "Here is your picture"
    assert shown(page).shape == (SIZE_PX, SIZE_PX, 3)
    blurs = [float(each[5:-3]) for each in page.evaluate("window.blurs") if each]
    assert len(set(blurs)) > 1 and blurs == sorted(blurs, reverse=True), "previews must become sharper"
    assert page.get_by_alt_text(re.compile(r"^\S.* In the style 3D\.$")).is_visible()
    box = page.locator("#speak").bounding_box()
    assert box["y"] + box["height"] < page.viewport_size["height"], "the button must be on the screen"
    assert_sound(page)


def test_holding_speaks_until_it_is_let_go(desktop):
    box = desktop.locator("#speak").bounding_box()
    desktop.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    desktop.mouse.down()
    reaches(desktop, "listening")
    # Half a second short of the speech's end: only the hand says that this was it.
    desktop.wait_for_timeout(1000 * (HUSH_S + 3.5))
    assert desktop.evaluate(STATE) == "listening"
    desktop.mouse.up()
    assert desktop.evaluate(STATE) == "drawing"
    reaches(desktop, "shown")


def test_with_the_keyboard_alone(desktop):
    def tab_to(name):
        for _ in range(20):
            desktop.keyboard.press("Tab")
            if desktop.evaluate("document.activeElement.textContent.trim()").startswith(name):
                return
        raise AssertionError(f"Tab never comes to {name}")

    tab_to("Style")
    desktop.keyboard.press("Enter")
    assert desktop.get_by_role("radio", name="3D").is_checked()
    assert_sound(desktop)
    desktop.keyboard.press("ArrowRight")
    desktop.keyboard.press("Enter")
    assert desktop.get_by_role("dialog").count() == 0
    tab_to("Recording")
    desktop.keyboard.press("Tab")
    assert desktop.evaluate("document.activeElement.id") == "speak"
    desktop.keyboard.down("Space")
    reaches(desktop, "listening")
    wait(desktop, "document.getElementById('status').textContent === 'I hear you'")
    desktop.wait_for_timeout(1500)
    desktop.keyboard.up("Space")
    reaches(desktop, "shown")
    assert desktop.get_by_alt_text(re.compile(r"^\S.* In the style Sketch\.$")).is_visible()
    assert shown(desktop).shape == (SIZE_PX, SIZE_PX, 3)


def test_a_browser_that_cannot_stream_sends_what_it_recorded(chromium, url):
    with opened(chromium, url, "delete window.AudioWorkletNode") as page:
        page.locator("#speak").click()
        reaches(page, "listening")
        page.wait_for_timeout(1000 * (HUSH_S + 3))
        page.locator("#speak").click()
        reaches(page, "shown")
        assert shown(page).shape == (SIZE_PX, SIZE_PX, 3)


def speak_shortly(page):
    page.locator("#speak").click()
    reaches(page, "listening")
    page.wait_for_timeout(1000 * (HUSH_S + 1.5))
    page.locator("#speak").click()


def test_a_picture_is_drawn_again_kept_taken_away_and_there_after_a_reload(desktop):
    desktop.get_by_role("button", name="Speak").click()
    reaches(desktop, "shown")
    first = shown(desktop)
    desktop.get_by_role("button", name="Again").click()
    wait(desktop, f"{STATE} !== 'shown'")
    reaches(desktop, "shown")
    second = shown(desktop)
    assert not np.array_equal(first, second), "the same words with other noise are another picture"
    assert desktop.locator("#made > li").count() == 2

    desktop.get_by_role("button", name="Keep").click()
    wait(desktop, "document.getElementById('keep').getAttribute('aria-pressed') === 'true'")
    with desktop.expect_download() as download:
        desktop.locator("#download").click()
    with Image.open(download.value.path()) as file:
        assert np.array_equal(np.asarray(file.convert("RGB")), second)

    # Both stay, the kept one marked, until they are deleted.
    desktop.reload()
    wait(desktop, f"{MADE} === 2")
    desktop.locator("#made button").first.click()
    wait(desktop, "document.getElementById('keep').getAttribute('aria-pressed') === 'true'")
    assert np.array_equal(shown(desktop), second)
    desktop.get_by_role("button", name="Delete", exact=True).click()
    assert desktop.evaluate(STATE) == "idle" and desktop.evaluate(MADE) == 1
    desktop.reload()
    wait(desktop, f"{MADE} === 1")
    for name in ("Delete all", "Really all?"):
        desktop.get_by_role("button", name=name).click()
    assert desktop.locator("#shelf").is_hidden()
    desktop.reload()
    desktop.wait_for_timeout(200)
    assert desktop.evaluate(MADE) == 0


def test_a_press_while_it_draws_drops_nothing(desktop):
    speak_shortly(desktop)
    reaches(desktop, "drawing")
    desktop.locator("#speak").click()
    reaches(desktop, "listening")
    desktop.keyboard.press("Escape")
    wait(desktop, f"{MADE} === 1")
    assert desktop.evaluate(STATE) == "idle"


def test_a_browser_that_keeps_nothing_says_so_and_draws(chromium, url):
    refuse = "get() { throw new Error('refused'); }"
    script = "".join(
        f"Object.defineProperty(window, '{name}', {{ {refuse} }});"
        for name in ("indexedDB", "localStorage", "sessionStorage")
    )
    with opened(chromium, url, script) as page:
        speak_shortly(page)
        reaches(page, "shown")
        assert "only while the page is open" in page.get_by_role("status").text_content()
        assert page.evaluate(MADE) == 1


def test_where_it_doubts_a_tap_says_what_was_meant_and_is_remembered(chromium, doubting_url):
    with opened(chromium, doubting_url, **PHONE) as page:
        names = "[...document.querySelectorAll('.choice')].map((each) => each.getAttribute('aria-label'))"
        meant = "JSON.parse(localStorage['s2i.meant']).map((each) => each.thing)"
        speak_shortly(page)
        reaches(page, "choosing")
        assert page.get_by_role("status").text_content() == "Which one did you mean?"
        assert page.locator(".choice img").count() == 3 and page.evaluate(names)[3] == "None of these"
        assert_sound(page)
        wanted = page.locator(".choice img").nth(1).get_attribute("src")
        page.keyboard.press("2")
        reaches(page, "shown")
        assert page.locator("#picture").get_attribute("src") == wanted and page.locator("#made > li").count() == 1
        (thing,) = page.evaluate(meant)
        page.evaluate(
            "localStorage['s2i.meant'] = JSON.stringify([{thing: 7}, ...JSON.parse(localStorage['s2i.meant'])])"
        )

        # The same words once more: what was meant is the first, and what is broken does no harm.
        speak_shortly(page)
        reaches(page, "choosing")
        page.locator(".choice").nth(0).click()
        reaches(page, "shown")
        assert page.evaluate(meant)[-1] == thing
        # It was not meant after all: the others come, and then there are no more.
        page.get_by_role("button", name="Again").click()
        reaches(page, "choosing")
        page.get_by_role("button", name="None of these").click()
        wait(page, f"{STATE} !== 'choosing'")
        reaches(page, "choosing")
        page.locator(".choice").nth(0).click()
        reaches(page, "shown")
        assert page.evaluate(meant)[-1] != thing


# ---------------------------------------------------------------------------------------------------- what goes wrong


def notice(page):
    reaches(page, "notice")
    assert page.get_by_role("alert").text_content().startswith(page.locator("#notice-title").text_content())
    covered = """() => {
        const title = document.getElementById('notice-title');
        title.scrollIntoView({ block: 'nearest' });
        const { x, y, width, height } = title.getBoundingClientRect();
        return document.elementFromPoint(x + width / 2, y + height / 2) !== title;
    }"""
    assert not page.evaluate(covered), "something lies over what is said"
    return page.locator("#notice-title").text_content()


def test_no_words_are_no_fault(desktop):
    desktop.locator("#speak").click()
    reaches(desktop, "listening")
    desktop.locator("#speak").click()
    assert notice(desktop) == "I heard no words"
    assert_sound(desktop)
    desktop.locator("#notice-first").click()
    reaches(desktop, "listening")
    assert desktop.evaluate("document.activeElement.id") == "speak"


def test_a_microphone_that_gives_nothing_is_noticed_and_another_can_be_chosen(chromium, url):
    mute = "MediaDevices.prototype.getUserMedia = async () => new AudioContext().createMediaStreamDestination().stream;"
    with opened(chromium, url, mute, **PHONE) as page:
        page.context.grant_permissions(["microphone"])
        page.locator("#speak").click()
        reaches(page, "listening")
        wait(page, "document.getElementById('status').textContent.includes('muted')")
        assert_sound(page)
        page.locator("#speak").click()
        assert notice(page) == "The microphone is silent"
        page.get_by_label("Microphone", exact=True).select_option(index=2)
        assert_sound(page)
        assert page.evaluate("localStorage['s2i.microphone'] === document.getElementById('microphone').value")
        page.get_by_role("button", name="Speak").first.click()
        reaches(page, "listening")


def test_a_microphone_that_is_taken_away_leaves_what_was_said(chromium, url):
    hook = """{
        const open = MediaDevices.prototype.getUserMedia;
        MediaDevices.prototype.getUserMedia = async function (wishes) {
            return window.stream = await open.call(this, wishes);
        };
    }"""
    with opened(chromium, url, hook) as page:
        page.locator("#speak").click()
        reaches(page, "listening")
        page.wait_for_timeout(1000 * (HUSH_S + 1.5))
        page.evaluate("window.stream.getTracks()[0].dispatchEvent(new Event('ended'))")
        reaches(page, "shown")


def test_without_a_microphone_a_recording_still_works(browser, url):
    with opened(browser, url, **PHONE) as page:
        page.locator("#speak").click()
        assert notice(page) in {"I find no microphone", "The microphone is locked"}
        assert_sound(page)
        with page.expect_file_chooser():
            page.get_by_role("button", name="Choose a recording").click()


def test_a_microphone_that_is_denied_can_be_allowed(launch, url):
    chromium = launch("--use-fake-device-for-media-stream", "--deny-permission-prompts")
    with opened(chromium, url) as page:
        page.locator("#speak").click()
        assert notice(page) == "The microphone is locked"
        page.context.grant_permissions(["microphone"])
        page.get_by_role("button", name="Try again").click()
        reaches(page, "listening")
        page.keyboard.press("Escape")
        assert page.evaluate(STATE) == "idle"
    chromium.close()


def test_a_busy_service_is_asked_again_by_itself(chromium, url, service):
    with opened(chromium, url, faults=["503"]) as page, contextlib.ExitStack() as crowd:
        for _ in range(4):
            crowd.enter_context(service.service.clips.take(1.0))
            crowd.enter_context(service.service.live.take(None))
        speak_shortly(page)
        assert notice(page) == "Many are drawing right now"
        assert "Trying again in" in page.locator("#notice-text").text_content()
        crowd.close()
        reaches(page, "shown")


def test_a_lost_connection_keeps_what_was_said(chromium, url):
    with opened(chromium, url, faults=["ERR_INTERNET_DISCONNECTED", "WebSocket"]) as page:
        page.context.set_offline(True)
        speak_shortly(page)
        assert notice(page) == "The connection is lost"
        page.context.set_offline(False)
        page.get_by_role("button", name="Try again").click()
        reaches(page, "shown")


def test_a_press_before_the_page_is_there_counts(chromium, url):
    context = chromium.new_context(**DESKTOP)
    page = context.new_page()
    held = []
    page.route("**/studio/studio.js", lambda route: held.append(route))  # noqa: PLW0108 -- Playwright marks it
    page.goto(url, wait_until="commit")
    page.locator("#speak").click()
    assert page.evaluate(STATE) == "opening"
    assert len(held) == 1
    held[0].continue_()
    reaches(page, "listening")
    context.close()


def test_without_a_network_the_page_is_there_and_says_so(chromium, url):
    # Chromium logs what the network did not answer.
    with opened(chromium, url, faults=["ERR_INTERNET_DISCONNECTED", "Failed to load"]) as page:
        kept = "caches.open('studio').then((cache) => cache.keys()).then((all) => all.length > 15)"
        wait(page, f"navigator.serviceWorker.controller && {kept}")
        page.context.set_offline(True)
        page.reload()
        wait(page, "document.getElementById('status').textContent.startsWith('There is no connection')")
        assert page.get_by_role("button", name="Speak").is_visible()
        assert_sound(page)
        page.context.set_offline(False)
        wait(page, "document.getElementById('style').hidden === false")
        assert page.get_by_role("status").text_content() == ""


def test_what_is_shown_is_said_by_a_voice_of_this_machine(chromium, url):
    voices = """
        window.said = [];
        const voices = [{ lang: 'en-US', localService: LOCAL, name: 'a voice' }];
        Object.defineProperty(window, 'speechSynthesis', { value: {
            getVoices: () => voices, cancel() {}, addEventListener() {}, speak: ({ text }) => window.said.push(text),
        } });
        window.SpeechSynthesisUtterance = class { constructor(text) { this.text = text; } };
    """
    with opened(chromium, url, voices.replace("LOCAL", "false")) as page:
        assert page.locator("#aloud").is_hidden(), "a voice elsewhere would be told what is shown"
    with opened(chromium, url, voices.replace("LOCAL", "true"), **PHONE) as page:
        page.get_by_role("button", name="Say what is shown").click()
        speak_shortly(page)
        reaches(page, "shown")
        assert page.locator("#picture").get_attribute("alt").startswith(page.evaluate("window.said.at(-1)"))
        assert_sound(page)


def test_a_place_with_keys_asks_for_one(chromium, service, settings, tmp_path):
    from cluster.serve.clips.service import Service
    from cluster.serve.http.application import build
    from cluster.serve.keys import add

    file = tmp_path / "keys.json"
    key = add(file, "reader", images_per_minute=60, audio_s_per_day=60)
    closed = settings.model_copy(update={"access": "keys", "keys_file": str(file)})
    inner = service.service
    app = build(Service(closed, inner._encoder, inner._generator, inner.desk))
    with uvicorn_server(app) as url, opened(chromium, url, faults=["401", "WebSocket"]) as page:
        speak_shortly(page)
        assert notice(page) == "This place needs a key"
        assert_sound(page)
        page.get_by_label("Key").fill(key)
        page.keyboard.press("Enter")
        reaches(page, "shown")


# ---------------------------------------------------------------------------------------------------- recordings


def drop(page, name, data):
    """Drop a file on the page."""
    page.evaluate(
        """([name, data]) => {
        const transfer = new DataTransfer();
        transfer.items.add(new File([Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0))], name));
        for (const type of ['dragenter', 'dragover', 'drop']) {
            const options = { bubbles: true, cancelable: true, dataTransfer: transfer };
            document.body.dispatchEvent(new DragEvent(type, options));
        }
    }""",
        [name, base64.b64encode(data).decode()],
    )


def test_the_scenes_of_a_recording_appear_and_play(page, speech):
    pause = np.zeros(int(1.5 * RATE_HZ))
    sound = np.concatenate([speech, pause, speech[::-1], pause, speech])
    drop(page, "three_times-the-same.wav", wav(sound[:, None], RATE_HZ))
    assert page.get_by_role("heading", level=1).text_content() == "three times the same"
    wait(page, "document.getElementById('cancel').hidden")
    count = page.locator("#scenes img").count()
    assert count >= 2
    assert f"{count} pictures drawn from the sound alone" in page.locator("#subtitle").text_content()
    assert_sound(page)

    starts = page.evaluate("[...document.querySelectorAll('#scenes .tile')].map(tile => tile.textContent)")
    audio = "document.getElementById('audio')"
    page.locator("#scenes .tile").nth(1).click()
    wait(page, f"!{audio}.seeking && {audio}.currentTime > 1")
    assert page.locator("#scenes [aria-current]").text_content() == starts[1]
    second = page.evaluate("document.getElementById('picture').src")
    page.keyboard.press("Home")
    page.locator("#back").focus()
    page.keyboard.press("k")
    wait(page, f"{audio}.currentTime > 0.2 && !{audio}.paused")
    assert page.get_by_role("button", name="Pause").count() == 1
    assert page.evaluate("document.getElementById('picture').src") != second
    page.keyboard.press("Shift+ArrowRight")
    wait(page, f"document.getElementById('picture').src === '{second}'")
    slider = page.get_by_role("slider", name="Position in the recording")
    assert f"Picture 2 of {count}" in slider.get_attribute("aria-valuetext")
    page.go_back()
    assert page.get_by_role("button", name="Speak").is_visible(), "Back leaves the recording, not the page"
    assert page.evaluate(f"{audio}.paused")


def test_what_is_unsure_in_a_recording_is_marked_and_can_be_left_out(chromium, doubting_url, speech):
    with opened(chromium, doubting_url, **PHONE) as page:
        pause = np.zeros(int(2.5 * RATE_HZ))
        drop(page, "twice.wav", wav(np.concatenate([speech, pause, speech[::-1]])[:, None], RATE_HZ))
        wait(page, "document.getElementById('cancel').hidden")
        count = page.locator("#scenes .maybe img").count()
        assert count == page.locator("#scenes img").count() >= 1
        assert f"{count} of them maybe" in page.locator("#subtitle").text_content()
        assert page.locator("#caption").text_content().startswith("Maybe")
        assert_sound(page)
        page.get_by_role("slider", name="Unsure pictures").focus()
        page.keyboard.press("Home")
        assert page.locator("#scenes img").count() == 0 and page.locator("#rest svg").is_visible()
        assert page.locator("#reason").text_content() == "Nothing to draw"
        assert_sound(page)
        page.keyboard.press("End")
        assert page.locator("#scenes img").count() == count


def test_a_file_that_is_no_sound_is_said_to_be_none(desktop):
    drop(desktop, "letter.mp3", b"Dear reader, this is not a sound." * 40)
    assert notice(desktop) == "I cannot read this file"
    assert_sound(desktop)
    desktop.get_by_role("button", name="Speak").last.click()
    assert desktop.evaluate(STATE) == "idle"
