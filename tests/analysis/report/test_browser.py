"""The page in a real browser: Chromium, without a screen. Skipped where there is none (Debian: chromium-driver)."""

import importlib.util
import json
import os
import shutil
import threading
import time
from pathlib import Path

import pytest

import pcx.analysis.report as pxr
from pcx.cli._watch import serving

from .folders import row, run

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
NEEDED = {"chromium": CHROMIUM, "chromedriver": DRIVER, "selenium": importlib.util.find_spec("selenium")}
MISSING = [name for name, found in NEEDED.items() if found is None]
pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(MISSING), reason=f"needs {', '.join(MISSING)}")]

FLAGS = """--headless=new --no-sandbox --disable-gpu --no-first-run --disable-background-networking
    --disable-component-update --disable-sync --disable-dev-shm-usage --no-proxy-server"""
FOCUSED = "return document.activeElement"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    from selenium import webdriver
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service

    assert CHROMIUM is not None
    options = Options()
    options.binary_location = CHROMIUM
    for flag in [*FLAGS.split(), f"--user-data-dir={tmp_path_factory.mktemp('profile')}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    environment = os.environ | {"SE_OFFLINE": "true", "SE_AVOID_STATS": "true"}
    driver = webdriver.Chrome(options=options, service=Service(DRIVER, env=environment))
    driver.set_script_timeout(20)
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Pages as files: of a run, and of several with long names."""
    folder = tmp_path_factory.mktemp("pages")
    first = run(folder / "first", [row(epoch, network) for epoch in range(1, 13) for network in range(3)])
    name = "a-run-with-a-very-long-name-" * 4
    others = [
        run(folder / f"{name}{i}", [row(1 + i, accuracy=None), row(3 + i, margin=float(i))], lr=i, note="x" * 300)
        for i in (0, 1)
    ]
    made = {"one": pxr.read(first), "several": pxr.read(first) + [each for path in others for each in pxr.read(path)]}
    for name, records in made.items():
        (folder / f"{name}.html").write_text(pxr.page(records), encoding="utf-8")
    return folder


def show(browser, url, width=1280, scheme="light", media=""):
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": features})
    forget(browser)
    browser.get(url)
    # One that has just begun may still load a page of its own, and take the end of that for the end of this.
    there = "return location.href === new URL(arguments[0]).href && document.readyState === 'complete'"
    until(lambda: browser.execute_script(there, url))


def forget(browser):
    for kind in ("browser", "performance"):
        browser.get_log(kind)


def asked_for(browser):
    """The addresses that the browser has asked for, but for those of its own first page, which may still be loading."""
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    urls = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    return [url for url in urls if not url.startswith("chrome://")]


def brightness(browser, of, name):
    script = "return getComputedStyle(document.querySelector(arguments[0])).getPropertyValue(arguments[1])"
    colour = browser.execute_script(script, of, name)
    numbers = colour[colour.index("(") + 1 : -1].split(",")[:3]
    return sum(map(float, numbers)) / 3


@pytest.mark.parametrize("name", ["one", "several"])
@pytest.mark.parametrize(("width", "scheme"), [(360, "dark"), (360, "light"), (1280, "light"), (1280, "dark")])
def test_it_is_shown_at_any_width_light_and_dark(browser, pages, name, width, scheme):
    url = (pages / f"{name}.html").as_uri()
    show(browser, url, width, scheme)
    assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    assert browser.execute_script("return innerWidth") == width
    pictures = "return Array.from(document.querySelectorAll('.picture svg'), e => e.getBoundingClientRect().toJSON())"
    sizes = browser.execute_script(pictures)
    assert len(sizes) >= 4
    assert all(250 < size["width"] <= width and size["height"] > 150 for size in sizes)
    letters = "return Array.from(document.querySelectorAll('.picture text'), e => e.getBoundingClientRect().height)"
    assert min(browser.execute_script(letters)) > 9
    dark = scheme == "dark"
    assert (brightness(browser, "body", "background-color") < 60) == dark
    assert (brightness(browser, ".picture text", "fill") > 180) == dark
    assert browser.get_log("browser") == []
    assert {each for each in asked_for(browser) if not each.startswith("data:")} == {url}


def test_in_print_it_is_light_and_whole(browser, pages):
    show(browser, (pages / "one.html").as_uri(), width=720, scheme="dark", media="print")
    assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    assert brightness(browser, "body", "background-color") == 255
    assert brightness(browser, ".picture text", "fill") == 0
    assert browser.execute_script("return getComputedStyle(document.querySelector('nav')).display") == "none"
    browser.execute_script("dispatchEvent(new Event('beforeprint'))")
    assert browser.execute_script("return document.querySelectorAll('details:not([open])').length") == 0
    browser.execute_script("dispatchEvent(new Event('afterprint'))")
    assert browser.execute_script("return document.querySelectorAll('details[open]').length") == 0


def column(browser, table, place):
    script = (
        "return Array.from(document.getElementById(arguments[0]).tBodies[0].rows, r => r.cells[arguments[1]].innerText)"
    )
    return browser.execute_script(script, table, place)


def place_of(browser, title, head):
    """A table's id, and the place of a column in it."""
    script = """for (const table of document.querySelectorAll("table")) {
        if (table.caption.textContent !== arguments[0]) continue;
        const heads = Array.from(table.tHead.rows[0].cells, each => each.textContent);
        return [table.id, heads.indexOf(arguments[1])];
    }"""
    return browser.execute_script(script, title, head)


def test_tables_are_sorted_by_keyboard_alone(browser, pages):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    show(browser, (pages / "several.html").as_uri())
    table, place = place_of(browser, "Last epoch of each network", "accuracy")
    before, at = column(browser, table, place), None
    for _ in range(100):
        ActionChains(browser).send_keys(Keys.TAB).perform()
        at = browser.execute_script("""const head = document.activeElement.closest("thead th");
            return head && [head.closest("table").id, head.cellIndex];""")
        if at == [table, place]:
            break
    assert at == [table, place]
    assert browser.execute_script(f"{FOCUSED}.matches(':focus-visible')")
    numbers = sorted([float(each[:-1]) for each in before])
    for key, direction, expected in [(Keys.ENTER, "ascending", numbers), (Keys.SPACE, "descending", numbers[::-1])]:
        ActionChains(browser).send_keys(key).perform()
        assert browser.execute_script(f"{FOCUSED}.closest('th').ariaSort") == direction
        assert [float(each[:-1]) for each in column(browser, table, place)] == expected
    sorted_heads = f"{table} th[aria-sort]"
    assert browser.execute_script("return document.querySelectorAll(arguments[0]).length", f"#{sorted_heads}") == 1


def test_what_is_missing_is_last_both_ways(browser, pages):
    show(browser, (pages / "several.html").as_uri())
    table, place = place_of(browser, "Last epoch of each network", "margin")
    for expected in (["0", "1"], ["1", "0"]):
        browser.execute_script(f"document.getElementById('{table}').tHead.rows[0].cells[{place}].firstChild.click()")
        assert column(browser, table, place) == [*expected, "–", "–", "–"]


def test_nothing_can_be_fetched_from_the_page(browser, pages):
    show(browser, (pages / "one.html").as_uri())
    forbidden = browser.execute_async_script("""const done = arguments[0], found = new Set();
        addEventListener("securitypolicyviolation", (event) => {
            found.add(event.effectiveDirective);
            if (found.size === 3) done(Array.from(found).sort());
        });
        new Image().src = "http://127.0.0.1:9/x.png";
        fetch("http://127.0.0.1:9/").catch(() => {});
        const script = document.createElement("script");
        script.textContent = "window.ran = true";
        document.body.append(script);""")
    assert forbidden == ["connect-src", "img-src", "script-src-elem"]
    assert browser.execute_script("return window.ran") is None
    browser.get_log("browser")


def test_the_watched_page_refreshes_itself_and_stays_as_it_was(browser, tmp_path):
    folder = run(tmp_path / "live", [row(epoch, network) for epoch in (1, 2) for network in range(3)], log="resumed")
    with serving([folder], 0) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            show(browser, f"http://127.0.0.1:{server.server_port}/", 360)
            table, place = place_of(browser, "Last epoch of each network", "accuracy")
            button = f"document.getElementById('{table}').tHead.rows[0].cells[{place}].querySelector('button')"
            browser.execute_script(f"{button}.click(); {button}.click(); {button}.focus(); scrollTo(0, 700)")
            browser.execute_script(f"document.getElementById('{table}').closest('.scroll').scrollLeft = 60")
            browser.execute_script("document.querySelector('details').open = true")
            with (folder / "metrics.jsonl").open("a") as file:
                file.writelines(json.dumps(row(3, network)) + "\n" for network in range(3))
            until(lambda: column(browser, table, 2) == ["3", "3", "3"])
            shown = [float(each[:-1]) for each in column(browser, table, place)]
            assert shown == sorted(shown, reverse=True)
            assert browser.execute_script("return scrollY") == 700
            assert (
                browser.execute_script(f"return document.getElementById('{table}').closest('.scroll').scrollLeft") == 60
            )
            assert browser.execute_script(f"return document.activeElement === {button}")
            assert browser.execute_script("return document.querySelector('details').open")
            assert browser.get_log("browser") == []
            own = f"http://127.0.0.1:{server.server_port}/"
            assert {each for each in asked_for(browser) if not each.startswith("data:")} == {own}
        finally:
            server.shutdown()
            thread.join()
    until(lambda: "has ended" in browser.execute_script("return document.querySelector('.live').textContent"))


def test_a_page_that_waits_becomes_that_of_the_run(browser, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = Path("runs/later")
    text = "return document.querySelector(arguments[0]).textContent"
    with serving([folder], 0, [folder]) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            show(browser, f"http://127.0.0.1:{server.server_port}/", 360)
            assert "Waiting for runs/later to begin." in browser.execute_script(text, "main")
            assert browser.execute_script(text, "h1") == "runs/later"
            run(folder, [row(1)], log="began")
            until(lambda: "vodes[0]" in browser.execute_script(text, "main"))
            assert "Waiting" not in browser.execute_script(text, "main")
            assert browser.execute_script(text, "h1") == "later"
            assert browser.title == "later – pcx report"
            assert browser.get_log("browser") == []
        finally:
            server.shutdown()
            thread.join()


def until(condition):
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)
