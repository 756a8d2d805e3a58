"""What the service itself serves at /errors: the pages of docs/errors as JSON, with their text as HTML beside it."""

import html
import json
import posixpath
import re

# What the pages lie in, from where their links lead.
DIRECTORY = "docs/errors"
LINK = re.compile(r"\[([^]]*)\]\(([^)]*)\)")
PAGE = re.compile(r"(\d{5})\.md")


def page(found, texts):
    """`found` are the codes, `texts` their Markdown below the table, by code."""
    entries = [{
        "code": one.code, "title": one.title, "detail": one.detail, "http_status": int(one.http),
        "grpc_status": one.grpc or None, "reason": one.reason or None,
        "limit": one.limit["name"] if one.limit else None,
        "text": plain(texts[one.code]), "html": as_html(texts[one.code]),
    } for one in found]
    return json.dumps({"errors": entries}, ensure_ascii=False, indent=1) + "\n"


def blocks(markdown):
    """Headings, paragraphs, and items of lists, each on one line: (kind, text)."""
    for block in re.split(r"\n{2,}|\n(?=- )", markdown.strip()):
        text = " ".join(block.split())
        if text.startswith("## "):
            yield "h2", text[3:]
        elif text.startswith("- "):
            yield "li", text[2:]
        else:
            yield "p", text


def plain(markdown):
    """Without links: the pages that they lead to are named."""
    lines = []
    for kind, text in blocks(markdown):
        text = LINK.sub(lambda link: named(*link.groups()), text).replace("**", "").replace("`", "")
        lines.append({"h2": f"\n{text}:", "li": f"- {text}", "p": text}[kind])
    return "\n".join(lines).strip()


def named(text, target):
    """A link in words: a code stands for its page, and any other page is named as it is called in the repository."""
    return text if PAGE.fullmatch(target) else f"{text} (`{posixpath.normpath(posixpath.join(DIRECTORY, target))}`)"


def as_html(markdown):
    lines, is_list = [], False
    for kind, text in blocks(markdown):
        if (kind == "li") != is_list:
            lines.append("</ul>" if is_list else "<ul>")
            is_list = not is_list
        lines.append(f"<{kind}>{inline(text)}</{kind}>")
    return "\n".join(lines + ["</ul>"] * is_list)


def linked(text, target):
    page = PAGE.fullmatch(target)
    return f'<a href="{page[1]}">{text}</a>' if page else named(text, target)


def inline(text):
    """Codes link to each other; what else the documentation links to is not served, and named."""
    text = html.escape(text, quote=False)
    text = LINK.sub(lambda link: linked(*link.groups()), text)
    text = re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>", text)
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", text)
