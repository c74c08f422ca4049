"""The store of the A2A SDK for configurations of push notifications, on a registry."""

from __future__ import annotations

from a2a.server.context import ServerCallContext
from a2a.server.owner_resolver import OwnerResolver, resolve_user_scope
from a2a.server.tasks import PushNotificationConfigStore
from a2a.server.tasks.push_notification_config_store import normalize_push_notification_config
from a2a.types.a2a_pb2 import TaskPushNotificationConfig
from opslifecycle.protocols.a2a.wire import config_id_of

from opslifecycle.protocols.a2a.configs import (
    AsyncA2aPushConfigRegistry,
    ConfigExistsError,
    ConfigId,
    ConfigNotFoundError,
    ConfigSnapshot,
)


class RegistryPushConfigStore(PushNotificationConfigStore):
    """A `PushNotificationConfigStore` of the SDK whose configurations survive the process.

    Tokens and credentials are stored as they are; the file of a `SqliteStore` is readable for its
    owner alone.

    Args:
        registry: Where the configurations are.
        owner_of: Returns the owner of a request's configurations; by default the name of its user.
    """

    def __init__(
        self, registry: AsyncA2aPushConfigRegistry, owner_of: OwnerResolver = resolve_user_scope
    ) -> None:
        self._registry = registry
        self._owner_of = owner_of

    async def set_info(
        self,
        task_id: str,
        notification_config: TaskPushNotificationConfig,
        context: ServerCallContext,
    ) -> TaskPushNotificationConfig:
        """Store a configuration in place of the one of the same task and name.

        Returns:
            The stored one. Without a name it has that of the task.
        """
        config = normalize_push_notification_config(task_id, notification_config)
        owner, message = self._owner_of(context), config.SerializeToString()
        id = config_id_of(owner, task_id, config.id)
        while True:
            try:
                if self._registry.snapshot(id) is None:
                    await self._registry.add_config(id, owner, task_id, message)
                else:
                    await self._registry.replace_config(id, message)
                return config
            except (ConfigExistsError, ConfigNotFoundError):
                continue  # another request was faster

    async def get_info(
        self, task_id: str, context: ServerCallContext
    ) -> list[TaskPushNotificationConfig]:
        """Return the owner's configurations of a task, by their names."""
        return _decoded(self._registry.list_configs(owner=self._owner_of(context), task=task_id))

    async def get_info_for_dispatch(self, task_id: str) -> list[TaskPushNotificationConfig]:
        """Return the configurations of a task, of every owner."""
        return _decoded(self._registry.list_configs(task=task_id))

    async def delete_info(
        self, task_id: str, context: ServerCallContext, config_id: str | None = None
    ) -> None:
        """Remove one of the owner's configurations of a task, or all; none is left alone."""
        owner = self._owner_of(context)
        if config_id is not None:
            await self._remove(config_id_of(owner, task_id, config_id))
            return
        for each in self._registry.list_configs(owner=owner, task=task_id):
            await self._remove(each.id)

    async def _remove(self, id: ConfigId) -> None:
        try:
            await self._registry.remove_config(id)
        except ConfigNotFoundError:
            pass


def _decoded(found: list[ConfigSnapshot]) -> list[TaskPushNotificationConfig]:
    configs = [TaskPushNotificationConfig.FromString(each.message) for each in found]
    return sorted(configs, key=lambda config: str(config.id))
