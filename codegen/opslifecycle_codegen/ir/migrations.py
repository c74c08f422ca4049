"""What becomes of what older versions have stored: the declared edits, version by version."""

from __future__ import annotations

from attrs import Factory, frozen

#: What a field that older data has not can be given.
JsonScalar = str | int | None
#: The parts that are no type: fields of a record, fields of the registry, and names of classes.
RECORD, REGISTRY, TYPES = "fields", "registry", "types"


@frozen
class Migration:
    """The edits that lead to one version, by the part that they are made to."""

    version: int
    reason: str
    refuses: bool
    renames: dict[str, dict[str, str]]
    removes: dict[str, list[str]]
    adds: dict[str, dict[str, JsonScalar]]
    #: Breaks that are meant, by the rule that tells them, each with its reason.
    accepts: dict[str, str]

    def edits(self, part: str) -> bool:
        """Return whether a part is edited itself."""
        return any(part in edits for edits in (self.renames, self.removes, self.adds))


@frozen
class Migrations:
    """All that are declared, the oldest first."""

    steps: tuple[Migration, ...] = ()
    enums_of_unions: dict[str, str] = Factory(dict)

    def spelled(self, part: str, name: str, version: int) -> str:
        """Return how a name of today was spelled at a version."""
        for step in reversed(self.steps):
            if step.version > version:
                for old, new in step.renames.get(part, {}).items():
                    if new == name:
                        name = old
                        break
        return name
