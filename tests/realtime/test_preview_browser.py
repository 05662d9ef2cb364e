"""The page in a real browser, over a stream whose pixels change with every frame."""

import itertools
import shutil
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from urllib.parse import urlsplit

import numpy as np
import pytest
from wire_samples import enhanced

from realtime import wire
from realtime.config import PreviewConfig, PublisherConfig
from realtime.preview import Preview
from realtime.publisher import Publisher

SWITCHES = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --disable-default-apps --disable-dev-shm-usage"
)
NO_NUMBER = "\N{EN DASH}"
PATIENCE_S = 20  # a loaded machine starts a browser slowly


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium")
    program = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if program is None or driver is None:
        pytest.skip("needs chromium and chromedriver")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for switch in [*SWITCHES.split(), f"--user-data-dir={tmp_path_factory.mktemp('browser')}"]:
        options.add_argument(switch)
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield browser
    browser.quit()


@contextmanager
def daemon(endpoint, *, face=True, status=None, seq=0):
    """Sends a frame 30 times a second, each of another blue, counted from seq on; a status five times a second."""
    stop = threading.Event()
    first = enhanced(face=face, height=48, width=64)

    def send():
        for number in itertools.count(seq + 1):
            if stop.wait(1 / 30):
                return
            crops = first.crops
            frame = replace(crops.frame, seq=number, captured_ns=time.monotonic_ns() - 12_000_000)
            changes = {"frame": frame}
            if face:
                changes["patches"] = np.full_like(crops.patches, [number % 200, 30, 90])
            now_ns = time.monotonic_ns()
            stamps_ns = {"landmarks": now_ns - 8_000_000, "crops": now_ns - 7_900_000, "engine": now_ns}
            sample = replace(first, crops=replace(crops, **changes), stamps_ns=stamps_ns)
            publisher.send(wire.encode(sample, stream=publisher.stream, dropped=3))
            if number % 6 == 0:
                values = {"fps": 30.0, "camera": {"name": "fake", "state": "ok", "fps": 30.0}} | (status or {})
                publisher.send(wire.encode_status(values, stream=publisher.stream))

    with Publisher(PublisherConfig(bind=endpoint)) as publisher:
        thread = threading.Thread(target=send)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


@pytest.fixture
def endpoint(tmp_path):
    return f"ipc://{tmp_path}/eyes"


@pytest.fixture
def preview(endpoint):
    with Preview(PreviewConfig(connect=endpoint, port=0)) as preview:
        yield preview


@pytest.fixture
def page(browser, preview):
    """The page, just loaded; at the end it must not have complained."""
    browser.set_window_size(1280, 900)
    browser.get(preview.url)
    browser.get_log("browser")
    yield browser
    complaints = [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    browser.get("about:blank")
    assert complaints == []


def text(page, selector):
    return page.execute_script("return document.querySelector(arguments[0]).textContent", selector)


def seq(page):
    """Of the frame shown, 0 before the first."""
    return int(page.execute_script("return document.querySelector('#pictures').dataset.seq ?? 0"))


def pixel(page, selector):
    """Red, green, blue of the first pixel of a canvas."""
    script = "return [...document.querySelector(arguments[0]).getContext('2d').getImageData(0, 0, 1, 1).data]"
    return page.execute_script(script, selector)[:3]


def style(page, selector, name):
    return page.execute_script(
        "return getComputedStyle(document.querySelector(arguments[0]))[arguments[1]]", selector, name
    )


def press(page, key):
    page.switch_to.active_element.send_keys(key)


def until(holds):
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, "did not come true"
        time.sleep(0.05)


def until_state(page, word):
    until(lambda: text(page, "#state span") == word)


def test_frames_move_and_numbers_change(page, endpoint):
    assert text(page, "#fps .value") == NO_NUMBER
    with daemon(endpoint):
        until_state(page, "Live")
        until(lambda: seq(page) > 0)
        first, colour = seq(page), pixel(page, ".raw canvas")
        until(lambda: seq(page) > first + 10)
        assert pixel(page, ".raw canvas") != colour
        until(lambda: text(page, "#fps .value") != NO_NUMBER)
        until(lambda: 5 < float(text(page, "#fps .value")) < 35)
        assert float(text(page, "#latency .value span")) >= 12
        assert text(page, "#dropped .value") == "3"
        rows = page.execute_script(
            "return [...document.querySelectorAll('#stages tbody tr')].map((row) => row.innerText)"
        )
        by_stage = {row.split("\t")[0]: row.split("\t")[-1] for row in rows}
        assert float(by_stage["engine"]) >= 7.9
        assert float(by_stage["crops"]) < 1
        until(lambda: page.execute_script("return document.querySelector('#fps .line').getAttribute('d').length > 20"))
        until(lambda: "fake" in text(page, "#details dl"))


def test_pixels_are_those_of_the_stream(page, endpoint):
    with daemon(endpoint):
        until(lambda: seq(page) > 0)
        shown = page.execute_script("""
            const canvas = document.querySelectorAll(".enhanced canvas")[1]
            return [canvas.width, canvas.height, ...canvas.getContext("2d").getImageData(0, 0, 128, 96).data]
        """)

    assert shown[:2] == [128, 96]
    rgb = np.array(shown[2:], np.uint8).reshape(96, 128, 4)[..., :3]
    np.testing.assert_array_equal(rgb, enhanced(height=48, width=64).patches[1, ..., ::-1])


def test_pause_holds_the_pictures_and_not_the_numbers(page, endpoint):
    with daemon(endpoint):
        until(lambda: seq(page) > 0)
        press(page, " ")
        until_state(page, "Paused")
        held, colour = seq(page), pixel(page, ".raw canvas")
        numbers = text(page, "#stages tbody")
        until(lambda: text(page, "#stages tbody") != numbers)
        assert (seq(page), pixel(page, ".raw canvas")) == (held, colour)
        assert text(page, "#pause").startswith("Resume")
        press(page, " ")
        until_state(page, "Live")
        until(lambda: seq(page) > held + 10)


def test_death_of_the_daemon_is_shown_and_recovered_from(page, endpoint):
    with daemon(endpoint):
        until_state(page, "Live")
        until(lambda: seq(page) > 30)
        assert style(page, "#notice", "visibility") == "hidden"
    until_state(page, "No stream")
    assert text(page, "#notice").startswith("No stream for ")
    assert style(page, "#notice", "visibility") == "visible"
    with daemon(endpoint, seq=10_000):
        until(lambda: seq(page) > 10_000)
        until_state(page, "Live")
        assert style(page, "#notice", "visibility") == "hidden"


def test_death_of_the_preview_is_shown_and_recovered_from(browser, endpoint):
    with daemon(endpoint):
        with Preview(PreviewConfig(connect=endpoint, port=0)) as preview:
            browser.get(preview.url)
            until_state(browser, "Live")
        until_state(browser, "No preview")
        with Preview(PreviewConfig(connect=endpoint, port=urlsplit(preview.url).port)):
            until_state(browser, "Live")
            before = seq(browser)
            until(lambda: seq(browser) > before)
        browser.get("about:blank")
        browser.get_log("browser")


def test_lost_camera_is_not_taken_for_a_dead_daemon(page, endpoint):
    with Publisher(PublisherConfig(bind=endpoint)) as publisher:

        def is_told():
            lost = {"camera": {"name": "fake", "state": "lost"}}
            publisher.send(wire.encode_status(lost, stream=publisher.stream))
            return text(page, "#notice b") == "The camera is lost"

        until(is_told)


def test_no_face_is_told(page, endpoint):
    with daemon(endpoint, face=False):
        until(lambda: text(page, "#notice b") == "No face")
        until(lambda: text(page, "#iris .note") == "no face found")


def test_small_iris_is_told_to_come_closer(page, endpoint):
    with daemon(endpoint, status={"hints": ["iris 3.1 px, expected at least 4.0"]}):
        until(lambda: text(page, "#iris .note") == "too small: move closer")
        until(lambda: text(page, "#hint") == "iris 3.1 px, expected at least 4.0")


def test_split_zoom_landmarks_and_pixels(page, endpoint):
    with daemon(endpoint):
        until(lambda: seq(page) > 0)
        press(page, "s")
        page.execute_script("""
            const divider = document.querySelector("#divider")
            divider.value = 25
            divider.dispatchEvent(new Event("input"))
        """)
        assert style(page, ".enhanced", "clip-path") == "inset(0px 0px 0px 25%)"
        press(page, "+")
        assert style(page, ".raw canvas", "transform") == "matrix(1.5, 0, 0, 1.5, 0, 0)"
        assert text(page, "#zoom + output") == "1.5\N{MULTIPLICATION SIGN}"
        press(page, "l")
        until(lambda: page.execute_script("return document.querySelector('.raw path').getAttribute('d')"))
        press(page, "x")
        assert style(page, ".raw canvas", "image-rendering") == "pixelated"


def test_theme_follows_the_system_until_it_is_chosen(page):
    ground = {}
    for theme in ("light", "dark"):
        feature = {"name": "prefers-color-scheme", "value": theme}
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
        ground[theme] = style(page, "body", "background-color")
    assert ground["light"] != ground["dark"]

    press(page, "t")
    assert style(page, "body", "background-color") == ground["light"]
    page.refresh()
    assert style(page, "body", "background-color") == ground["light"]
    page.execute_script("localStorage.clear()")
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_moves_when_the_stream_comes_and_goes(page, endpoint, width):
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 2, "mobile": width < 500}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def places():
        return page.execute_script("""
            const place = (id) => Object.values(document.getElementById(id).getBoundingClientRect().toJSON())
            return ["pictures", "pause", "state", "figures", "stages", "details"].map(place)
        """)

    try:
        until_state(page, "No stream")
        before = places()
        with daemon(endpoint):
            until(lambda: text(page, "#latency .value span") != NO_NUMBER)
            assert places() == before
            assert page.execute_script("return document.documentElement.scrollWidth <= innerWidth")
        until_state(page, "No stream")
        assert places() == before
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
