"""A page for each error code, from the two catalogues in the code: of the decisions (`ErrorCode+Catalogue.swift`), and
of what only REST can meet (`APIError.swift`). What to do about a limit follows from its row; about all else notes.txt
has a section each."""

import pathlib
import re
import sys
from dataclasses import dataclass

import error_catalogue
from texts import HEAD, joined, listed, table, wrapped

CATALOGUE = "Sources/Limits/ErrorCode+Catalogue.swift"
ONLY_REST = "Sources/ControlPlane/Server/APIError.swift"
LIMITS = "Sources/Limits/LimitKind+Catalogue.swift"

INTRODUCTION = """Every error has a code, over REST and gRPC alike: `code`, `title`, `detail`, and `meta.url`, which
leads to the page of the code. Codes below 49000 are the messaging vendor's, with its titles, and `meta.url` leads to
the vendor's page; 49xxx are Tollgate's own. What a caller does about an outcome is described in [the caller's
contract](../clients/failure.md), the rules in [semantics](../semantics.md#8-errors)."""

WINDOWS = {
    "utcDay": ("a UTC day", "at midnight UTC"),
    "tenantDay": ("a day in the tenant's time zone", "at midnight in the tenant's time zone"),
    "billingCycle": ("the tenant's billing cycle", "when the tenant's next billing cycle begins"),
    "standing": ("what exists now", None),
}
SUBJECTS = {"tenant": "tenant", "messagingProfile": "messaging profile", "voiceProfile": "outbound voice profile"}


@dataclass
class Code:
    code: str
    title: str
    detail: str
    http: str
    # Of a denial, where a call asks for denials as failures.
    grpc: str = ""
    reason: str = ""
    limit: dict = None

    @property
    def is_denial(self):
        return self.limit is not None or self.code == "20012"

    @property
    def over_grpc(self):
        if not self.grpc:
            return "only REST can meet it"
        if self.is_denial:
            return f"OK with `DECISION_DENIED`; `{self.grpc}` where a call asks by `tollgate-deny: status`"
        return f"`{self.grpc}`"


def snake(name):
    return re.sub(r"(?<!^)([A-Z])", r"_\1", name).upper()


def limits(text):
    """{name of the error's row: the limit's row}"""
    found = {}
    for row in re.split(r"\bLimitRow\( ", text)[1:]:
        def value(pattern, row=row):
            return re.search(pattern, row)[1]
        found[value(r"error: \.(\w+)")] = {
            "name": value(r'name: "(\w+)"'),
            "subject": value(r"subject: \.(\w+)"),
            "window": value(r"window: \.(\w+)"),
            "suspends": value(r"\bsuspends: (\w+)") == "true",
            "only_alerts": value(r"blocksOnlyWithAutoSuspend: (\w+)") == "true",
            "cap": value(r'CapSetting\( \.\w+, name: "(\w+)"'),
            "title": value(r'CapSetting\( \.\w+, name: "\w+", title: "([^"]+)"'),
        }
    return found


def codes(root):
    """Of both catalogues, in the order of their numbers."""
    catalogue, only_rest = flat(root / CATALOGUE), flat(root / ONLY_REST)
    rows = re.findall(
        r'code: \.(\w+), text: "(\d+)", reason: "(\w+)", title: "([^"]*)", detail: "([^"]*)", url: "[^"]*", '
        r"httpStatus: (\d+), status: \.`?(\w+)`?", catalogue)
    further = re.findall(r'"(\d{5})", "([^"]*)", "([^"]*)", (\d{3})\)', only_rest)
    if len(rows) != catalogue.count("= ErrorRow(") or len(further) != len(re.findall(r"= (?:own|vendor)\(", only_rest)):
        sys.exit(f"Tools/reference: a row of {CATALOGUE} or {ONLY_REST} is written in another way than the others")
    of_limits = limits(flat(root / LIMITS))
    found = [Code(code, title, detail, http, snake(status), reason, of_limits.get(name))
             for name, code, reason, title, detail, http, status in rows]
    known = {one.code for one in found}
    found += [Code(*row) for row in further if row[0] not in known]
    return sorted(found, key=lambda one: one.code)


def flat(path):
    """Without line breaks: a row may have them anywhere."""
    return " ".join(path.read_text().split())


def notes():
    """{code: what it means and what to do}, of notes.txt."""
    text = (pathlib.Path(__file__).parent / "notes.txt").read_text()
    return {code: said.strip().replace("\n### ", "\n## ")
            for code, said in re.findall(r"(?ms)^## (\d+)$(.*?)(?=^## |\Z)", text)}


def of_limit(row):
    """What a refusal by a limit means: the same words for every row."""
    subject, (window, reset) = SUBJECTS[row["subject"]], WINDOWS[row["window"]]
    again = f"The total starts anew {reset}; `resets_at` says when." if reset else \
        "The total does not reset: it goes down when something is given back."
    yield f"What was asked for, with what is used and held already, is more than the cap `{row['cap']}` ({row['title']}) " \
          f"of this {subject}. The cap is for {window}. Nothing was held. {again}"
    if row["only_alerts"]:
        yield "It refuses where `on_limit` of the tenant is `block`, or is `auto` and auto-suspend is on; else it only " \
              "warns."
    elif subject == "tenant":
        yield "It refuses unless `on_limit` of the tenant is `alert`."
    else:
        yield "It refuses while the profile's `daily_spend_limit_enabled` is true, and never suspends the tenant."
    yield "## What to do"
    steps = [
        "**The caller** does not act, obeys `treatment`, and does not ask again in a loop: a denial is an answer, not a "
        "failure. The same idempotency key may ask again later, and is decided anew.",
        "**An operator** looks whether the usage is what it should be (`tollgate audit list --kind denied` shows "
        "refusals with what was asked, used and the cap), and raises the cap or takes it away if so; the next decision "
        "obeys.",
    ]
    if row["suspends"]:
        steps.append("Where auto-suspend is on, reaching the cap suspends the tenant ([20012](20012.md)). Neither a "
                     "raised cap nor a reset ends that: an operator does, by `tollgate tenants reinstate`.")
    yield "\n".join(listed(step) for step in steps)


def page(one, said):
    facts = [["code", f"`{one.code}`"], ["title", one.title], ["detail", one.detail], ["HTTP status", one.http],
             ["gRPC", one.over_grpc]]
    if one.reason:
        facts.append(["reason (`ErrorInfo`)", f"`{one.reason}`"])
    if one.limit:
        facts.append(["limit", f"`{one.limit['name']}`"])
    return joined([HEAD + f"# {one.code}: {one.title}", table(facts[0], facts[1:]), said])


def index(found):
    rows = [[f"[{one.code}]({one.code}.md)", one.title, one.http, "denial" if one.is_denial else one.grpc or "—"]
            for one in found]
    return joined([HEAD + "# Errors", wrapped(" ".join(INTRODUCTION.split())),
                   table(["code", "title", "HTTP", "gRPC"], rows)])


def said(found):
    """{code: what its error means and what to do}, as Markdown."""
    written, texts = notes(), {}
    for one in found:
        parts = list(of_limit(one.limit)) if one.limit else [written.pop(one.code, None)]
        if parts == [None]:
            sys.exit(f"Tools/reference: Tools/lib/reference/notes.txt says nothing about {one.code}: add a section")
        texts[one.code] = "\n\n".join(part if part.startswith(("-", "#")) or "\n" in part else wrapped(part)
                                      for part in parts)
    if written:
        sys.exit(f"Tools/reference: Tools/lib/reference/notes.txt is about no code in {', '.join(sorted(written))}")
    return texts


def pages(root):
    """{path within the repository: text}: the pages, and the file that the service makes its own of."""
    found = codes(root)
    texts = said(found)
    made = {f"docs/errors/{one.code}.md": page(one, texts[one.code]) for one in found}
    made["docs/errors/README.md"] = index(found)
    made["Sources/ControlPlane/Resources/errors.json"] = error_catalogue.page(found, texts)
    return made
