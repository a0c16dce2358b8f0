"""The pictures of a page as files, drawn by a browser that is installed: nothing is fetched for it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from barograph.errors import ConfigError

__all__ = ["pictures"]

BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
WIDTH: Final = 1200
_QUIET: Final = ("--headless", "--disable-gpu", "--no-first-run", "--disable-sync", "--disable-background-networking",
                 "--disable-component-update", "--hide-scrollbars", "--virtual-time-budget=8000")  # fmt: skip


def pictures(page: Path, folder: Path) -> list[Path]:
    """Draw every figure of a page into `folder`, a PNG each; return their paths.

    Raises `ConfigError` where no browser is installed, or it draws nothing.
    """
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        raise ConfigError(f"--png: found no browser; wanted one of {', '.join(BROWSERS)} to be installed")
    folder.mkdir(parents=True, exist_ok=True)
    text = page.read_text(encoding="utf-8")
    sent = re.search(r'<script type="application/json" id="page-data">(.*?)</script>', text, re.DOTALL)
    figures = json.loads(sent.group(1))["figures"] if sent else {}
    return [_drawn(browser, page, name, figure["layout"]["height"], folder) for name, figure in figures.items()]


def _drawn(browser: str, page: Path, name: str, height: int, folder: Path) -> Path:
    out = (folder / f"{name}.png").absolute()
    out.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as profile:
        asked = [f"--user-data-dir={profile}", f"--window-size={WIDTH},{height}", f"--screenshot={out}"]
        # A browser run by root, as in a container, wants no sandbox; the page is our own.
        run = [browser, *_QUIET, "--no-sandbox", *asked, f"{page.absolute().as_uri()}?only={name}&theme=light"]
        done = subprocess.run(run, capture_output=True, text=True, check=False, timeout=120)
    if not out.is_file():
        said = (done.stderr.strip().splitlines() or ["nothing"])[-1]
        raise ConfigError(f"--png: {browser} drew no {name}.png; it said: {said[:200]}")
    return out
