"""What makes a site of pages that are written to be read in the repository: mkdocs.yml names this file.

Pages beside docs/ (CONTRIBUTING.md, …) become pages of the site. Links to other files of the repository lead to a page
that shows the file; links to directories are plain text, unless there is a README.md. Anchors are those that GitHub
makes.
"""

import pathlib
import posixpath
import re

from mkdocs.structure.files import File, InclusionLevel

ROOT = pathlib.Path(__file__).resolve().parents[3]
# Pages beside docs/, and where they stand in the site.
BESIDE = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing/README.md",
    "SECURITY.md": "security.md",
    "clients/python/README.md": "clients/python.md",
    "examples/README.md": "clients/examples.md",
}
# The front page of the repository is not the site's.
INSTEAD = {"README.md": "docs/README.md"}
LANGUAGES = {
    ".cc": "cpp", ".go": "go", ".java": "java", ".mjs": "js", ".proto": "proto", ".py": "python", ".yaml": "yaml",
}
LINK = re.compile(r"\[((?:[^][]|\[[^]]*\])*)\]\(([^)\s]+)\)")
FENCED = re.compile(r"(?ms)(^```.*?^```$)")

# The repository's files that are pages: {path: path within the site}.
pages = {}


def anchor(text, separator):
    """As GitHub makes it of a heading."""
    return re.sub(r"[^\w\- ]", "", text.strip().lower()).replace(" ", separator)


def on_config(config):
    config.mdx_configs.setdefault("toc", {})["slugify"] = anchor
    return config


def on_files(files, config):
    docs = pathlib.Path(config.docs_dir).relative_to(ROOT).as_posix()
    pages.clear()
    pages.update({f"{docs}/{file.src_uri}": file.src_uri for file in files})
    for path, place in BESIDE.items():
        files.append(File.generated(config, place, abs_src_path=str(ROOT / path)))
        pages[path] = place
    for path in [path for path in pages if path.endswith(".md")]:
        for _, link in LINK.findall(FENCED.sub("", (ROOT / path).read_text())):
            shown = target(path, link)[0]
            if shown and shown not in pages and (ROOT / shown).is_file():
                pages[shown] = f"files/{shown}.md"
                files.append(File.generated(config, pages[shown], content=whole(shown),
                                            inclusion=InclusionLevel.NOT_IN_NAV))
    return files


def target(page, link):
    """The path within the repository that a link leads to, and its anchor; None: elsewhere, or to the page itself."""
    path, _, fragment = link.partition("#")
    if re.match(r"[a-z]+:", link) or not path:
        return None, fragment
    path = posixpath.normpath(posixpath.join(posixpath.dirname(page), path))
    path = INSTEAD.get(path, path)
    if f"{path}/README.md" in pages:
        path += "/README.md"
    return path, fragment


def whole(path):
    """A page that shows a file."""
    text = (ROOT / path).read_text()
    fence = "`" * (max((len(run) for run in re.findall("`+", text)), default=0) + 3)
    language = LANGUAGES.get(pathlib.Path(path).suffix, "text")
    return f"---\nsearch:\n  exclude: true\n---\n# `{path}`\n\n{fence}{language}\n{text}\n{fence}\n"


def on_page_markdown(markdown, page, config, files):
    place = page.file.src_uri
    source = next(path for path, other in pages.items() if other == place)
    if place.startswith("files/"):
        return markdown

    def moved(match):
        text, link = match.groups()
        path, fragment = target(source, link)
        if path in pages:
            place_of = posixpath.relpath(pages[path], posixpath.dirname(place))
            return f"[{text}]({place_of}{'#' * bool(fragment)}{fragment})"
        # What is not there at all is left for the generator to complain about.
        return text if path and (ROOT / path).is_dir() else match[0]

    parts = FENCED.split(re.sub(r"(?m)^<!--.*-->\n", "", markdown))
    parts[::2] = [LINK.sub(moved, in_tables(part)) for part in parts[::2]]
    return "".join(parts)


def in_tables(text):
    """GitHub wants `a \\| b` in the code of a table; Markdown in Python takes it for a backslash."""
    return re.sub(r"(?m)^\|.*$", lambda row: re.sub(r"`[^`]*`", lambda code: code[0].replace("\\|", "|"), row[0]), text)
