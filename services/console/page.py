"""The built page: one document and its files. Nothing of it is secret; what it shows comes from `/api`."""

from __future__ import annotations

import mimetypes
import secrets
from http import HTTPStatus
from pathlib import Path

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from services.console import problems
from services.console.security import page_policy

NONCE_PLACEHOLDER = "__CSP_NONCE__"
"""Vite writes it where the page's styles get their nonce (`html.cspNonce` in vite.config.ts)."""
_NOT_BUILT = "The page has not been built: make web"
_TYPES = {".js": "text/javascript", ".mjs": "text/javascript", ".woff2": "font/woff2"}


def build_router(folder: Path) -> APIRouter:
    """Serves the page from `folder`, which may be built later."""
    router = APIRouter(include_in_schema=False)
    root = folder.resolve()

    @router.get("/api/{path:path}")
    async def no_such_route(path: str) -> Response:
        return problems.problem(HTTPStatus.NOT_FOUND, "there is no such path")

    @router.get("/{path:path}")
    def page(request: Request, path: str) -> Response:
        file = (root / path).resolve()
        if path and file.is_relative_to(root) and file.is_file() and file.name != "index.html":
            return _file(file, hashed=path.startswith("assets/"))
        if "." in path.rsplit("/", 1)[-1]:
            return problems.problem(HTTPStatus.NOT_FOUND, "there is no such file")
        return _document(root / "index.html")

    return router


def _file(file: Path, *, hashed: bool) -> Response:
    kind = _TYPES.get(file.suffix) or mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    # A name that holds a hash of its content never changes its content.
    caching = "public, max-age=31536000, immutable" if hashed else "no-cache"
    return FileResponse(file, media_type=kind, headers={"cache-control": caching})


def _document(file: Path) -> Response:
    try:
        text = file.read_text(encoding="utf-8")
    except OSError:
        return problems.problem(HTTPStatus.SERVICE_UNAVAILABLE, _NOT_BUILT)
    nonce = secrets.token_urlsafe(16)
    return Response(
        text.replace(NONCE_PLACEHOLDER, nonce),
        media_type="text/html; charset=utf-8",
        headers={"cache-control": "no-store", "content-security-policy": page_policy(nonce)},
    )
