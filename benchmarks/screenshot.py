"""Takes the documentation's picture of a report, docs/figures/report.png, of networks that learn MNIST.

    python benchmarks/screenshot.py [--all FOLDER]

It needs Chromium with its driver (Debian: chromium-driver) and Selenium. `--all FOLDER` keeps the run and its report in
a folder, with pictures of the whole page: as wide as a desk's screen and as a phone's, light and dark. MNIST is looked
for as `pcx.data` does it; see docs/data.md. Two cores take about a minute.
"""

import argparse
import base64
import contextlib
import io
import os
import pathlib
import shutil
import tempfile

from PIL import Image
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.wait import WebDriverWait

from pcx.cli import main as pcx

PICTURE = pathlib.Path(__file__).parents[1] / "docs" / "figures" / "report.png"
DESK, PHONE = 1180, 390
FLAGS = "--headless=new --no-sandbox --disable-gpu --no-first-run --disable-dev-shm-usage --hide-scrollbars"
TRAINED = """--data mnist --subset 12000 --hidden 64 64 64 --act tanh --pc.T 16 --pc.state-lr 0.1 --lr 1e-3 --seeds 2
    --epochs 8 --regime 84 --curvature"""


@contextlib.contextmanager
def chromium(profile):
    """A browser without a screen."""
    options = Options()
    options.binary_location = shutil.which("chromium") or ""
    for flag in [*FLAGS.split(), f"--user-data-dir={profile}"]:
        options.add_argument(flag)
    service = Service(shutil.which("chromedriver"), env=os.environ | {"SE_OFFLINE": "true", "SE_AVOID_STATS": "true"})
    driver = webdriver.Chrome(options=options, service=service)
    try:
        yield driver
    finally:
        driver.quit()


def taken(driver, page, width, scheme="light", section=None):
    """A picture of a page, or of a section of it."""
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": features})
    url = page.absolute().as_uri()
    driver.get(url)
    # A browser that has just begun may still be loading a page of its own.
    there = "return location.href === new URL(arguments[0]).href && document.readyState === 'complete'"
    WebDriverWait(driver, 30).until(lambda shown: shown.execute_script(there, url))
    find = """const all = document.documentElement, heads = Array.from(document.querySelectorAll("h2"));
        const part = arguments[0] ? heads.find(e => e.textContent === arguments[0]).closest("section") : all;
        return [part.offsetTop, part.offsetHeight];"""
    top, height = driver.execute_script(find, section)
    clip = {"x": 0, "y": top, "width": width, "height": height, "scale": 1}
    how = {"clip": clip, "captureBeyondViewport": True}
    found = driver.execute_cdp_cmd("Page.captureScreenshot", how)["data"]
    return Image.open(io.BytesIO(base64.b64decode(found))).convert("RGB")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--all", type=pathlib.Path)
    kept = parser.parse_args().all
    with tempfile.TemporaryDirectory() as scratch, contextlib.chdir(kept or scratch):
        run = pathlib.Path("first")
        if not run.exists():
            pcx(["train", *TRAINED.split(), "--out", str(run)])
        pcx(["report", str(run)])
        with chromium(f"{scratch}/profile") as driver:
            page = run / "report.html"
            drawn = taken(driver, page, DESK, section="Regime and health")
            drawn.quantize(128, dither=Image.Dither.NONE).save(PICTURE, optimize=True)
            print(PICTURE, f"{PICTURE.stat().st_size / 1000:.0f} kB")
            for width in (DESK, PHONE) if kept else ():
                for scheme in ("light", "dark"):
                    taken(driver, page, width, scheme).save(f"{width}-{scheme}.png")


if __name__ == "__main__":
    main()
