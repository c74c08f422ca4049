"""Declared edits of data that older versions have stored, version by version."""

from __future__ import annotations

from attrs import Factory, frozen

#: The value of a field that older data lacks.
JsonScalar = str | int | float | None
AddedValue = JsonScalar | list[JsonScalar] | dict[str, JsonScalar]
#: The parts that are not types: fields of a record, fields of the registry, names of classes.
RECORD, REGISTRY, TYPES = "fields", "registry", "types"


@frozen
class Migration:
    """The edits that lead to one version, by the part that they change."""

    version: int
    reason: str
    refuses: bool
    renames: dict[str, dict[str, str]]
    removes: dict[str, list[str]]
    adds: dict[str, dict[str, AddedValue]]
    #: Accepted breaking changes by rule, each with its reason.
    accepts: dict[str, str]

    def edits(self, part: str) -> bool:
        """Return whether a part has edits."""
        return any(part in edits for edits in (self.renames, self.removes, self.adds))


@frozen
class Migrations:
    """All declared migrations, oldest first."""

    steps: tuple[Migration, ...] = ()
    enums_of_unions: dict[str, str] = Factory(dict)

    def spelled(self, part: str, name: str, version: int) -> str:
        """Return the spelling of a current name at a version."""
        for step in reversed(self.steps):
            if step.version > version:
                for old, new in step.renames.get(part, {}).items():
                    if new == name:
                        name = old
                        break
        return name
