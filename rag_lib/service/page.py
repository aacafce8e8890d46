"""The page for visitors: four files that are read once and need nothing from elsewhere."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from fastapi import APIRouter, Response

router = APIRouter(include_in_schema=False)
KINDS = {
    "index.html": "text/html; charset=utf-8",
    "page.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}


@cache
def contents(name: str) -> bytes:
    """The bytes of one of the page's files."""
    return (files("rag_lib.service") / "web" / name).read_bytes()


@router.get("/")
async def index() -> Response:
    """The page."""
    return Response(contents("index.html"), media_type=KINDS["index.html"])


@router.get("/page.css")
async def style() -> Response:
    """How it looks."""
    return Response(contents("page.css"), media_type=KINDS["page.css"])


@router.get("/page.js")
async def script() -> Response:
    """What it does."""
    return Response(contents("page.js"), media_type=KINDS["page.js"])


@router.get("/icon.svg")
async def icon() -> Response:
    """Its sign."""
    return Response(contents("icon.svg"), media_type=KINDS["icon.svg"])
