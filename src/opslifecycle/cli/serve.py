"""`opslifecycle serve`: a store over HTTP."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import click
from opslifecycle import OpsLifecycleError, PersistenceError
from opslifecycle.cli.failing import told_errors
from opslifecycle.cli.packages import machine_of, naming_packages, package_option
from opslifecycle.cli.stores import print_line, store_option
from opslifecycle.inspection.locations import Location

_VARIABLE = "OPSLIFECYCLE_TOKEN"
#: How long a request in progress may take after the server was asked to end.
_GRACE_SECONDS = 2
_BACKLOG = 128
#: The libraries of the extra.
_NEEDED = ("anyio", "prometheus_client", "sse_starlette", "starlette", "uvicorn")


class NotServedError(OpsLifecycleError):
    """A store that cannot be served as the options say."""

    field_names = ("option", "reason")
    template = "{option}: {reason}"

    def __init__(self, option: str, reason: str) -> None:
        super().__init__(option, reason)


@click.command()
@store_option
@package_option
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=8080,
    show_default=True,
    help="The port; 0 for any free one.",
)
@click.option(
    "--token-file",
    type=click.Path(path_type=Path),
    help=f"A file with the token that requests must have. The variable {_VARIABLE} is another way.",
)
@click.option("--allow-cancel", is_flag=True, help="Let requests cancel operations.")
def serve(
    store: Location,
    package: str,
    host: str,
    port: int,
    token_file: Path | None,
    allow_cancel: bool,
) -> None:
    """Show a store over HTTP: operations as JSON, and feeds as server-sent events.

    With --package, it shows the records of a machine of your own.

    It only reads, unless --allow-cancel is given. An address that other computers can reach needs a
    token: requests then have the header `Authorization: Bearer TOKEN`.
    """
    try:
        import uvicorn
        from opslifecycle.serve.app import create_app
        from opslifecycle.serve.guarding import is_loopback
    except ModuleNotFoundError as error:
        name = (error.name or "").partition(".")[0]
        if name not in _NEEDED:
            raise
        message = f"serving needs {name}; pip install 'opslifecycle[serve]'"
        raise click.ClickException(message) from None

    with told_errors():
        token = _token(token_file)
        if token is None and not is_loopback(host):
            reason = (
                f"{host!r} can be reached from other computers; give --token-file or {_VARIABLE},"
                " or listen at 127.0.0.1"
            )
            raise NotServedError("--host", reason)
        _check_machine(store, package)
        app = create_app(
            store, machine=machine_of(package).registry, token=token, allow_cancel=allow_cancel
        )
        with _listening(host, port) as listener:
            shown = f"[{host}]" if ":" in host else host
            print_line(f"{store}: http://{shown}:{listener.getsockname()[1]}/")
            config = uvicorn.Config(
                app, log_level="warning", access_log=False, lifespan="off",
                server_header=False, timeout_graceful_shutdown=_GRACE_SECONDS,
            )  # fmt: skip
            uvicorn.Server(config).run(sockets=[listener])


def _check_machine(store: Location, package: str) -> None:
    """Refuse a store that has registries of other machines alone: the page would stay empty."""
    with naming_packages():
        try:
            store.reader(machine_of(package).schema).names()
        except PersistenceError:
            # The server says so, too, until the store can be read.
            pass


def _token(file: Path | None) -> str | None:
    """Return the token of a file or of the environment; None if there is neither."""
    if file is None:
        return os.environ.get(_VARIABLE)
    try:
        return file.read_text(encoding="utf-8").strip()
    except UnicodeDecodeError:
        raise NotServedError("--token-file", f"{str(file)!r} is no text in UTF-8") from None


def _listening(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except (OSError, UnicodeError) as error:
        where = f"{host}, port {port}"
        reason = f"{where}: {getattr(error, 'strerror', None) or error}; choose another"
        raise NotServedError("--host and --port", reason) from None
