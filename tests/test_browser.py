"""The report in a real browser: figures drawn, texts there, no errors, on a telephone and in the dark."""

import json
import re
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image

from bigmodel_jax.reports import make as reporting
from tests import made_run

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
pytestmark = pytest.mark.skipif(
    BROWSER is None, reason="no chromium, chromium-browser or google-chrome here"
)
PHONE = 500  # no window of it is narrower


def browse(tmp_path, page, *options):
    command = [
        str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
        f"--user-data-dir={tmp_path / 'profile'}", "--enable-logging=stderr", *options, page.as_uri(),
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module", params=["binary", "20"])
def page(request, tmp_path_factory):
    return reporting.make(
        made_run.make(tmp_path_factory.mktemp(request.param) / "run", request.param)
    )


def test_the_page_holds_the_numbers_and_nothing_goes_wrong(page, tmp_path):
    done = browse(tmp_path, page, "--dump-dom")
    assert done.returncode == 0
    assert "CONSOLE" not in done.stderr
    assert "0.1235" in done.stdout and "12,345 examples" in done.stdout
    assert "&lt;script&gt;document.title = 'run'&lt;/script&gt;" in done.stdout
    assert done.stdout.count("<svg") == done.stdout.count("</svg>") >= 7


def test_every_figure_has_a_size_and_no_page_is_wider_than_a_telephone(page, tmp_path):
    # The page forbids scripts, itself included: a copy that does not is measured.
    measure = """<script>addEventListener("load", () => {
      const boxes = [...document.querySelectorAll("svg")].map(x => x.getBoundingClientRect());
      document.title = JSON.stringify({page: document.documentElement.scrollWidth,
        window: innerWidth, figures: boxes.map(b => [b.width, b.height]),
        images: [...document.images].map(i => i.naturalWidth)}); });</script>"""
    text = re.sub(r"<meta http-equiv[^>]*>", "", page.read_text())
    copy = tmp_path / "copy.html"
    copy.write_text(text.replace("</body>", f"{measure}</body>"))
    for width in (PHONE, 1200):
        done = browse(tmp_path, copy, "--dump-dom", f"--window-size={width},900")
        found = json.loads(re.search(r"<title>(.*?)</title>", done.stdout)[1])
        assert found["page"] <= found["window"] == width
        assert len(found["figures"]) >= 7 and np.min(found["figures"]) > 150
        assert all(found["images"])


@pytest.mark.parametrize("dark", [False, True])
def test_the_page_is_drawn_in_the_light_and_in_the_dark(page, tmp_path, dark):
    shot = tmp_path / "shot.png"
    scheme = "--blink-settings=preferredColorScheme=0" if dark else "--window-name=light"
    browse(tmp_path, page, f"--screenshot={shot}", "--window-size=1200,2400", scheme)
    pixels = np.asarray(Image.open(shot).convert("RGB")).astype(int)
    ground = np.median(pixels.reshape(-1, 3), axis=0)
    assert ground.max() < 50 if dark else ground.min() > 240
    blue = np.abs(pixels - [0x00, 0x72, 0xB2]).max(-1) < 30
    assert blue.sum() > 1000  # lines and bars
    assert (np.abs(pixels - ground).max(-1) > 150).sum() > 5000  # letters
