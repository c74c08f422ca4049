"""Registries that many hosts share, on a PostgreSQL server."""

from opslifecycle.cluster.cluster import Cluster
from opslifecycle.cluster.errors import NotAnsweredError

__all__ = ["Cluster", "NotAnsweredError"]
