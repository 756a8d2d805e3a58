"""A real browser for tests: Debian's chromium, driven by Selenium; and a checker of what makes a page accessible."""

import os
import pathlib

from conftest import ROOT
from selenium import webdriver
from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
CHROMEDRIVER = os.environ.get("CHROMEDRIVER", "/usr/bin/chromedriver")
SCREENSHOTS = pathlib.Path(os.environ.get("TOLLGATE_SCRATCH", ROOT / ".build")) / "screenshots"

GONE = (StaleElementReferenceException, NoSuchElementException)
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
        self.driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(CHROMEDRIVER))
        self.driver.set_page_load_timeout(20)
        self.driver.set_script_timeout(20)
        self.show()

    def close(self):
        self.driver.quit()

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

    def wait(self, condition, what="it", seconds=10):
        """The first true value of condition()."""
        return WebDriverWait(self.driver, seconds, poll_frequency=0.05, ignored_exceptions=GONE).until(
            lambda _: condition(), message=f"{what} did not come")

    def wait_for_text(self, selector, text, seconds=10):
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
        """What makes the page as it stands hard to use for some people; see FAULTS."""
        return self.run(FAULTS)

    def focus_faults(self, most=80):
        """Goes through the page by the tab key: everything that takes the focus must show it."""
        self.run("document.activeElement?.blur(); scrollTo(0, 0)")
        faults, seen = [], 0
        for _ in range(most):
            self.driver.switch_to.active_element.send_keys(Keys.TAB)
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


# WCAG 2.2 as far as a script can see it: language, title, headings in order, one main, names of fields, buttons and
# links, ids that are there once, references that lead somewhere, tables with headers, texts that can be read (1.4.3:
# 4.5, large ones 3), controls whose edge can be seen (1.4.11: 3), targets of 24 pixels (2.5.8), no sideways scrolling.
FAULTS = r"""
const faults = [];
const say = (what, element) => faults.push(what + (element ? ": " + element.outerHTML.slice(0, 120) : ""));
const shown = (element) => element.checkVisibility({ visibilityProperty: true, opacityProperty: true });
const inert = (element) => document.querySelector("dialog:modal") && !element.closest("dialog:modal");

if (!document.documentElement.lang) say("no language");
if (!document.title.trim()) say("no title");
if (document.querySelectorAll("main").length !== 1) say("not exactly one main");
if (document.documentElement.scrollWidth > innerWidth) say("it scrolls sideways by " + (document.documentElement.scrollWidth - innerWidth));

let level = 0;
for (const heading of document.querySelectorAll("h1, h2, h3, h4")) {
    if (!shown(heading) || heading.closest("dialog")) continue;
    const now = Number(heading.tagName[1]);
    if (now > level + 1) say(`heading ${now} after ${level}`, heading);
    if (!heading.textContent.trim()) say("an empty heading", heading);
    level = now;
}
if ([...document.querySelectorAll("h1")].filter(shown).length !== 1) say("not exactly one h1");

const ids = new Map();
for (const element of document.querySelectorAll("[id]")) ids.set(element.id, (ids.get(element.id) ?? 0) + 1);
for (const [id, count] of ids) if (count > 1) say(`the id ${id} is there ${count} times`);
for (const name of ["for", "aria-labelledby", "aria-describedby", "aria-controls"]) {
    for (const element of document.querySelectorAll(`[${name}]`)) {
        for (const id of element.getAttribute(name).split(/\s+/)) {
            if (id && !document.getElementById(id)) say(`${name} leads nowhere (${id})`, element);
        }
    }
}

const nameOf = (element) => {
    const by = element.getAttribute("aria-labelledby");
    if (by) return by.split(/\s+/).map((id) => document.getElementById(id)?.textContent ?? "").join(" ").trim();
    const label = element.getAttribute("aria-label");
    if (label !== null) return label.trim();
    if (element.labels?.length) return [...element.labels].map((one) => one.textContent).join(" ").trim();
    if (element.matches("input, select, textarea")) return "";
    const images = [...element.querySelectorAll("img[alt]")].map((image) => image.alt).join(" ");
    return (element.textContent + " " + images).trim();
};
for (const element of document.querySelectorAll("input:not([type=hidden]), select, textarea, button, a[href], summary, dialog, [role=img], [role=region], nav, section[aria-labelledby], section[aria-label]")) {
    if (!element.closest("dialog:not([open])") && !nameOf(element)) say("without a name", element);
}
for (const image of document.querySelectorAll("img:not([alt])")) say("an image without alt", image);
for (const svg of document.querySelectorAll("svg:not([aria-hidden=true]):not([role=img])")) say("a drawing without a role", svg);
for (const table of document.querySelectorAll("table")) {
    if (!table.querySelector("th[scope]")) say("a table without headers", table);
}
for (const box of document.querySelectorAll(".scroll, .chart")) {
    if (shown(box) && box.scrollWidth > box.clientWidth + 1 && box.tabIndex < 0 && !box.querySelector("a, button, input"))
        say("what scrolls cannot be reached by keys", box);
}

// Contrast. Colours are drawn one over another until one is opaque.
const parse = (text) => {
    const parts = text.match(/[\d.]+/g).map(Number);
    return { r: parts[0], g: parts[1], b: parts[2], a: parts[3] ?? 1 };
};
const over = (top, under) => ({
    r: top.r * top.a + under.r * (1 - top.a), g: top.g * top.a + under.g * (1 - top.a),
    b: top.b * top.a + under.b * (1 - top.a), a: 1,
});
const backdrop = (element) => {
    const layers = [];
    for (let it = element; it; it = it.parentElement) {
        const colour = parse(getComputedStyle(it).backgroundColor);
        if (colour.a > 0) layers.push(colour);
        if (colour.a === 1) break;
    }
    const base = matchMedia("(prefers-color-scheme: dark)").matches ? { r: 18, g: 18, b: 18, a: 1 } : { r: 255, g: 255, b: 255, a: 1 };
    return layers.reverse().reduce((under, top) => over(top, under), base);
};
const light = (colour) => {
    const [r, g, b] = [colour.r, colour.g, colour.b].map((value) => {
        const part = value / 255;
        return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const contrast = (one, other) => {
    const [dark, bright] = [light(one), light(other)].sort((a, b) => a - b);
    return (bright + 0.05) / (dark + 0.05);
};
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
const measured = new Set();
while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (measured.has(element) || !walker.currentNode.textContent.trim() || !shown(element) || inert(element)) continue;
    if (element.closest(".visually-hidden, .skip, script, option, title, desc, [aria-busy=true]")) continue;
    measured.add(element);
    const style = getComputedStyle(element);
    const ground = backdrop(element);
    const colour = over(parse(element instanceof SVGElement ? style.fill : style.color), ground);
    const size = parseFloat(style.fontSize);
    const isLarge = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    const ratio = contrast(colour, ground);
    if (ratio < (isLarge ? 3 : 4.5)) say(`contrast ${ratio.toFixed(2)}`, element);
}
for (const field of document.querySelectorAll("input:not([type=hidden]):not([type=checkbox]):not([type=radio]), select, textarea")) {
    if (!shown(field) || inert(field)) continue;
    const ratio = contrast(parse(getComputedStyle(field).borderTopColor), backdrop(field.parentElement));
    if (ratio < 3) say(`the edge has contrast ${ratio.toFixed(2)}`, field);
}
for (const target of document.querySelectorAll("button, input:not([type=hidden]), select, .button, nav a")) {
    if (!shown(target) || inert(target)) continue;
    const box = (target.closest("label") ?? target).getBoundingClientRect();
    if (box.width < 24 || box.height < 22) say(`a target of ${Math.round(box.width)} × ${Math.round(box.height)}`, target);
}
return faults;
"""
