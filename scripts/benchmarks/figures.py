"""A figure: pendingctl against something else, measured turn by turn, and how it is printed."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import Literal, TypeAlias

from rich import box
from rich.table import Table

# One round of one contender: it does its work and returns its rate, or its time.
Round: TypeAlias = Callable[[], Awaitable[float]]


@dataclass(frozen=True, slots=True)
class Figure:
    """pendingctl (`ours`) against something (`theirs`); `value` compares them and ought to reach the `reach`.

    A value is the median over the rounds, not the comparison of the two medians; `spread` are the least and the
    greatest of them, where the rounds are compared one by one.
    """

    name: str
    unit: str
    ours: float
    against: str
    theirs: float | None
    compared: Literal["ratio", "difference"]
    value: float | None
    reach: float | None = None
    wanted: Literal["at least", "at most"] = "at least"
    spread: tuple[float, float] | None = None

    @property
    def reached(self) -> bool | None:
        """None where there is nothing to reach, or nothing to compare with."""
        if self.value is None or self.reach is None:
            return None
        return self.value >= self.reach if self.wanted == "at least" else self.value <= self.reach


async def in_turns(contenders: Mapping[str, Round], rounds: int, *, warm_up: bool = True) -> dict[str, list[float]]:
    """Run the contenders round by round, the order turned round each time, and return what each measured."""
    if warm_up:
        for contender in contenders.values():
            await contender()
    measured: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(rounds):
        for name in list(contenders)[:: -1 if turn % 2 else 1]:
            measured[name].append(await contenders[name]())
    return measured


async def rate(done: int, tasks: Sequence[Coroutine[object, object, None]]) -> float:
    """Return how much of what the tasks do together they do in a second."""
    started = perf_counter()
    await asyncio.gather(*tasks)
    return done / (perf_counter() - started)


def ratio(
    name: str,
    unit: str,
    against: str,
    ours: Sequence[float],
    theirs: Sequence[float],
    *,
    at_least: float | None = None,
    at_most: float | None = None,
) -> Figure:
    """How many times as much ours is: as fast where it is to be `at_least`, as long or as dear where `at_most`."""
    ratios = [our / their for our, their in zip(ours, theirs, strict=True)]
    return Figure(
        *(name, unit, median(ours), against, median(theirs), "ratio", median(ratios)),
        reach=at_least if at_most is None else at_most,
        wanted="at least" if at_most is None else "at most",
        spread=(min(ratios), max(ratios)),
    )


def difference(
    name: str, unit: str, against: str, ours: Sequence[float], theirs: Sequence[float], *, at_most: float
) -> Figure:
    """How much ours takes above theirs."""
    value = median(our - their for our, their in zip(ours, theirs, strict=True))
    return Figure(name, unit, median(ours), against, median(theirs), "difference", value, at_most, "at most")


def doing(text: str) -> None:
    """Say on stderr what is being measured."""
    sys.stderr.write(f"{text} …\n")


def table(figures: Sequence[Figure]) -> Table:
    """The figures, a line each, for people."""
    shown = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
    for heading in ("figure", "unit", "against"):
        shown.add_column(heading, overflow="fold")
    for heading in ("pendingctl", "theirs", "compared", "rounds", "reach"):
        shown.add_column(heading, justify="right", no_wrap=True)
    shown.add_column("", no_wrap=True)
    for figure in figures:
        sign = "≥" if figure.wanted == "at least" else "≤"
        shown.add_row(
            *(figure.name, figure.unit, figure.against),
            *(_number(figure.ours), _number(figure.theirs), _comparison(figure, figure.value)),
            "" if figure.spread is None else f"{figure.spread[0]:.2f}–{figure.spread[1]:.2f}",
            "" if figure.reach is None else f"{sign} {_comparison(figure, figure.reach)}",
            {True: "reached", False: "missed", None: ""}[figure.reached],
            style="red" if figure.reached is False else None,
        )
    return shown


def _number(value: float | None) -> str:
    return "—" if value is None else f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def _comparison(figure: Figure, value: float | None) -> str:
    if value is None:
        return "—"
    return f"{value:.2f} ×" if figure.compared == "ratio" else f"{value:+.0f} {figure.unit}"
