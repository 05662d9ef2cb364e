"""The preview's answers over HTTP: its page, and texts, with headers that keep other web pages from using them."""

import base64
import hashlib
import re
from functools import cache
from http import HTTPStatus
from pathlib import Path

from websockets.datastructures import Headers
from websockets.http11 import Response


@cache
def page() -> Response:
    """The preview's page, allowed its own scripts and styles and to talk to where it came from, and nothing else."""
    page = Path(__file__).with_name("preview.html").read_bytes()
    scripts = " ".join(map(_hash, re.findall(rb"<script[^>]*>(.*?)</script>", page, re.DOTALL)))
    styles = " ".join(map(_hash, re.findall(rb"<style>(.*?)</style>", page, re.DOTALL)))
    policy = (
        f"default-src 'none'; script-src {scripts}; style-src {styles}; img-src data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return _response(200, page, "text/html; charset=utf-8", ("Content-Security-Policy", policy))


def _hash(part: bytes) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(part).digest()).decode()}'"


def text(status: int, text: str, kind: str = "text/plain; charset=utf-8") -> Response:
    """A text with an HTTP status; kind is its Content-Type."""
    return _response(status, text.encode(), kind)


def _response(status: int, body: bytes, kind: str, *others: tuple[str, str]) -> Response:
    headers = Headers(
        [
            ("Content-Type", kind),
            ("Content-Length", str(len(body))),
            ("Connection", "close"),
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
            ("Cross-Origin-Resource-Policy", "same-origin"),
            ("Referrer-Policy", "no-referrer"),
            *others,
        ]
    )
    return Response(status, HTTPStatus(status).phrase, headers, body)
