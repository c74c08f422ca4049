"""Stores over HTTP: operations as JSON, feeds as server-sent events, and a page that shows them.

Needs the extra `serve`. `opslifecycle serve` is the same as a program.
"""

from opslifecycle.serve.app import create_app

__all__ = ["create_app"]
