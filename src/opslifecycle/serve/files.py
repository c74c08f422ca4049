"""The files of the page, which have nothing of the store in them."""

from __future__ import annotations

from pathlib import Path

from opslifecycle.inspection.machines import Machine
from opslifecycle.serve.picture import picture_of
from opslifecycle.serve.problems import json_response
from opslifecycle.values.plain import Data
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

_FOLDER = Path(__file__).parent / "page"
_MEDIA_TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
#: Each path, and the file that answers it. An editor may have left others beside them.
PAGE_FILES = {
    "/" if file.name == "index.html" else f"/{file.name}": file
    for file in sorted(_FOLDER.iterdir())
    if file.suffix in _MEDIA_TYPES
}
#: The path of the picture of the machine.
PICTURE = "/machine.json"
#: What is answered without a token: it has nothing of the store.
OPEN_PATHS = (*PAGE_FILES, PICTURE)


def page_routes(machine: Machine) -> list[Route]:
    """Return a route for each file, and for the picture of the machine."""
    routes = [Route(path, _Answer(file).answer) for path, file in PAGE_FILES.items()]
    return [*routes, Route(PICTURE, _Drawn(picture_of(machine)).answer)]


class _Drawn:
    def __init__(self, picture: Data) -> None:
        self._picture = picture

    async def answer(self, request: Request) -> Response:
        return json_response(self._picture)


class _Answer:
    def __init__(self, file: Path) -> None:
        self._file = file
        self._media_type = _MEDIA_TYPES[file.suffix]

    async def answer(self, request: Request) -> Response:
        return FileResponse(self._file, media_type=self._media_type)
