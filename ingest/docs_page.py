"""The service's description as a page for people: one file, no script, nothing loaded."""

import hashlib
import re
from base64 import b64encode
from collections.abc import Iterator, Mapping
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any, Final

import orjson

from ingest import openapi
from ingest.asgi import Answer

_CODE: Final = re.compile(r"`([^`]+)`")


@cache
def answer() -> Answer:
    """The page, with a policy that allows it its own style and nothing else."""
    style = (files("ingest") / "docs_page.css").read_text()
    digest = b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )
    more = (
        (b"content-security-policy", policy.encode()),
        (b"x-content-type-options", b"nosniff"),
    )
    page = "".join(_page(orjson.loads(openapi.text()), style))
    return Answer(page.encode(), media_type="text/html; charset=utf-8", more=more)


def _page(document: dict[str, Any], style: str) -> Iterator[str]:
    info = document["info"]
    yield (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(info['title'])}: the API</title><style>{style}</style></head>"
        f"<body><main><h1>{escape(info['title'])}</h1><p>{_text(info['description'])}</p>"
    )
    operations = [
        (method.upper(), path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    yield "<nav aria-label='Operations'><ul>"
    for method, path, operation in operations:
        yield (
            f'<li><a href="#{operation["operationId"]}"><code>{method} {_path(path)}</code></a> '
            f"{_text(operation['summary'])}</li>"
        )
    yield "</ul></nav>"
    for method, path, operation in operations:
        yield from _operation(document, f"{method} {_path(path)}", operation)
    yield "<h2>Schemas</h2>"
    for name, schema in document["components"]["schemas"].items():
        yield f'<section id="{name}"><h3>{name}</h3>'
        if "description" in schema:
            yield f"<p>{_text(schema['description'])}</p>"
        properties = schema.get("properties")
        if properties:
            rows = [(key, _kind(value), _about(value)) for key, value in properties.items()]
            yield from _table(("property", "type", "meaning"), rows)
        else:
            yield f"<p>{_kind(schema)}</p>"
        yield "</section>"
    yield "</main></body></html>"


def _operation(document: dict[str, Any], title: str, operation: dict[str, Any]) -> Iterator[str]:
    yield f'<section id="{operation["operationId"]}"><h2><code>{title}</code></h2>'
    yield f"<p>{_text(operation['summary'])}.</p>"
    if "description" in operation:
        yield f"<p>{_text(operation['description'])}</p>"
    yield f"<p>{'Needs a bearer token.' if 'security' in operation else 'Needs no token.'}</p>"
    parameters = operation.get("parameters")
    if parameters:
        yield from _table(
            ("parameter", "type", "meaning"),
            [(p["name"], f"{p['in']}: {_kind(p['schema'])}", _about(p)) for p in parameters],
        )
    rows = []
    for status, given in operation["responses"].items():
        response = _resolved(document, given)
        headers = "".join(
            f"<br><code>{name}</code>: {_about(header)}"
            for name, header in response.get("headers", {}).items()
        )
        rows.append((status, _content(response), _about(response) + headers))
    yield from _table(("status", "content", "meaning"), rows)
    yield "</section>"


def _table(head: tuple[str, ...], rows: list[tuple[str, str, str]]) -> Iterator[str]:
    yield "<table><thead><tr>"
    yield "".join(f'<th scope="col">{name}</th>' for name in head)
    yield "</tr></thead><tbody>"
    for first, second, third in rows:
        yield f'<tr><th scope="row"><code>{first}</code></th><td>{second}</td><td>{third}</td></tr>'
    yield "</tbody></table>"


def _resolved(document: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    reference = node.get("$ref")
    if reference is None:
        return node
    return document["components"]["responses"][reference.rpartition("/")[2]]  # type: ignore[no-any-return]


def _content(response: dict[str, Any]) -> str:
    return "<br>".join(
        f"{escape(media_type)}<br>{_kind(content['schema'])}"
        for media_type, content in response["content"].items()
    )


def _kind(schema: Mapping[str, Any]) -> str:
    """A schema in a few words."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f'<a href="#{name}">{name}</a>'
    if "enum" in schema:
        return ", ".join(
            f"<code>{'null' if v is None else escape(v)}</code>" for v in schema["enum"]
        )
    kind = schema.get("type", "any")
    words = [" or ".join(kind) if isinstance(kind, list) else kind]
    if "items" in schema:
        words.append(f"of {_kind(schema['items'])}")
    if "format" in schema:
        words.append(f"({schema['format']})")
    if "minimum" in schema and "maximum" in schema:
        words.append(f"from {schema['minimum']} to {schema['maximum']}")
    if "default" in schema:
        words.append(f"(default {schema['default']})")
    return " ".join(words)


def _about(node: Mapping[str, Any]) -> str:
    return _text(node.get("description", ""))


def _text(markdown: str) -> str:
    """Text with `code` in it, as HTML."""
    return _CODE.sub(r"<code>\1</code>", escape(markdown, quote=False))


def _path(path: str) -> str:
    """A path that may be broken before a slash, where a screen is narrow."""
    return escape(path).replace("/", "<wbr>/")
