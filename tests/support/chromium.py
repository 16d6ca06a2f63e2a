"""Debian's Chromium, driven by selenium."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service


@contextmanager
def started(*more: str, logs: str = "browser") -> Iterator[webdriver.Chrome]:
    """A browser that finds no host by its name; skips the test if there is none, but fails in CI.

    Args:
        *more: Further options of the command line.
        logs: The log that it keeps: "browser" has the errors of pages, "performance" has all requests.
    """
    paths = {name: shutil.which(name) for name in ("chromium", "chromedriver")}
    absent = " and ".join(name for name, path in paths.items() if path is None)
    if absent:
        missing = f"the browser tests need {absent}: apt-get install chromium chromium-driver"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    options = webdriver.ChromeOptions()
    options.binary_location = paths["chromium"]
    for option in ("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage", "window-size=1200,1000", *more):
        options.add_argument(f"--{option}")
    options.add_argument("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1")
    options.set_capability("goog:loggingPrefs", {logs: "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(paths["chromedriver"]))
    try:
        yield driver
    finally:
        driver.quit()
