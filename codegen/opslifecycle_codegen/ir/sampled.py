"""What becomes of the sample values of generated tests, so that each test has something to show."""

from __future__ import annotations

from attrs import Factory, frozen


@frozen
class Sampled:
    """The results of calls with sample values, in a new registry.

    Attributes:
        targets: The status after each action that is accepted, by the status before and the action.
        refused: By action, the guards that reject it in a status in which it is legal.
        is_stored: Whether a store holds a record after every action was called with samples.
    """

    targets: dict[tuple[str, str], str] = Factory(dict)
    refused: dict[str, str] = Factory(dict)
    is_stored: bool = False
