"""The errors' pages that the service itself serves, and where errors lead (docs/rest.md)."""

import http.client
import posixpath
import re

import grpc
import pytest
from conftest import ROOT, request
from control import Rest

PAGES = sorted(path.stem for path in (ROOT / "docs/errors").glob("[0-9]*.md"))
BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


def html(server, path):
    connection = http.client.HTTPConnection(server.http, timeout=60)
    connection.request("GET", path, headers=BROWSER)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    assert answer.status == 200 and answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    return text


def test_every_error_has_its_page(serve):
    """Without a token."""
    server = serve(auth=True)
    rest = Rest(server)
    found = rest.get("/errors").data
    assert [entry["code"] for entry in found] == PAGES
    index = html(server, "/errors")
    for code in PAGES:
        entry = rest.get(f"/errors/{code}").data
        written = (ROOT / f"docs/errors/{code}.md").read_text()
        assert f"# {code}: {entry['title']}\n" in written and entry["detail"] in written
        assert entry["text"].split("What to do")[0].strip() and "What to do" in entry["text"]
        page = html(server, f"/errors/{code}")
        assert f"<h1>{code}: {entry['title']}</h1>" in page and "<h2>What to do</h2>" in page
        assert f'href="errors/{code}"' in index
        # A sentence that refers to another page says which.
        for target in re.findall(r"\]\((\.\./[^)]+)\)", written):
            assert f"({posixpath.normpath('docs/errors/' + target)})" in entry["text"], (code, target)
            assert f"(<code>{posixpath.normpath('docs/errors/' + target)}</code>)" in page, (code, target)
        # Whatever it links to is there.
        assert set(re.findall(r'href="(\d+)"', page)) <= set(PAGES)
        assert not re.search(r"\]\(|\*\*|`", page)
    assert rest.get("/errors/49999").status == 404
    assert rest.get("/errors/49002?a=b").status == 422
    assert Rest(serve()).post("/errors/49002", {}).status == 405
    assert Rest(server).ask("HEAD", "/errors").status == 200


@pytest.mark.parametrize("public", [None, "https://limits.example.com", "https://example.com/limits/"])
def test_errors_lead_to_the_public_url(contract, serve, public):
    server = serve(*(["--public-url", public] if public else []))
    rest = Rest(server)
    answer = rest.check("initech", action="provision_extension", extensions=10_000)
    assert answer.codes == ["49002"]
    own = f"{public.rstrip('/')}/errors/49002" if public else "https://tollgate.dev/errors/49002"
    assert answer.body["errors"][0]["meta"]["url"] == own
    # The vendor's codes lead to the vendor.
    vendor = rest.get("/v2/tenants/nobody").body["errors"][0]
    assert vendor["meta"]["url"] == f"https://developers.telnyx.com/docs/overview/errors/{vendor['code']}"
    # What only REST can meet.
    changed = rest.patch("/v2/tenants/initech", {"name": "X"}, headers={"If-Match": '"wrong"'})
    assert changed.codes == ["49302"]
    assert changed.body["errors"][0]["meta"]["url"] == own.replace("49002", "49302")
    with grpc.insecure_channel(server.endpoint) as channel:
        denied = contract.Stub(channel).CheckAndReserve(
            request(contract, "initech", action=contract.ACTION_PROVISION_EXTENSION, extensions=10_000), timeout=60)
    assert [(error.code, error.meta.url) for error in denied.errors] == [("49002", own)]
