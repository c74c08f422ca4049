"""What every request passes first: the name of the host, and the token."""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Collection
from http import HTTPStatus
from urllib.parse import urlsplit

from opslifecycle.errors import InvalidValueError
from opslifecycle.serve.files import OPEN_PATHS
from opslifecycle.serve.problems import problem
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: Scripts, styles and connections come from here alone; nothing may frame the page.
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self';"
    " connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
#: What has no data of the store, so that a page can ask for the token, and a monitor for health.
_OPEN = frozenset({*OPEN_PATHS, "/healthz", "/readyz"})
_TOKEN_LENGTH_MIN = 16


def checked_token(token: str | None) -> bytes | None:
    """Return the bytes of a token.

    Raises:
        InvalidValueError: It is too short, or cannot be in a header.
    """
    if token is None:
        return None
    if len(token) < _TOKEN_LENGTH_MIN or not all("!" <= each <= "~" for each in token):
        reason = (
            f"expected at least {_TOKEN_LENGTH_MIN} characters of ASCII without spaces; make one"
            " with `python -c 'import secrets; print(secrets.token_urlsafe())'`"
        )
        raise InvalidValueError("token", reason)
    return token.encode("ascii")


def is_loopback(host: str) -> bool:
    """Return whether a name or an address is that of this computer to itself."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower().rstrip(".") == "localhost"


class Guard:
    """Refuses requests without the token, of other sites, and for other hosts.

    Without a token, only requests that name this computer are answered: a page of another site
    whose name was made to lead here (DNS rebinding) sends its own name.

    Args:
        app: What answers the others.
        token: The token; None for none.
        hosts: The other names of hosts that requests may have; `*` for all.
    """

    def __init__(self, app: ASGIApp, token: bytes | None, hosts: Collection[str]) -> None:
        self._app = app
        self._token = token
        self._hosts = frozenset(each.lower() for each in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
            await send(message)

        refusal = self._refusal(scope)
        answer = self._app if refusal is None else refusal
        await answer(scope, receive, send_with_headers)

    def _refusal(self, scope: Scope) -> ASGIApp | None:
        headers = Headers(scope=scope)
        if not self._knows_host(headers.get("host", "")):
            detail = "this server has another name; ask for it as localhost, or allow the host"
            return problem(HTTPStatus.MISDIRECTED_REQUEST, detail)
        if not _is_of_this_site(headers):
            return problem(HTTPStatus.FORBIDDEN, "a page of another site has sent the request")
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        if path in _OPEN or self._has_token(headers):
            return None
        detail = "expected the header `Authorization: Bearer` with the token of this server"
        challenge = {"WWW-Authenticate": 'Bearer realm="opslifecycle"'}
        return problem(HTTPStatus.UNAUTHORIZED, detail, challenge)

    def _knows_host(self, header: str) -> bool:
        if self._token is not None or "*" in self._hosts:
            return True
        try:
            name = urlsplit(f"//{header}").hostname or ""
        except ValueError:
            return False
        return is_loopback(name) or name in self._hosts

    def _has_token(self, headers: Headers) -> bool:
        if self._token is None:
            return True
        scheme, _, given = headers.get("authorization", "").partition(" ")
        is_same = secrets.compare_digest(given.strip().encode("utf-8"), self._token)
        return is_same and scheme.lower() == "bearer"


def _is_of_this_site(headers: Headers) -> bool:
    """Return whether a request is of a page of this server, or of no page at all."""
    origin = headers.get("origin")
    return origin is None or origin.partition("://")[2] == headers.get("host")
