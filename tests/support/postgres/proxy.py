"""A TCP proxy between an owner and the server, whose two directions can be disturbed."""

from __future__ import annotations

import contextlib
import enum
import selectors
import socket
import struct
import threading

import attrs

_CHUNK = 65536
_LOOK_SECONDS = 0.02


class Flow(enum.Enum):
    """What becomes of the bytes in one direction."""

    PASS = enum.auto()
    #: They stay where they are, as behind a network that delivers nothing.
    HOLD = enum.auto()
    #: They are lost, as if the sender's packets were acknowledged and then dropped.
    EAT = enum.auto()


@attrs.define(eq=False)
class _Pair:
    client: socket.socket
    server: socket.socket


class Proxy:
    """Listens on a port of its own, and forwards to a server's port."""

    def __init__(self, port: int) -> None:
        #: Where new connections go; it may change, as an address that follows the primary does.
        self.server_port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.to_server = self.to_client = Flow.PASS
        #: How many bytes of the server were eaten.
        self.eaten = 0
        self._pairs: list[_Pair] = []
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="proxy", daemon=True)
        self._thread.start()

    def pass_all(self) -> None:
        """Disturb nothing any more."""
        self.to_server = self.to_client = Flow.PASS

    def cut(self) -> None:
        """Reset every connection at both ends."""
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            for end in (pair.client, pair.server):
                with contextlib.suppress(OSError):
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                end.close()

    def close(self) -> None:
        """Stop, and close everything."""
        self._stopping.set()
        self._thread.join(30)
        self._listener.close()
        self.cut()

    # The thread ---------------------------------------------------------------------------------

    def _work(self) -> None:
        self._listener.setblocking(False)
        while not self._stopping.is_set():
            with self._lock:
                pairs = list(self._pairs)
            with selectors.DefaultSelector() as selector:
                try:
                    self._watch(selector, pairs)
                except (OSError, ValueError):
                    # A connection was cut meanwhile.
                    continue
                for key, _ in selector.select(_LOOK_SECONDS):
                    self._serve(key.data)

    def _watch(self, selector: selectors.BaseSelector, pairs: list[_Pair]) -> None:
        if Flow.HOLD not in (self.to_server, self.to_client):
            selector.register(self._listener, selectors.EVENT_READ, None)
        for pair in pairs:
            if self.to_server is not Flow.HOLD:
                selector.register(pair.client, selectors.EVENT_READ, (pair, True))
            if self.to_client is not Flow.HOLD:
                selector.register(pair.server, selectors.EVENT_READ, (pair, False))

    def _serve(self, data: tuple[_Pair, bool] | None) -> None:
        if data is None:
            self._accept()
            return
        pair, from_client = data
        source, target = (pair.client, pair.server) if from_client else (pair.server, pair.client)
        flow = self.to_server if from_client else self.to_client
        try:
            chunk = source.recv(_CHUNK)
            if not chunk:
                self._end(pair)
            elif flow is Flow.PASS:
                target.sendall(chunk)
            elif not from_client:
                self.eaten += len(chunk)
        except OSError:
            self._end(pair)

    def _accept(self) -> None:
        try:
            client, _ = self._listener.accept()
        except OSError:
            return
        client.setblocking(True)
        try:
            server = socket.create_connection(("127.0.0.1", self.server_port), 5)
        except OSError:
            client.close()
            return
        server.settimeout(None)
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._lock:
            self._pairs.append(_Pair(client, server))

    def _end(self, pair: _Pair) -> None:
        with self._lock:
            if pair in self._pairs:
                self._pairs.remove(pair)
        pair.client.close()
        pair.server.close()
