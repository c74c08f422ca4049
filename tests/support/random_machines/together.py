"""Transactions of a machine, asked of its registry and its interpreter and compared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from opslifecycle import OpsLifecycleError
from opslifecycle_codegen.modelcheck.state import Answer, State

from tests.support.random_machines.exploring import Asked, Reached
from tests.support.random_machines.sides import Side
from tests.support.random_machines.verdicts import FaultError

Answered = tuple[Asked, Answer]


class TogetherSide(Side):
    """A side whose commands are asked in transactions where they can be."""

    def bring(self, path: Sequence[Answered], state: State) -> None:
        """Go along a path, with as much of it in each transaction as can be."""
        together: list[Answered] = []
        before = state
        for asked, answer in path:
            time = max(state.time, asked.call.time or 0)
            if together and (not asked.kept or time != state.time):
                self._accepted(before, together)
                together = []
            if not together:
                before = state
            if asked.kept:
                together.append((asked, answer))
            else:
                self.apply(state, asked, answer)
            assert answer.state is not None
            state = answer.state
        if together:
            self._accepted(before, together)

    def reject(self, reached: Reached) -> int:
        """Have a command rejected behind each that is accepted; return how often."""
        state, count = reached.state, 0
        for accepted in self._now(reached):
            after = accepted[1].state
            if after is None:
                continue
            for asked, _ in self._now(reached):
                answer = asked.answer(after)
                if answer.refusal is not None:
                    self._rejected(state, accepted, (asked, answer))
                    count += 1
                    break
        return count

    def _now(self, reached: Reached) -> Iterator[Answered]:
        for asked, answer in reached.answers:
            if asked.kept and (asked.call.time or 0) <= reached.state.time:
                yield asked, answer

    def _accepted(self, before: State, together: Sequence[Answered]) -> None:
        time = max(before.time, together[0][0].call.time or 0)
        self._clock.advance(milliseconds=time - self._clock.wall_ms())
        error = self._transact([asked for asked, _ in together])
        if error is not None:
            calls = [asked.call for asked, _ in together]
            raise FaultError("refused together", f"{calls}, which are accepted: {error!r}")
        for asked, answer in together:
            self.effects += self.messages(answer, asked)

    def _rejected(self, state: State, accepted: Answered, refused: Answered) -> None:
        (first, _), (second, answer) = accepted, refused
        error = self._transact([first, second])
        if error is None:
            raise FaultError("accepted together", f"{first.call}, {second.call}: {answer.refusal}")
        if error.command_index != 1:
            raise FaultError("another command", f"{error!r} of {error.command_index}")
        self._same_refusal(second, answer.refusal, error)
        self.look(state)

    def _transact(self, asked: Sequence[Asked]) -> OpsLifecycleError | None:
        try:
            with self.registry._transaction() as transaction:
                for each in asked:
                    self.values.call(transaction, each.call.method, each.arguments)
        except OpsLifecycleError as error:
            return error
        except Exception as error:
            raise FaultError("a transaction crashes", repr(error)) from error
        return None
