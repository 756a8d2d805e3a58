"""REST, from the service's own /openapi.json."""

import json

from texts import HEAD, joined, prose, table, wrapped

METHODS = ("get", "post", "put", "patch", "delete")
INTRODUCTION = """Every path, parameter and field, as the service's own `/openapi.json` says (OpenAPI 3.1, for
generators and other tools). [The REST API](../rest.md) says what holds for all of them: shapes, errors, pages,
filters, keys, limits of a request. Every failure has the body `{"errors":[…]}`; [errors](../errors/README.md) has a
page for each code."""


def page(document):
    schemas = document["components"]["schemas"]
    parts = [HEAD + "# REST, path by path", wrapped(" ".join(INTRODUCTION.split())),
             wrapped(prose(document["info"]["description"]))]
    for tag in document["tags"]:
        parts += [f"## {tag['name']}", prose(tag["description"]) + "."]
        for path, operations in document["paths"].items():
            for method in METHODS:
                if tag["name"] in operations.get(method, {}).get("tags", []):
                    parts += operation(path, method, operations[method], operations.get("parameters", []))
    parts.append("## Objects")
    for name, schema in schemas.items():
        parts += [f"### {name}", *fields(schema)]
    return joined(parts)


def operation(path, method, told, shared):
    yield f"### `{method.upper()} {path}`"
    yield wrapped(prose(". ".join(filter(None, [told["summary"], told.get("description", "")]))).rstrip(".") + ".")
    if parameters := shared + told.get("parameters", []):
        yield table(["parameter", "in", "value", "meaning"], [
            [f"`{p['name']}`", p["in"], kind(p["schema"]), prose(p.get("description", ""))] for p in parameters
        ])
    for media, content in told.get("requestBody", {}).get("content", {}).items():
        yield f"Body ({media}): {kind(content['schema'])}."
        if "example" in content:
            yield f"```json\n{json.dumps(content['example'], ensure_ascii=False)}\n```"
    good = [answer(status, response) for status, response in told["responses"].items() if status < "300"]
    bad = [status for status in told["responses"] if status >= "300"]
    yield " ".join([*good, f"Failures: {', '.join(bad)}." if bad else ""]).strip()


def answer(status, response):
    for media, content in response.get("content", {}).items():
        shape = content.get("schema", {})
        data = shape.get("properties", {}).get("data") if shape.get("type") == "object" else None
        what = kind(data) if data else kind(shape) if shape else media
        return f"Answer {status}: {'`data` is ' if data else ''}{what}."
    return f"Answer {status}."


def kind(schema):
    """What a value may be, in words."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return " or ".join(dict.fromkeys(kind(part) for part in schema[several]))
    if "const" in schema:
        return f"`{json.dumps(schema['const'])}`"
    if "enum" in schema:
        return "one of " + ", ".join(f"`{value}`" for value in schema["enum"])
    bounds = limits(schema)
    if schema.get("type") == "array":
        return f"list of {kind(schema.get('items', {}))}{bounds}"
    if schema.get("format"):
        return {"date-time": "instant", "date": "date"}.get(schema["format"], schema["format"])
    if schema.get("type") == "string":
        return ("decimal text" if "pattern" in schema and "[0-9]" in schema["pattern"] else "text") + bounds
    if schema.get("type") == "object" and schema.get("properties"):
        return "object of " + ", ".join(f"`{name}`" for name in schema["properties"])
    named = {"integer": "whole number", "boolean": "true or false", "null": "null", "object": "object"}
    return named.get(schema.get("type"), "any") + bounds


def limits(schema):
    least = next((schema[name] for name in ("minimum", "minLength", "minItems") if name in schema), None)
    most = next((schema[name] for name in ("maximum", "maxLength", "maxItems") if name in schema), None)
    # Nobody sends that much; it is only what fits.
    most = None if most is not None and most > 2**53 else most
    unit = " characters" if "maxLength" in schema else ""
    if least is not None and most is not None:
        return f", {least} to {most}{unit}"
    if most is not None:
        return f", at most {most}{unit}"
    return f", at least {least}" if least else ""


def fields(schema):
    if "properties" not in schema:
        yield kind(schema)
        return
    required = set(schema.get("required", []))
    # A request refuses what it does not know; an answer may have more fields in a later release.
    asked = schema.get("additionalProperties") is False

    def presence(name):
        if asked:
            return "Required." if name in required else ""
        return "" if name in required else "May be absent."

    yield table(["field", "value", "meaning"], [
        [f"`{name}`", kind(part), " ".join(filter(None, [
            prose(part.get("description", "")), presence(name)]))]
        for name, part in schema["properties"].items()
    ])
    for example in schema.get("examples", [])[:1]:
        yield f"```json\n{json.dumps(example, indent=2, ensure_ascii=False)}\n```"
