"""The files of the page, which have nothing of the store in them."""

from __future__ import annotations

from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

_FOLDER = Path(__file__).parent / "page"
_MEDIA_TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}
#: Each path, and the file that answers it. An editor may have left others beside them.
PAGE_FILES = {
    "/" if file.name == "index.html" else f"/{file.name}": file
    for file in sorted(_FOLDER.iterdir())
    if file.suffix in _MEDIA_TYPES
}


def page_routes() -> list[Route]:
    """Return a route for each file."""
    return [Route(path, _Answer(file).answer) for path, file in PAGE_FILES.items()]


class _Answer:
    def __init__(self, file: Path) -> None:
        self._file = file
        self._media_type = _MEDIA_TYPES[file.suffix]

    async def answer(self, request: Request) -> Response:
        return FileResponse(self._file, media_type=self._media_type)
