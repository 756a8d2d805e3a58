"""What the service itself serves at /errors: the pages of docs/errors as JSON, with their text as HTML beside it."""

import html
import json
import re


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
    """Without links, which lead to other pages of the documentation."""
    lines = []
    for kind, text in blocks(markdown):
        text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", text).replace("**", "").replace("`", "")
        lines.append({"h2": f"\n{text}:", "li": f"- {text}", "p": text}[kind])
    return "\n".join(lines).strip()


def as_html(markdown):
    lines, is_list = [], False
    for kind, text in blocks(markdown):
        if (kind == "li") != is_list:
            lines.append("</ul>" if is_list else "<ul>")
            is_list = not is_list
        lines.append(f"<{kind}>{inline(text)}</{kind}>")
    return "\n".join(lines + ["</ul>"] * is_list)


def inline(text):
    """Codes link to each other; what else the documentation links to is not served."""
    text = html.escape(text, quote=False)
    text = re.sub(r"\[([^]]*)\]\((\d{5})\.md\)", r'<a href="\2">\1</a>', text)
    text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>", text)
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", text)
