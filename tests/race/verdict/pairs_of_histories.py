"""Histories by pairs: one that has an order, and one that differs a little and has none."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeAlias

from pendingctl.race.history.history import Operation, RacedQuestion, Reason, Reported, Row
from tests.race.verdict.operations import (
    CLAIM,
    COUNTED,
    DELETE,
    EXTRA,
    FAILED,
    OK,
    PUT,
    SWEEP,
    UNKNOWN,
    again,
    claim,
    clock,
    delete,
    expired,
    foreign,
    kept,
    lost,
    nothing,
    operation,
    put,
    row,
    superseded,
    sweep,
    turned_away,
    unknown,
    won_before,
)

ToldSo: TypeAlias = tuple[tuple[Operation, ...], Row | None]

CREATED = put(0, 10, "created", at=clock(0))
ASKED_AGAIN = (CREATED, claim(10, 20), put(20, 30, "reopened", 2))
# By pairs: what has an order, and what is told a little differently and has none.
PAIRS: dict[str, tuple[RacedQuestion, ToldSo, ToldSo]] = {
    "nothing was done": (EXTRA, ((), None), ((), row())),
    "nothing was done to a counted question": (COUNTED, ((), row()), ((), None)),
    "a put creates, and a second one finds it": (
        EXTRA,
        ((CREATED, put(5, 15, "refreshed")), row()),
        ((CREATED, put(5, 15, "created")), row()),
    ),
    "a counted question is there before the first operation": (
        COUNTED,
        ((put(0, 10, "refreshed"),), row()),
        ((put(0, 10, "created"),), row()),
    ),
    "a claim wins after the put": (
        EXTRA,
        ((CREATED, claim(10, 20)), row("a")),
        ((CREATED, claim(10, 20)), row()),
    ),
    "a claim cannot win before the put": (
        EXTRA,
        ((put(20, 40, "created"), claim(10, 20)), row("a")),
        ((put(21, 40, "created"), claim(10, 20)), row("a")),
    ),
    "one of two claims wins": (
        COUNTED,
        ((claim(0, 10), lost(0, 10)), row("a")),
        ((claim(0, 10), claim(0, 10, "b")), row("a")),
    ),
    "a loser is told while the winner is under way": (
        COUNTED,
        ((claim(0, 10), lost(5, 6)), row("a")),
        ((claim(7, 10), lost(5, 6)), row("a")),
    ),
    "a loser is told the answer that stands": (
        COUNTED,
        ((claim(0, 10), lost(0, 10, "yes")), row("a")),
        ((claim(0, 10), lost(0, 10, "no")), row("a")),
    ),
    "the press that won does not lose": (
        COUNTED,
        ((claim(0, 10), again(20, 30)), row("a")),
        ((claim(0, 10), replace(lost(20, 30), planned=claim(0, 10).planned)), row("a")),
    ),
    "only the press that won is told so again": (
        COUNTED,
        ((claim(0, 10), again(20, 30, "a")), row("a")),
        ((claim(0, 10), again(20, 30, "b")), row("a")),
    ),
    "a win is told again after it was won": (
        COUNTED,
        ((claim(0, 10), again(10, 20)), row("a")),
        ((claim(11, 20), again(0, 10)), row("a")),
    ),
    "the row is what the last claim left": (
        COUNTED,
        ((claim(0, 10),), row("a")),
        ((claim(0, 10),), row("a", value="no")),
    ),
    "a question is asked again once it was answered": (
        EXTRA,
        ((CREATED, claim(10, 20), put(20, 30, "reopened", 2)), row(ask_number=2)),
        ((CREATED, put(20, 30, "reopened", 2)), row(ask_number=2)),
    ),
    "each asking has its own number": (
        EXTRA,
        ((CREATED, claim(10, 20), put(20, 30, "reopened", 9), claim(30, 40, "b", won=9)), row("b", 9)),
        ((CREATED, claim(10, 20), put(20, 30, "reopened", 1), claim(30, 40, "b", won=1)), row("b", 1)),
    ),
    "a winner is told which asking it won": (
        EXTRA,
        ((CREATED, claim(10, 20, won=1)), row("a")),
        ((CREATED, claim(10, 20, won=2)), row("a")),
    ),
    "a winner is told again which asking it won": (
        EXTRA,
        ((CREATED, claim(10, 20), replace(again(20, 30), reported=Reported(ask_number=1))), row("a")),
        ((CREATED, claim(10, 20), replace(again(20, 30), reported=Reported(ask_number=2))), row("a")),
    ),
    "the button of an asking that is over loses": (
        EXTRA,
        ((CREATED, claim(10, 20), put(20, 30, "reopened", 2), lost(30, 40, ask=1)), row(ask_number=2)),
        ((CREATED, claim(10, 20), put(20, 30, "reopened", 2), claim(30, 40, "b", 1)), row("b", 2)),
    ),
    "a click that lost to the asking before gets its answer": (
        EXTRA,
        ((CREATED, claim(10, 20), put(20, 30, "reopened", 2), lost(30, 40, "yes", ask=1)), row(ask_number=2)),
        ((CREATED, claim(10, 20), put(20, 30, "reopened", 2), lost(31, 40, None, ask=1)), row(ask_number=2)),
    ),
    "the press that won the asking before is told so again": (
        EXTRA,
        ((*ASKED_AGAIN, won_before(30, 40, "a", 1)), row(ask_number=2)),
        ((*ASKED_AGAIN, won_before(30, 40, "b", 1)), row(ask_number=2)),
    ),
    "the button of an asking before that is superseded": (
        EXTRA,
        (
            (*ASKED_AGAIN, claim(30, 40, "b", won=2), put(40, 50, "reopened", 3), superseded(50, 60, 1)),
            row(ask_number=3),
        ),
        ((*ASKED_AGAIN, superseded(31, 40, 1)), row(ask_number=2)),
    ),
    "another edition supersedes an open question": (
        EXTRA,
        ((CREATED, put(10, 20, "superseded", 2, edition=1), superseded(30, 40, 1)), row(ask_number=2)),
        ((CREATED, put(10, 20, "refreshed", 1, edition=1)), row()),
    ),
    "the same edition under another key is another asking": (
        EXTRA,
        ((put(0, 10, "created", key="k"), put(10, 20, "superseded", 2, key="l")), row(ask_number=2)),
        ((put(0, 10, "created", key="k"), put(10, 20, "refreshed", 1, key="l")), row()),
    ),
    "the same key again is a retry": (
        EXTRA,
        ((put(0, 10, "created", key="k"), put(10, 20, "refreshed", 1, key="k")), row()),
        ((put(0, 10, "created", key="k"), put(10, 20, "superseded", 2, key="k")), row(ask_number=2)),
    ),
    "a put without a key leaves the key to a later one": (
        EXTRA,
        ((CREATED, put(10, 20, "refreshed", key="k"), put(20, 30, "superseded", 2, key="l")), row(ask_number=2)),
        ((CREATED, put(10, 20, "refreshed", key="k"), put(20, 30, "refreshed", key="l")), row()),
    ),
    "the same key with another edition is refused": (
        EXTRA,
        ((put(0, 10, "created", key="k"), turned_away(10, 20, "k", 1)), row()),
        ((put(0, 10, "created", key="k"), turned_away(10, 20, "l", 1)), row()),
    ),
    "a displaced key is refused": (
        EXTRA,
        (
            (put(0, 10, "created", key="k"), put(10, 20, "superseded", 2, key="l"), turned_away(20, 30, "k")),
            row(ask_number=2),
        ),
        (
            (
                put(0, 10, "created", key="k"),
                put(10, 20, "superseded", 2, key="l"),
                put(20, 30, "superseded", 3, key="k"),
            ),
            row(ask_number=3),
        ),
    ),
    "the key that has asked a question does not ask it again": (
        EXTRA,
        ((put(0, 10, "created", key="k"), claim(10, 20), kept(20, 30, "k")), row("a")),
        ((put(0, 10, "created", key="k"), claim(10, 20), put(20, 30, "reopened", 2, key="k")), row(ask_number=2)),
    ),
    "the number of an asking whose put was lost is what a later report says": (
        EXTRA,
        ((unknown(PUT, 0), claim(10, 20, won=5), lost(20, 30)), row("a", 5)),
        ((unknown(PUT, 0), claim(10, 20, won=5), lost(20, 30)), row("a", 6)),
    ),
    "the button of an asking that is to come is unknown": (
        EXTRA,
        ((CREATED, expired(10, 20, ask_number=2)), row()),
        ((CREATED, expired(11, 20, ask_number=1)), row()),
    ),
    "a put that keeps finds an answered question": (
        COUNTED,
        ((claim(0, 10), kept(5, 15)), row("a")),
        ((claim(16, 20), kept(5, 15)), row("a")),
    ),
    "a put that reopens is not turned away": (
        EXTRA,
        ((CREATED, claim(10, 20), put(20, 30, "reopened", 2)), row(ask_number=2)),
        ((CREATED, claim(10, 20), replace(kept(20, 30), planned=CREATED.planned)), row("a")),
    ),
    "a put of one's own is not told that it is another's": (
        EXTRA,
        ((CREATED,), row()),
        ((CREATED, replace(nothing(10, 20), planned=CREATED.planned, reported=Reported(Reason.OTHER_SCOPE))), row()),
    ),
    "a delete takes the row": (EXTRA, ((CREATED, delete(10, 20)), None), ((CREATED, delete(10, 20)), row())),
    "one of two deletes takes the row": (
        EXTRA,
        ((CREATED, delete(10, 20), nothing(10, 20)), None),
        ((CREATED, delete(10, 20), delete(10, 20)), None),
    ),
    "a delete that found nothing came before the put or after the other": (
        EXTRA,
        ((put(0, 30, "created"), nothing(10, 20)), row()),
        ((put(0, 5, "created"), nothing(10, 20)), row()),
    ),
    "no click wins after a delete": (
        EXTRA,
        ((CREATED, delete(10, 20), expired(21, 30)), None),
        ((CREATED, delete(10, 20), claim(21, 30)), None),
    ),
    "a click may win while the delete is under way": (
        EXTRA,
        ((CREATED, delete(10, 30), claim(15, 20)), None),
        ((CREATED, delete(10, 30), claim(15, 20)), row("a")),
    ),
    "a question lives again after a delete": (
        EXTRA,
        ((CREATED, claim(10, 20), delete(20, 30), put(30, 40, "created", 2)), row(ask_number=2)),
        ((CREATED, claim(10, 20), delete(20, 30), put(30, 40, "reopened", 2)), row(ask_number=2)),
    ),
    "a sweep takes what is stale": (
        EXTRA,
        ((CREATED, sweep(10, 20, clock(15.001))), None),
        ((CREATED, sweep(10, 20, clock(15))), None),
    ),
    "a refresh does not make a row younger": (
        EXTRA,
        ((CREATED, put(10, 20, "refreshed", at=clock(10)), sweep(20, 30, clock(20))), None),
        ((CREATED, delete(10, 15), put(15, 20, "created", at=clock(10)), sweep(20, 30, clock(20))), None),
    ),
    "a question that is asked again is young": (
        EXTRA,
        ((CREATED, sweep(20, 30, clock(20)), put(20, 30, "created", at=clock(18))), row()),
        ((CREATED, claim(10, 20), put(20, 30, "reopened", 2, clock(18)), sweep(31, 40, clock(20))), None),
    ),
    "the age of an answered question counts from its end": (
        EXTRA,
        ((CREATED, sweep(10, 20, clock(20)), put(15, 40, "created", 2), claim(15, 50, won=2)), row("a", 2)),
        ((CREATED, claim(10, 20), sweep(20, 30, clock(20))), None),
    ),
    "a sweep takes only what is there": (
        EXTRA,
        ((CREATED, delete(10, 30), put(15, 30, "created"), sweep(15, 30, clock(20))), None),
        ((CREATED, delete(10, 30), sweep(15, 30, clock(20))), None),
    ),
    "strangers change nothing": (
        COUNTED,
        ((foreign(CLAIM, 0, 10), foreign(DELETE, 0, 10), foreign(PUT, 0, 10)), row()),
        ((foreign(CLAIM, 0, 10),), row("a")),
    ),
    "strangers are refused": (
        COUNTED,
        ((foreign(DELETE, 0, 10, UNKNOWN),), row()),
        ((foreign(DELETE, 0, 10, OK),), None),
    ),
    "a stranger's win is none": (
        COUNTED,
        ((foreign(CLAIM, 0, 10, UNKNOWN), claim(0, 10)), row("a")),
        ((foreign(CLAIM, 0, 10, OK),), row("a")),
    ),
    "an unknown claim may have won": (
        COUNTED,
        ((unknown(CLAIM, 0, 10), again(20, 30)), row("a")),
        ((unknown(CLAIM, 21, 30), again(10, 20)), row("a")),
    ),
    "an unknown claim may take effect long after its end": (
        EXTRA,
        ((unknown(CLAIM, 0, 10), put(20, 30, "created"), lost(40, 50)), row("a")),
        ((unknown(CLAIM, 51), put(20, 30, "created"), lost(40, 50)), row("a")),
    ),
    "an unknown claim may never take effect": (
        COUNTED,
        ((unknown(CLAIM, 0, 10), claim(20, 30, "b")), row("b")),
        ((unknown(CLAIM, 0, 10), claim(20, 30, "b"), again(20, 30)), row("b")),
    ),
    "an unknown claim takes effect once": (
        EXTRA,
        ((unknown(CLAIM, 0), CREATED, put(20, 30, "reopened", 2)), row(ask_number=2)),
        ((unknown(CLAIM, 0), CREATED, put(20, 30, "reopened", 2), put(30, 40, "reopened", 3)), row(ask_number=3)),
    ),
    "an unknown put may take effect long after its end, when a refresh would have been due at once": (
        EXTRA,
        ((CREATED, unknown(PUT, 10, 15), delete(20, 30), claim(40, 50)), row("a")),
        ((CREATED, unknown(PUT, 51), delete(20, 30), claim(40, 50)), row("a")),
    ),
    "an unknown delete may take effect long after its start, when there was no row": (
        EXTRA,
        ((unknown(DELETE, 0), put(10, 20, "created"), put(30, 40, "created")), row()),
        ((unknown(DELETE, 0), put(10, 20, "created"), put(30, 40, "created"), put(50, 60, "created")), row()),
    ),
    "an unknown sweep may have taken a row however young": (
        EXTRA,
        ((CREATED, unknown(SWEEP, 0), expired(20, 30)), None),
        ((CREATED, unknown(SWEEP, 31), expired(20, 30)), None),
    ),
    "nobody knows the age of a row of an unknown put": (
        EXTRA,
        ((unknown(PUT, 0), sweep(20, 30, clock(-9_999))), None),
        ((CREATED, sweep(20, 30, clock(-9_999))), None),
    ),
    "what failed was never done": (
        COUNTED,
        ((operation(CLAIM, 0, 10, FAILED), claim(20, 30, "b")), row("b")),
        ((operation(CLAIM, 0, 10, FAILED), again(20, 30)), row("a")),
    ),
    "what ended before another began comes first": (
        EXTRA,
        ((put(0, 10, "created"), delete(10, 20), expired(15, 20)), None),
        ((put(0, 10, "created"), delete(22, 30), expired(15, 20)), None),
    ),
}
