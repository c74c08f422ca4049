"""The types that differ from machine to machine; by default those of the shipped machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from opslifecycle import OperationId, OperationTerminalOutcome, WaitAllResult
from opslifecycle.shell.work import WorkDefinition
from opslifecycle.values.identifiers import AnyIdentifier

if TYPE_CHECKING:
    # Type checkers have it built in; Python has defaults of type variables from 3.13 on.
    from typing_extensions import TypeVar

    IdT = TypeVar("IdT", bound="AnyIdentifier", default=OperationId)
    OutcomeT = TypeVar("OutcomeT", default=OperationTerminalOutcome)
    ResultsT = TypeVar("ResultsT", default=WaitAllResult)
else:
    from typing import TypeVar

    IdT = TypeVar("IdT")
    OutcomeT = TypeVar("OutcomeT")
    ResultsT = TypeVar("ResultsT")


class WorkRegistry(Protocol[IdT, OutcomeT, ResultsT]):
    """A generated registry, of either kind, whose machine declares `work`."""

    @property
    def _work(self) -> WorkDefinition[IdT, OutcomeT, ResultsT]: ...
