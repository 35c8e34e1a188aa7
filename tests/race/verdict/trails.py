"""The trail of a lawful history, written by hand, and how a test changes it."""

from __future__ import annotations

from dataclasses import replace

from pendingctl.race.history.history import History
from pendingctl.trail import Step, TrailEntry
from tests.race.verdict.histories import (
    C_CHANGE,
    C_POST,
    C_WON,
    SCOPE,
    SHOWING,
    WON_AT,
    X_DELETE,
    X_PUT,
    X_PUT_AGAIN,
    X_REOPEN,
    X_SWEEP,
)
from tests.race.verdict.lives import D_ROW, E_ROW, LIVING, OTHER, S_ROW


def entry(
    question: str,
    step: Step,
    ask_number: int | None,
    pod: str = "pod-1",
    *,
    user: str | None = None,
    attempt: int | None = None,
    detail: str | None = None,
) -> TrailEntry:
    """An entry as the store writes it; its id follows from its place."""
    is_asked = step is Step.ASKED
    return TrailEntry(
        id=0,
        at=WON_AT,
        question_id=question,
        ask_number=ask_number,
        organization_id=SCOPE.organization_id,
        step=step,
        pod=pod,
        user_id=SCOPE.expected_user_id if is_asked else user,
        connection_id=SCOPE.connection_id if is_asked else None,
        application="" if is_asked else None,
        request_key=None,
        attempt=attempt,
        presses=None,
        detail=detail,
    )


def numbered(*entries: TrailEntry) -> tuple[TrailEntry, ...]:
    return tuple(replace(each, id=place) for place, each in enumerate(entries, start=1))


U1, U9 = SCOPE.expected_user_id, OTHER.expected_user_id
Q = numbered(
    entry("q", Step.ASKED, 1, "shell", detail="created"),
    entry("q", Step.REFUSED, 1, "pod-2", user="U2", detail="not_yours"),
    entry("q", Step.ANSWERED, 1, user=U1, attempt=1),
    entry("q", Step.REPEATED, 1, "pod-2", user=U1),
)
X = numbered(
    entry("x", Step.ASKED, 1, X_PUT.pod, detail="created"),
    entry("x", Step.ANSWERED, 1, user=U1, attempt=1),
    entry("x", Step.ASKED, 2, X_REOPEN.pod, detail="reopened"),
    entry("x", Step.DELETED, 2, X_DELETE.pod),
    entry("x", Step.ASKED, 3, X_PUT_AGAIN.pod, detail="created"),
    entry("x", Step.SWEPT, 3, X_SWEEP.pod, detail="open"),
)
# Posted by one pod, ended by another at its deadline.
D = numbered(
    entry("d", Step.ASKED, 30, detail="created"),
    entry("d", Step.POSTING, 30, attempt=1),
    entry("d", Step.POSTED, 30),
    entry("d", Step.DEFAULTED, 30, "pod-2"),
    entry("d", Step.LEASED, 30, "pod-2", attempt=1),
    entry("d", Step.RELEASED, 30, "pod-2"),
    entry("d", Step.LEASED, 30, attempt=1),
    entry("d", Step.DELIVERED, 30, attempt=1),
    entry("d", Step.EDITING, 30, "pod-2", attempt=1),
    entry("d", Step.EDITED, 30, "pod-2"),
)
E = numbered(
    entry("e", Step.ASKED, 31, detail="created"),
    entry("e", Step.WITHDRAWN, 31),
    entry("e", Step.LEASED, 31, attempt=1),
    entry("e", Step.DELIVERED, 31, attempt=1),
)
S = numbered(
    entry("s", Step.ASKED, 32, detail="created"),
    entry("s", Step.POSTING, 32, attempt=1),
    entry("s", Step.POSTED, 32),
    entry("s", Step.REMINDED, 32),
    entry("s", Step.REMINDED, 32, "pod-2"),
    entry("s", Step.ESCALATED, 32, detail=U9),
    entry("s", Step.ANSWERED, 32, user=U9, attempt=1),
    entry("s", Step.DELIVERED, 32, attempt=1),
    entry("s", Step.EDITING, 32, "pod-2", attempt=1),
    entry("s", Step.EDITED, 32, "pod-2"),
)
# Its card was posted, and lost its buttons when another question took its place.
C = numbered(
    entry("c", Step.ASKED, 20, detail="created"),
    entry("c", Step.POSTING, 20, attempt=1),
    entry("c", Step.POSTED, 20),
    entry("c", Step.ASKED, 21, detail="superseded"),
    entry("c", Step.POSTING, 21, "pod-2", attempt=1),
    entry("c", Step.POSTED, 21, "pod-2"),
    entry("c", Step.ANSWERED, 21, user=U1, attempt=1),
    entry("c", Step.EDITING, 21, "pod-2", attempt=1),
    entry("c", Step.EDITED, 20, "pod-2"),
    entry("c", Step.EDITED, 21, "pod-2"),
)
# The reply to the first post was lost.
L = numbered(
    entry("l", Step.ASKED, 33, detail="created"),
    entry("l", Step.POSTING, 33, attempt=1),
    entry("l", Step.NOT_POSTED, 33, attempt=1, detail="it may be there: TimeoutError"),
    entry("l", Step.POSTING, 33, "pod-2", attempt=2),
    entry("l", Step.POSTED, 33, "pod-2"),
)
TRAIL = (*Q, *X, *D, *E, *S, *L)

TRAILED = replace(
    LIVING,
    rows=tuple(
        replace(row, card_shows_the_end=row in (D_ROW, S_ROW), no_card_known=row == E_ROW) for row in LIVING.rows
    ),
    trail=TRAIL,
)


def trailing(question: str, *entries: TrailEntry, history: History = TRAILED) -> History:
    """The history with this trail of one question."""
    others = tuple(each for each in history.trail or () if each.question_id != question)
    return replace(history, trail=(*others, *numbered(*entries)))


def with_another_card() -> History:
    """The history with a question that was changed, whose first card was edited."""
    asked = [replace(each, planned=replace(each.planned, request_key=None)) for each in (C_POST, C_CHANGE)]
    card = [each for each in SHOWING.card_posts if each.question_id == "c"]
    return replace(
        TRAILED,
        questions=(*TRAILED.questions, *(each for each in SHOWING.questions if each.id == "c")),
        operations=(*TRAILED.operations, *asked, C_WON),
        hand_overs=(*TRAILED.hand_overs, *(each for each in SHOWING.hand_overs if each.question_id == "c")),
        rows=(*TRAILED.rows, *(each for each in SHOWING.rows if each.id == "c")),
        card_posts=(*TRAILED.card_posts, *card),
        card_edits=(*TRAILED.card_edits, *SHOWING.card_edits),
        trail=(*TRAIL, *C),
    )


def dropping(dropped: TrailEntry, history: History = TRAILED) -> History:
    return replace(history, trail=tuple(each for each in history.trail or () if each != dropped))


def doubling(doubled: TrailEntry, history: History = TRAILED) -> History:
    of_it = [each for each in history.trail or () if each.question_id == doubled.question_id]
    place = of_it.index(doubled)
    return trailing(doubled.question_id, *of_it[: place + 1], *of_it[place:], history=history)


def changing(changed: TrailEntry, history: History = TRAILED, **columns: object) -> History:
    other = replace(changed, **columns)  # type: ignore[arg-type]
    return replace(history, trail=tuple(other if each == changed else each for each in history.trail or ()))
