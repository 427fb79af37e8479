"""Opens the built site in Chromium, without a screen, as a phone and a desktop see it, in light and dark.

    python docs/hooks/look.py                          all pages of site/
    python docs/hooks/look.py index.html start.html    these
    ... --pictures FOLDER                              and keeps pictures of them

It fails where the console shows an error, where anything comes from elsewhere, where a picture or a link inside of the
site leads nowhere, where a page is wider than the screen, or where axe-core finds a serious fault of accessibility. It
needs the extra `test`, Chromium and its driver.
"""

import argparse
import importlib.util
import json
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).parents[2]
WIDTHS = {"phone": (390, 844), "desktop": (1440, 900)}
SCHEMES = ("light", "dark")
FLAGS = """--headless=new --no-sandbox --disable-gpu --no-first-run --disable-background-networking
    --disable-component-update --disable-sync --disable-dev-shm-usage --no-proxy-server
    --allow-file-access-from-files --hide-scrollbars"""
RUN_AXE = """
const done = arguments[arguments.length - 1];
axe.run(document, {resultTypes: ["violations"]}).then(
    found => done(found.violations.map(v => [v.impact, v.id, v.nodes.map(n => n.target.join(" ")).slice(0, 4)])),
    error => done([["critical", String(error), []]]));
"""
BROKEN = """
return [...document.images].filter(i => i.complete && !i.naturalWidth && i.offsetParent).map(i => i.src);
"""
THERE = "return location.href === new URL(arguments[0]).href && document.readyState === 'complete'"
TOO_WIDE = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"


def axe_core() -> str:
    """The script of axe-core, as a package of Python carries it."""
    found = importlib.util.find_spec("axe_core_python")
    if found is None or not found.submodule_search_locations:
        sys.exit("axe-core is not installed; run: pip install axe-core-python")
    return Path(found.submodule_search_locations[0], "axe.min.js").read_text(encoding="utf-8")


def links_of(page: Path) -> Iterator[tuple[str, Path, str]]:
    """The links of a page that stay inside of the site: the link, the file and the anchor."""
    text = page.read_text(encoding="utf-8")
    for link in re.findall(r'(?:href|src)="([^"]+)"', text):
        parts = urlsplit(link)
        if parts.scheme or parts.netloc or link.startswith("data:"):
            continue
        path = unquote(parts.path)
        place = (page.parent / path).resolve() if path else page.resolve()
        yield link, place / "index.html" if place.is_dir() else place, unquote(parts.fragment)


def broken_links(site: Path) -> list[str]:
    """The links inside of the site that lead nowhere."""
    found, anchors = [], {}
    for page in sorted(site.rglob("*.html")):
        if page.name == "404.html":  # its links are the host's
            continue
        for link, place, anchor in links_of(page):
            if not place.is_file():
                found.append(f"{page.relative_to(site)}: {link} leads nowhere")
            elif anchor and place.suffix == ".html" and not anchor.startswith("__"):
                if place not in anchors:
                    anchors[place] = set(re.findall(r'\b(?:id|name)="([^"]+)"', place.read_text(encoding="utf-8")))
                if anchor not in anchors[place]:
                    found.append(f"{page.relative_to(site)}: {link} has no such anchor")
    return found


def from_elsewhere(site: Path) -> list[str]:
    """What pages would fetch from another place: scripts, styles, pictures, frames."""
    tag = re.compile(r"<(script|img|iframe|video|source|link)\b[^>]*?(?:src|href)=\"((?:https?:)?//[^\"]+)\"[^>]*>")
    return [
        f"{page.relative_to(site)}: fetches {match[2]}"
        for page in sorted(site.rglob("*.html"))
        for match in tag.finditer(page.read_text(encoding="utf-8"))
        if not (match[1] == "link" and re.search(r'rel="(canonical|prev|next|alternate)"', match[0]))
    ]


def browser(width: int, height: int, scheme: str, profile: str):
    """Chromium with a window of that size, in light or dark."""
    from selenium import webdriver
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service

    options = Options()
    options.binary_location = shutil.which("chromium") or ""
    for flag in [*FLAGS.split(), f"--user-data-dir={profile}", f"--window-size={width},{height}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    environment = os.environ | {"SE_OFFLINE": "true", "SE_AVOID_STATS": "true"}
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver"), env=environment))
    driver.set_script_timeout(300)
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    return driver


def go_to(driver, page: Path) -> None:
    """Open a page, and wait until it is there: a browser that has just begun may still be loading one of its own."""
    from selenium.webdriver.support.wait import WebDriverWait

    driver.get(page.as_uri())
    WebDriverWait(driver, 30).until(lambda shown: shown.execute_script(THERE, page.as_uri()))


def look(driver, page: Path, axe: str, picture: Path | None) -> list[str]:
    """What is wrong with a page as the browser shows it."""
    go_to(driver, page)
    found = [f"console: {line['message']}" for line in driver.get_log("browser") if line["level"] == "SEVERE"]
    driver.execute_script("document.querySelectorAll('img').forEach(i => { i.loading = 'eager' })")
    found += [f"picture: {source}" for source in driver.execute_script(BROKEN)]
    if (over := driver.execute_script(TOO_WIDE)) > 0:
        found.append(f"wider than the screen by {over} px")
    # What is folded away is to be read, too.
    driver.execute_script("document.querySelectorAll('details').forEach(each => { each.open = true })")
    driver.execute_script(axe)
    found += [
        f"axe: {impact}: {name}: {'; '.join(where)}"
        for impact, name, where in driver.execute_async_script(RUN_AXE)
        if impact in ("serious", "critical")
    ]
    if picture is not None:
        picture.parent.mkdir(parents=True, exist_ok=True)
        driver.save_screenshot(str(picture))
    return found


def found_by_search(driver, page: Path, words: str) -> int:
    """How many pages the search offers for words that are typed in."""
    go_to(driver, page)
    field = driver.find_element("css selector", "[data-md-component=search-query]")
    if not field.is_displayed():  # on a phone it is behind a button
        driver.find_element("css selector", "label.md-header__button[for=__search]").click()
    for _ in range(100):  # it slides in, and the index is read
        time.sleep(0.1)
        if field.is_displayed() and not field.get_attribute("value"):
            field.send_keys(words)
        if offered := driver.find_elements("css selector", ".md-search-result__item"):
            return len(offered)
    return 0


def main() -> None:
    """Look at pages, and say what is wrong."""
    parser = argparse.ArgumentParser(description="Look at the built site in Chromium.")
    parser.add_argument("pages", nargs="*", help="which, such as start.html; all, if none is given")
    parser.add_argument("--site", type=Path, default=ROOT / "site")
    parser.add_argument("--pictures", type=Path, help="a folder for pictures of the pages")
    parser.add_argument("--only", choices=[f"{name}-{scheme}" for name in WIDTHS for scheme in SCHEMES])
    given = parser.parse_args()
    site = given.site.resolve()
    axe = axe_core()
    pages = given.pages or [path.relative_to(site).as_posix() for path in sorted(site.rglob("*.html"))]
    pages = [page for page in pages if page != "404.html"]
    wrong = broken_links(site) + from_elsewhere(site)
    for name, (width, height) in WIDTHS.items():
        for scheme in SCHEMES:
            kind = f"{name}-{scheme}"
            if given.only not in (None, kind):
                continue
            with tempfile.TemporaryDirectory() as profile:
                driver = browser(width, height, scheme, profile)
                try:
                    for page in pages:
                        picture = given.pictures / kind / f"{page}.png" if given.pictures else None
                        wrong += [f"{page} ({kind}): {what}" for what in look(driver, site / page, axe, picture)]
                    if not found_by_search(driver, site / pages[0], "wave-front"):
                        wrong.append(f"{kind}: the search finds nothing")
                finally:
                    driver.quit()
            print(f"{kind}: {len(pages)} pages", flush=True)
    print(json.dumps(wrong, indent=1) if wrong else "nothing is wrong")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
