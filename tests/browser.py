"""A Chromium to look at pages with, where there is one."""

import importlib.util
import os
import shutil
from contextlib import contextmanager

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def missing():
    """Why there is no browser to test with, in a sentence; nothing if there is one."""
    for package in ("playwright", "axe_playwright_python"):
        if importlib.util.find_spec(package) is None:
            return f"The Python package {package} is not installed, so the page is not looked at in a browser."
    if path() is None:
        return "There is no Chromium on this machine, so the page is not looked at in a browser."
    return ""


def path():
    """Where it is, or None."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


@contextmanager
def opened():
    """A headless browser."""
    from playwright.sync_api import sync_playwright

    sandbox = [] if not hasattr(os, "geteuid") or os.geteuid() else ["--no-sandbox"]  # which root cannot have
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path(), args=sandbox)
        yield browser
        browser.close()
