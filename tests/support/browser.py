"""Debian's chromium, driven by selenium."""

from collections.abc import Iterator
from contextlib import contextmanager
from shutil import which
from typing import Final

import pytest
from selenium import webdriver

from contracts.errors import PlatformError
from deploy.clusters.node import packages

PACKAGES: Final = {"chromium": "chromium", "chromedriver": "chromium-driver"}
FLAGS: Final = (
    "headless",
    "no-sandbox",
    "disable-gpu",
    "disable-quic",
    "no-first-run",
    "disable-background-networking",
    "disable-component-update",
    "disable-sync",
    "no-proxy-server",
    "disable-dev-shm-usage",
)


@contextmanager
def chromium(width: int = 1400, height: int = 1000) -> Iterator[webdriver.Chrome]:
    """A browser with a window of this size; skips the test where none can be had."""
    try:
        packages.install(PACKAGES)
    except PlatformError as error:
        pytest.skip(f"no browser: {error}")
    options = webdriver.ChromeOptions()
    options.binary_location = which("chromium") or ""
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for flag in (*FLAGS, f"window-size={width},{height}"):
        options.add_argument(f"--{flag}")
    driver = webdriver.Chrome(options, webdriver.ChromeService(which("chromedriver")))
    try:
        yield driver
    finally:
        driver.quit()
