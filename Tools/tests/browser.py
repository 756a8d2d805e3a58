"""A real browser for tests: Debian's chromium, driven by Selenium; and a checker of what makes a page accessible."""

import os
import pathlib
import tempfile

from conftest import ROOT
from selenium import webdriver
from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
CHROMEDRIVER = os.environ.get("CHROMEDRIVER", "/usr/bin/chromedriver")
SCREENSHOTS = pathlib.Path(os.environ.get("TOLLGATE_SCRATCH", ROOT / ".build")) / "screenshots"

GONE = (StaleElementReferenceException, NoSuchElementException)
FAULTS = pathlib.Path(__file__).with_name("accessibility.js").read_text()
DESKTOP = (1280, 900)
PHONE = (360, 740)
WALL = (3840, 2160)


class Browser:
    """One window of one person's, in words of what that person does."""

    def __init__(self, address):
        self.address = f"http://{address}"
        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM
        for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                         "--force-color-profile=srgb", "--lang=en-US"):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        # What it keeps for a person it keeps for this window's.
        self.home = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        driver = webdriver.ChromeService(CHROMEDRIVER, env={**os.environ, "HOME": self.home.name})
        self.driver = webdriver.Chrome(options=options, service=driver)
        self.driver.set_page_load_timeout(120)
        self.driver.set_script_timeout(120)
        self.show()

    def close(self):
        self.driver.quit()
        self.home.cleanup()

    # MARK: the window

    def show(self, size=DESKTOP, dark=False):
        """Sets the window's size and the person's preferences. Nothing moves: pictures are the same each time."""
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size == PHONE,
        })
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]})

    def picture(self, name, size=DESKTOP):
        """The page from top to bottom, 2 400 pixels at most, kept for people to look at."""
        height = min(max(self.run("return document.documentElement.scrollHeight"), size[1]), 2_400)
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": size[0], "height": height, "deviceScaleFactor": 1, "mobile": size == PHONE,
        })
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.driver.save_screenshot(str(SCREENSHOTS / f"{name}.png"))

    # MARK: what a person does

    def open(self, path):
        self.driver.get(self.address + path)

    @property
    def path(self):
        return self.driver.current_url.removeprefix(self.address)

    def run(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def find(self, selector):
        """The visible element; waits for it."""
        return self.wait(lambda: next((e for e in self.all(selector) if e.is_displayed()), None), selector)

    def all(self, selector):
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def text(self, selector):
        return self.find(selector).text

    def click(self, selector):
        self.find(selector).click()

    def fill(self, selector, text):
        field = self.find(selector)
        field.clear()
        field.send_keys(text)

    def choose(self, selector, value):
        Select(self.find(selector)).select_by_value(value)

    def press(self, key):
        """A key, to whatever has the focus."""
        ActionChains(self.driver).send_keys(key).perform()

    def wait(self, condition, what="it", seconds=60):
        """The first true value of condition()."""
        return WebDriverWait(self.driver, seconds, poll_frequency=0.05, ignored_exceptions=GONE).until(
            lambda _: condition(), message=f"{what} did not come")

    def wait_for_text(self, selector, text, seconds=60):
        return self.wait(
            lambda: next((e for e in self.all(selector) if text in e.text), None), f"{text!r} in {selector}", seconds)

    def log_in(self, token):
        self.open("/login")
        self.fill("#token", token)
        self.click("button[type=submit]")
        self.wait(lambda: self.path == "/settings/usage-limits", "the first page")

    # MARK: what the browser says

    def complaints(self, allowed=()):
        """What stands in the console and is no expected answer."""
        return [
            entry["message"] for entry in self.driver.get_log("browser")
            if entry["level"] in ("SEVERE", "WARNING") and not any(text in entry["message"] for text in allowed)
        ]

    def weight(self):
        """Bytes of the page and everything it loads."""
        return self.run("""
            return performance.getEntriesByType("navigation").concat(performance.getEntriesByType("resource"))
                .filter((entry) => !entry.name.endsWith("/events"))
                .reduce((sum, entry) => sum + entry.decodedBodySize, 0)""")

    def faults(self):
        """What makes the page as it stands hard to use for some people: accessibility.js."""
        return self.run(FAULTS)

    def focus_faults(self, most=80):
        """Goes through the page by the tab key: everything that takes the focus must show it."""
        self.run("document.activeElement?.blur(); scrollTo(0, 0)")
        faults, seen = [], 0
        for _ in range(most):
            self.press(Keys.TAB)
            state = self.run("""
                const it = document.activeElement;
                if (!it || it === document.body) return null;
                const style = getComputedStyle(it);
                const box = it.getBoundingClientRect();
                return {
                    name: it.outerHTML.slice(0, 80),
                    visible: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2
                        && box.width > 0 && box.height > 0,
                };""")
            if state is None:
                break
            seen += 1
            if not state["visible"]:
                faults.append(f"the focus does not show: {state['name']}")
        assert seen > 2, "the tab key goes nowhere"
        return faults
