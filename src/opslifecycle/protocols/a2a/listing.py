"""Pages of tasks: the filters, the order and the page tokens of the A2A SDK."""

from __future__ import annotations

from a2a.types.a2a_pb2 import ListTasksRequest, ListTasksResponse
from a2a.utils.constants import DEFAULT_LIST_TASKS_PAGE_SIZE
from a2a.utils.errors import InvalidParamsError
from a2a.utils.task import (
    ListTasksCursor,
    decode_list_tasks_cursor,
    decode_page_token,
    encode_list_tasks_cursor,
    validate_page_size,
)
from opslifecycle.protocols.a2a.wire import status_of, task_of

from opslifecycle.protocols.a2a.tasks import AsyncA2aTaskRegistry, TaskSnapshot


def listed(
    registry: AsyncA2aTaskRegistry, owner: str, params: ListTasksRequest
) -> ListTasksResponse:
    """Return a page of an owner's tasks, the latest change first; those without a time come last.

    Raises:
        InvalidParamsError: The page token or the size of the page is wrong.
    """
    size = params.page_size or DEFAULT_LIST_TASKS_PAGE_SIZE
    validate_page_size(size)
    found = _selected(registry, owner, params)
    begin = _begin(found, params.page_token) if params.page_token else 0
    page = found[begin : begin + size]
    more = begin + size < len(found)
    return ListTasksResponse(
        tasks=[task_of(each.message) for each in page],
        total_size=len(found),
        page_size=size,
        next_page_token=encode_list_tasks_cursor(_cursor(page[-1])) if more else "",
    )


def _selected(
    registry: AsyncA2aTaskRegistry, owner: str, params: ListTasksRequest
) -> list[TaskSnapshot]:
    found = registry.list_tasks(
        owner=owner,
        context=params.context_id or None,
        status=status_of(params.status) if params.status else None,
    )
    if params.HasField("status_timestamp_after"):
        after_ns = params.status_timestamp_after.ToNanoseconds()
        found = [t for t in found if t.changed_ns is not None and t.changed_ns >= after_ns]
    return sorted(found, key=lambda task: _cursor(task).sort_key(), reverse=True)


def _begin(found: list[TaskSnapshot], token: str) -> int:
    """Return the index of the first task of the page that a token asks for."""
    cursor = decode_list_tasks_cursor(token)
    if cursor is not None:
        after = cursor.sort_key()
        behind = (n for n, task in enumerate(found) if _cursor(task).sort_key() < after)
        return next(behind, len(found))
    # A token of older clients names the first task of the page.
    name = decode_page_token(token)
    for index, task in enumerate(found):
        if task.name == name:
            return index
    raise InvalidParamsError(f"Invalid page token: {token}")


def _cursor(task: TaskSnapshot) -> ListTasksCursor:
    return ListTasksCursor(timestamp_ns=task.changed_ns, task_id=task.name)
