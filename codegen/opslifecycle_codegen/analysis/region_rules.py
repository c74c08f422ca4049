"""Stage 3, analyze: rules about regions, and about the words of commands that lead through them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from opslifecycle_codegen.base.diagnostics import Diagnostics, nearest
from opslifecycle_codegen.ir.regions import region_of, regions_named
from opslifecycle_codegen.source import command_model, model
from opslifecycle_codegen.source.descriptions import described
from opslifecycle_codegen.source.words import Name, Text

#: The member that a status outside of the regions has for each of them.
OUTSIDE = "outside"
_BUILT_IN = ("live", "terminal", "milestone")


class RegionRules:
    """Reports what regions cannot be, and words that have no meaning for them."""

    def __init__(self, machine: model.Machine, diagnostics: Diagnostics) -> None:
        self._machine = machine
        self._statuses = machine.statuses
        self._regions = machine.statuses.regions
        self._diagnostics = diagnostics
        self._of_regions = {str(n): n for each in self._regions.values() for n in each.members}

    # A machine without regions ------------------------------------------------------------------

    def refuse_words_of_regions(self) -> None:
        """Report what only machines with regions have, and what these may leave out."""
        create = self._machine.create
        if not create.to:
            hint = f"add `to`: {described(command_model.Create)['to']}"
            self._diagnostics.add(create.mark, "missing-key", "create lacks the key 'to'", hint)
        for action in self._machine.actions.values():
            words = [("while", action.while_)]
            words += [("also", target.also) for target in action.to]
            for key, given in words:
                if given:
                    message = f"`{key}` is about regions, and this machine has none"
                    hint = f"remove `{key}`, or declare `regions` under `statuses`"
                    self._diagnostics.add(given[0].mark, "wrong-shape", message, hint)

    # Declarations -------------------------------------------------------------------------------

    def check(self) -> None:
        """Report everything that is wrong with regions, before they are flattened."""
        self._check_number()
        self._check_names()
        self._check_statuses()
        self._check_milestones()
        self._check_properties()
        self._check_status(self._machine.create.to)
        for action in self._machine.actions.values():
            self._check_sources(action)
            for target in action.to:
                self._check_target(target)
        joined = "_".join(f"({'|'.join(each.members)})" for each in self._regions.values())
        self._check_words(re.compile(joined), [])

    def _check_number(self) -> None:
        if len(self._regions) == 1:
            (name,) = self._regions
            message = f"{name} is the only region: its statuses are those of the record"
            hint = "declare a second region, or put the statuses under `members`"
            self._diagnostics.add(name.mark, "wrong-shape", message, hint)

    def _check_names(self) -> None:
        """Report statuses and groups that share a name, and regions that are no properties."""
        taken = {str(n): "a status outside of the regions" for n in self._statuses.members}
        taken |= {OUTSIDE: "what the other statuses have for each region"}
        taken |= {str(name): "a group" for name in self._statuses.groups}
        for name, region in self._regions.items():
            if name in self._statuses.properties:
                message = f"{name} is a property of the statuses already"
                self._diagnostics.add(name.mark, "name-collision", message, "rename the region")
            for status in region.members:
                if status in taken:
                    kind = taken[str(status)]
                    message = f"{status} is {kind}: a status of {name} cannot have the name"
                    self._diagnostics.add(status.mark, "name-collision", message)
                taken[str(status)] = f"a status of {name}"

    def _check_statuses(self) -> None:
        for name, region in self._regions.items():
            if not region.members:
                self._diagnostics.add(name.mark, "empty-set", f"{name} has no statuses")
            elif region.initial not in region.members:
                message = f"{region.initial} is no status of {name}: it cannot begin there"
                hint = nearest(region.initial, region.members)
                self._diagnostics.add(region.initial.mark, "unknown-status", message, hint)
            for status, declared in region.members.items():
                if declared.pseudo:
                    message = f"{status} is a pseudo status, and every status of a region is real"
                    hint = "declare it under `members`, outside of the regions"
                    self._diagnostics.add(status.mark, "pseudo-status", message, hint)

    def _check_milestones(self) -> None:
        """Report milestones of a second region: a record has one outcome at a time."""
        found = [
            (name, status)
            for name, region in self._regions.items()
            for status, declared in region.members.items()
            if declared.milestone
        ]
        for name, status in found:
            if name != found[0][0]:
                message = f"{found[0][0]} has milestones already: {status} of {name} is none"
                hint = "let the milestones of a machine be in one of its regions"
                self._diagnostics.add(status.mark, "wrong-shape", message, hint)

    def _check_properties(self) -> None:
        """Report properties of which two regions have values."""
        owner: dict[str, Name] = {}
        for name, region in self._regions.items():
            for declared in region.members.values():
                for key in declared.properties:
                    if owner.setdefault(str(key), name) != name:
                        message = f"{owner[str(key)]} has values of the property {str(key)!r}"
                        hint = "declare a property for each region"
                        self._diagnostics.add(key.mark, "name-collision", message, hint)

    # Words --------------------------------------------------------------------------------------

    def _check_status(self, word: Name) -> None:
        """Report a word to which nothing can lead."""
        if word and not (word in self._of_regions or word in self._statuses.members):
            if word in self._statuses.groups or word in _BUILT_IN:
                return  # A group without an initial status, which was reported.
            message = f"there is no status {str(word)!r} of a region or outside of them"
            hint = nearest(word, [*self._of_regions, *self._statuses.members])
            self._diagnostics.add(word.mark, "unknown-status", message, hint)

    def _check_target(self, target: command_model.Target) -> None:
        for word in (target.status, *target.also):
            self._check_status(Name(word, word.mark))
        regions: dict[str, Text] = {}
        for word in (target.status, *target.also) if target.also else ():
            region = region_of(self._machine, word)
            if word in self._statuses.members:
                message = f"{word} is outside of the regions, so it leads all of them out"
                hint = "remove `also`, or name a status of a region"
                self._diagnostics.add(word.mark, "wrong-shape", message, hint)
            elif region is not None and region in regions:
                message = f"{regions[region]} and {word} are statuses of one region, {region}"
                self._diagnostics.add(word.mark, "wrong-shape", message, "remove one of them")
            elif region is not None:
                regions[region] = word

    def _check_sources(self, action: command_model.Action) -> None:
        """Report statuses of several regions under `from`, which could mean either or both."""
        lists = [action.from_, *(target.from_ for target in action.to)]
        for words in lists:
            regions = regions_named(self._machine, words)
            if len(regions) > 1:
                named = " and ".join(regions)
                message = f"`from` names statuses of several regions, {named}"
                hint = "leave those of one region there, and put the others under `while`"
                self._diagnostics.add(words[0].mark, "wrong-shape", message, hint)

    def check_reached(self, reached: Iterable[str]) -> None:
        """Report joined names of statuses that no record reaches; `reached` are all others."""
        self._check_words(re.compile(""), reached)

    def _check_words(self, joined: re.Pattern[str], reached: Iterable[str]) -> None:
        """Report words that name no status and no group, and are no joined name either."""
        known = [*reached, *self._of_regions, *self._statuses.members, *self._statuses.groups]
        for word in self._sources():
            if word not in known and word not in _BUILT_IN and not joined.fullmatch(word):
                message = f"there is no status {str(word)!r} that a record reaches"
                self._diagnostics.add(word.mark, "unknown-status", message, nearest(word, known))

    def _sources(self) -> Iterator[Text]:
        """Yield the words that say where commands are legal."""
        for action in self._machine.actions.values():
            yield from (*action.from_, *action.while_)
            for target in action.to:
                yield from target.from_
        for removing in (self._machine.rollback, self._machine.erase):
            if removing is not None:
                yield from removing.from_
