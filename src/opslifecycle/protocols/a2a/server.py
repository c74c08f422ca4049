"""What a server of the Agent2Agent protocol needs for durable tasks."""

from opslifecycle.protocols.a2a.event_stream import RegistryEventStream
from opslifecycle.protocols.a2a.interrupted import fail_interrupted
from opslifecycle.protocols.a2a.push_configs import RegistryPushConfigStore
from opslifecycle.protocols.a2a.task_stores import RegistryTaskStore, VersionedRegistryTaskStore

__all__ = [
    "RegistryEventStream",
    "RegistryPushConfigStore",
    "RegistryTaskStore",
    "VersionedRegistryTaskStore",
    "fail_interrupted",
]
