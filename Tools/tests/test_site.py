"""What Tools/site checks of a built site: that each fault is found. `Tools/verify --quick --only site` builds it."""

import subprocess
import sys

import pytest
from conftest import ROOT

POLICY = """<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src 'self'">"""
GOOD = f"""<html><head>{POLICY}<link rel="stylesheet" href="style.css"></head>
<body><h1 id="top">One</h1><a href="two/#place">two</a> <a href="https://x.org/">elsewhere</a>
<img src="two/picture.svg"></body></html>"""


@pytest.fixture
def site(tmp_path):
    (tmp_path / "two").mkdir()
    (tmp_path / "index.html").write_text(GOOD)
    (tmp_path / "two/index.html").write_text(f'<head>{POLICY}</head><h2 id="place">Two</h2><a href="../#top">one</a>')
    (tmp_path / "two/picture.svg").write_text("<svg/>")
    (tmp_path / "style.css").write_text("p { background: url(data:image/png;base64,AAAA) }")
    return tmp_path


def checked(site):
    command = [sys.executable, "-B", ROOT / "Tools/lib/site/check.py", site]
    return subprocess.run(command, capture_output=True, text=True)


def test_a_good_site_passes(site):
    done = checked(site)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ("figures: 2 pages, 2 links within the site lead somewhere, 1 lead out of it, "
                           "nothing is loaded from elsewhere\n")


@pytest.mark.parametrize("was,instead,complaint", [
    ("two/#place", "three/", "three/ leads nowhere"),
    ("two/#place", "two/#nowhere", "two/#nowhere: no such place on that page"),
    ("two/#place", "#nowhere", "#nowhere: no such place on that page"),
    ("two/picture.svg", "two/none.svg", "loads two/none.svg, which is not there"),
    ("two/picture.svg", "../out.svg", "loads ../out.svg, which is not there"),
    ("two/picture.svg", "https://x.org/x.svg", "loads https://x.org/x.svg from elsewhere"),
    ("two/picture.svg", "//x.org/x.svg", "loads //x.org/x.svg from elsewhere"),
    ("<body>", '<body><script src="https://x.org/a.js"></script>', "loads https://x.org/a.js from elsewhere"),
    ("<body>", '<body><iframe src="https://x.org/"></iframe>', "loads https://x.org/ from elsewhere"),
    ("<body>", '<body><img srcset="two/picture.svg 1x, https://x.org/2 2x">', "loads https://x.org/2 from elsewhere"),
    ("<body>", '<body><p style="background: url(https://x.org/x)">', "loads https://x.org/x from elsewhere"),
    ("<body>", '<style>@import "https://x.org/x.css";</style><body>', "loads https://x.org/x.css from elsewhere"),
    ("<body>", '<link rel="preconnect" href="https://x.org/"><body>', "loads https://x.org/ from elsewhere"),
    (POLICY, "", "does not forbid the browser to load from elsewhere"),
])
def test_each_fault_is_named(site, was, instead, complaint):
    assert GOOD.count(was) == 1
    (site / "index.html").write_text(GOOD.replace(was, instead))
    done = checked(site)
    assert done.returncode == 1 and f"index.html: {complaint}" in done.stderr, done.stderr


def test_style_sheets_are_read(site):
    (site / "style.css").write_text("@font-face { src: url('https://x.org/font.woff2') }")
    done = checked(site)
    assert done.returncode == 1 and "style.css: loads https://x.org/font.woff2 from elsewhere" in done.stderr
