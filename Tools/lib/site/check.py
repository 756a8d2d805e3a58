"""Reads a built site: every link leads somewhere, and a browser loads nothing from elsewhere. Nothing is fetched.

    check.py DIRECTORY
"""

import functools
import pathlib
import re
import sys
import urllib.parse
from html.parser import HTMLParser

# Relations of <link> that a browser does not load.
TOLD_ONLY = {"canonical", "prev", "next", "alternate", "author", "license", "edit"}
LOADING = {"src", "srcset", "poster", "data", "xlink:href", "background"}
POLICY = "default-src 'none'"


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.ids, self.links, self.loads, self.policy = set(), [], [], ""
        self.tag = ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tag = tag
        given = {name: value or "" for name, value in attributes}
        self.ids |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if tag == "link" and not set(given.get("rel", "").split()) <= TOLD_ONLY:
            self.loads.append(given.get("href", ""))
        if tag in ("use", "image") and "href" in given:
            self.loads.append(given["href"])
        for name in LOADING & set(given):
            self.loads += [part.split()[0] for part in given[name].split(",")] if name == "srcset" else [given[name]]
        if tag == "meta" and given.get("http-equiv", "").lower() == "content-security-policy":
            self.policy = given["content"]
        self.loads += of_style(given.get("style", ""))

    handle_startendtag = handle_starttag

    def handle_data(self, data):
        if self.tag == "style":
            self.loads += of_style(data)


def of_style(text):
    """What a style sheet loads; what stands in it as data is there."""
    found = re.findall(r"""url\(\s*["']?([^"')]+)|@import\s+["']([^"']+)""", text)
    return [first or second for first, second in found if not (first or second).startswith("data:")]


class Site:
    def __init__(self, root):
        self.root = root.resolve()
        self.pages = {path: Page(path.read_text()) for path in sorted(self.root.rglob("*.html"))}
        self.wrong, self.links, self.outside = [], 0, set()

    @functools.cache
    def path(self, base, place):
        """The file that a reference within the site leads to; None: there is none."""
        place = urllib.parse.unquote(place)
        path = (self.root / place.lstrip("/") if place.startswith("/") else base.parent / place).resolve()
        if path.is_dir():
            path /= "index.html"
        return path if path.is_file() and path.is_relative_to(self.root) else None

    def complain(self, path, what):
        self.wrong.append(f"{path.relative_to(self.root)}: {what}")

    def check_link(self, path, link):
        parts = urllib.parse.urlsplit(link)
        if parts.scheme or parts.netloc:
            self.outside.add(link)
            return
        self.links += 1
        target = self.path(path, parts.path) if parts.path else path
        if target is None:
            self.complain(path, f"{link} leads nowhere")
        elif parts.fragment and target in self.pages:
            fragment = urllib.parse.unquote(parts.fragment)
            if fragment not in self.pages[target].ids and not fragment.startswith("__"):
                self.complain(path, f"{link}: no such place on that page")

    def check_load(self, path, load):
        parts = urllib.parse.urlsplit(load)
        if parts.scheme == "data":
            return
        if parts.scheme or parts.netloc:
            self.complain(path, f"loads {load} from elsewhere")
        elif parts.path and self.path(path, parts.path) is None:
            self.complain(path, f"loads {load}, which is not there")

    def check(self):
        for path, page in self.pages.items():
            for link in page.links:
                self.check_link(path, link)
            for load in page.loads:
                self.check_load(path, load)
            if not page.policy.startswith(POLICY):
                self.complain(path, "does not forbid the browser to load from elsewhere")
        for path in sorted(self.root.rglob("*.css")):
            for load in of_style(path.read_text()):
                self.check_load(path, load)
        for path in sorted(self.root.rglob("*.svg")):
            for load in re.findall(r"""<(?:image|use|script)[^>]*?href=["']([^"'#]+)""", path.read_text()):
                self.check_load(path, load)


def main():
    site = Site(pathlib.Path(sys.argv[1]))
    site.check()
    for line in site.wrong:
        print(line, file=sys.stderr)
    if site.wrong or not site.pages:
        sys.exit(f"check.py: {len(site.wrong)} faults in {len(site.pages)} pages")
    print(f"figures: {len(site.pages)} pages, {site.links} links within the site lead somewhere, {len(site.outside)} "
          "lead out of it, nothing is loaded from elsewhere")


if __name__ == "__main__":
    main()
