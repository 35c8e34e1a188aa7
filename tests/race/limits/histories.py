"""Hand-written histories of limits, to be judged."""

from __future__ import annotations

from dataclasses import dataclass, field

from pendingctl.race.limits.checker import judge_limits
from pendingctl.race.limits.history import ClockSetBack, LimitHistory, Look, Moment, StoredLimit, Take, TakeOutcome
from pendingctl.race.verdict.checker import Judgement, Verdict

MS = 1_000
HOUR = 3_600_000
# A pod's own key has a unit each millisecond and a burst of 50, a hot one 20 ms and 5, a spent one an hour and 3.
OWN, HOT, SPENT = "own0", "hot", "spent0"


def moment(ms: float, server: int = 1) -> Moment:
    """A reading of the clock, so many milliseconds after the beginning."""
    return Moment(round(ms * MS), server)


@dataclass
class Writing:
    """A history under construction; moments are in milliseconds."""

    takes: list[Take] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)
    set_backs: list[ClockSetBack] = field(default_factory=list)

    def take(
        self,
        began: float,
        ended: float | None,
        cost: int = 1,
        *,
        key: str = HOT,
        outcome: TakeOutcome = TakeOutcome.ALLOWED,
        is_new: bool = False,
        pod: str = "pod-1",
        organization: str = "acme",
        server: int = 1,
        ended_on: int | None = None,
    ) -> None:
        end = None if ended is None else moment(ended, ended_on or server)
        begin = moment(began, server)
        self.takes.append(Take(pod, len(self.takes), organization, key, cost, is_new, begin, outcome, end))

    def deny(
        self, began: float, ended: float, cost: int = 1, *, key: str = HOT, is_new: bool = False, pod: str = "pod-1"
    ) -> None:
        self.take(began, ended, cost, key=key, outcome=TakeOutcome.DENIED, is_new=is_new, pod=pod)

    def look(
        self,
        began: float,
        ended: float,
        tat: float | None = 3 * HOUR,
        *,
        xmin: int = 700,
        xmax: int = 0,
        server: int = 1,
    ) -> None:
        row = None if tat is None else StoredLimit(xmin, xmax, round(tat * MS))
        self.looks.append(Look("pod-1", "acme", SPENT, moment(began, server), moment(ended, server), row))

    def set_back(self, began: float, ended: float) -> None:
        self.set_backs.append(ClockSetBack(moment(began), moment(ended)))

    def history(self) -> LimitHistory:
        return LimitHistory(tuple(self.takes), tuple(self.looks), tuple(self.set_backs))

    def judged(self) -> Judgement:
        return judge_limits(self.history(), Judgement((), (), 0))

    def broken(self) -> set[str]:
        """Which checks fail."""
        return {check.name for check in self.judged().checks if check.verdict is Verdict.FAIL}
