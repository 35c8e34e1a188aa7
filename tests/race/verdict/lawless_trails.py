"""Histories whose trail is not what has happened."""

from __future__ import annotations

from dataclasses import replace

from pendingctl.race.history.history import History
from pendingctl.race.plan.operations import PostTrouble
from pendingctl.trail import Step
from tests.race.verdict.histories import ROW, UNCLAIMED, WINNER, X_REOPEN, having, lost, without
from tests.race.verdict.lives import D_TOLD, E_WITHDRAWN, L_PUT
from tests.race.verdict.trails import (
    TRAILED,
    U1,
    C,
    D,
    E,
    L,
    Q,
    S,
    X,
    changing,
    doubling,
    dropping,
    entry,
    trailing,
    with_another_card,
)

_POSTED_IN_VAIN = replace(
    L_PUT, planned=replace(L_PUT.planned, transaction=None, posts=True, trouble=PostTrouble.SHOWN)
)
_BEGUN_BY_NOBODY = entry("x", Step.ASKED, 4, detail="created")

LAWLESS_TRAILS: dict[str, tuple[str, History]] = {
    name: ("trail_is_the_history", history)
    for name, history in {
        "a claim is not in the trail": dropping(Q[2]),
        "a claim is in the trail twice": doubling(Q[2]),
        "the trail names another user than the one who has clicked": changing(Q[2], user_id="U2"),
        "the trail names another pod than the one that was clicked": changing(Q[2], pod="pod-2"),
        "a click that was refused has answered, says the trail": trailing(
            "q", *Q[:2], entry("q", Step.ANSWERED, 1, "pod-2", user="U2", attempt=1), Q[2]
        ),
        "a click whose fate nobody knows has not won, and the row is open": replace(
            having(lost(WINNER), history=TRAILED), rows=(UNCLAIMED, *TRAILED.rows[1:])
        ),
        "a click whose fate nobody knows has won, and is not in the trail": dropping(
            Q[2], having(lost(WINNER), history=TRAILED)
        ),
        "the row was answered by somebody else": replace(
            TRAILED, rows=(replace(ROW, answered_by="U2"), *TRAILED.rows[1:])
        ),
        "a question was ended by another pod than its row says": replace(
            TRAILED, rows=tuple(replace(row, pod="pod-1" if row.id == "d" else None) for row in TRAILED.rows)
        ),
        "an asking is not in the trail": dropping(Q[0]),
        "an asking is in the trail under another request": changing(X[2], request_key="event"),
        "an asking is in the trail under another application": changing(X[0], application="billing"),
        "an asking is in the trail for another user": changing(X[0], user_id="U2"),
        "an asking is in the trail with a post that nobody has begun": changing(X[0], attempt=1),
        "an asking of nobody is in the trail": trailing("x", *X, _BEGUN_BY_NOBODY),
        "an asking has the number of one before": changing(X[4], ask_number=2),
        "an asking says that it was the first": changing(X[2], detail="created"),
        "an asking that may have been begun twice is there twice": trailing(
            "x", *X[:3], X[2], *X[3:], history=having(lost(X_REOPEN), history=TRAILED)
        ),
        "a withdrawal is not in the trail": dropping(E[1]),
        "a withdrawal is in the trail twice": doubling(E[1]),
        "a withdrawal of nobody is in the trail": without(E_WITHDRAWN, history=TRAILED),
        "a question without a deadline has expired": trailing("q", Q[0], entry("q", Step.EXPIRED, 1), *Q[2:]),
        "a default is not in the trail": dropping(D[3]),
        "a default is in the trail as an expiry": changing(D[3], step=Step.EXPIRED),
        "a mark is not in the trail": dropping(D[7]),
        "a mark is in the trail twice": doubling(D[7]),
        "an ending is marked in the trail, and nobody has marked it": without(D_TOLD, history=TRAILED),
        "a mark is that of a pod without the lease": changing(D[7], pod="pod-2"),
        "a mark is that of another attempt": changing(D[7], attempt=2),
        "a lease is not in the trail": dropping(D[6]),
        "an ending is delivered before it has come": trailing("d", *D[:3], D[7], *D[3:7], *D[8:]),
        "an ending that is delivered is stuck, says the row": replace(
            TRAILED, rows=tuple(replace(row, is_stuck=row.id == "d") for row in TRAILED.rows)
        ),
        "an ending is undelivered, says the row": replace(
            TRAILED, rows=tuple(replace(row, undelivered=row.id == "e") for row in TRAILED.rows)
        ),
        "an ending is delivered in the row alone": trailing("e", *E[:3]),
        "a failure is in the trail, and none of its pod's deliveries has failed": trailing(
            "d", *D[:7], entry("d", Step.FAILED, 30, attempt=1), entry("d", Step.LEASED, 30, attempt=2), D[7]
        ),
        "a deletion is not in the trail": dropping(X[3]),
        "a sweep is not in the trail": dropping(X[5]),
        "a sweep says that it took an answer": changing(X[5], detail="answered"),
        "an answer comes after the sweep": trailing("x", *X, entry("x", Step.ANSWERED, 3, user=U1, attempt=1)),
        "an answer comes before its asking": trailing("x", X[1], X[0], *X[2:]),
        "a card is about to be posted by nobody": dropping(D[1]),
        "a card is about to be posted twice": doubling(D[1]),
        "a card was not posted by a pod that did not try": changing(L[2], pod="pod-2"),
        "a card is noted that its pod has not posted": changing(D[2], pod="pod-2"),
        "a card is noted for an asking that was not begun": changing(D[2], ask_number=29),
        "the row knows its card, and the trail does not": dropping(S[2]),
        "the card shows the end, and the trail does not": dropping(S[9]),
        "an edit is noted by a pod that has made none": changing(S[9], pod="pod-1"),
        "a card is noted twice, and nothing went wrong": doubling(D[2]),
        "an edit is noted twice, and nothing went wrong": doubling(D[9]),
        "a card of a former asking is noted as edited twice": doubling(C[8], with_another_card()),
        "a card was not posted twice by one attempt, and nothing went wrong": doubling(L[2]),
        "a card is edited by a pod without a lease": dropping(D[8]),
        "a card is leased twice by one attempt": doubling(D[8]),
        "an answer is stuck twice": trailing(
            "d", *D[:7], entry("d", Step.STUCK, 30, attempt=1), entry("d", Step.STUCK, 30, attempt=1)
        ),
        "an answer is stuck by a pod without the lease": trailing(
            "d", *D[:7], entry("d", Step.STUCK, 30, "pod-2", attempt=1)
        ),
        "a card of a former asking has lost its buttons, and that is not in the trail": dropping(
            C[8], with_another_card()
        ),
        "a card was given up, and the row does not say so": trailing("l", *L[:4], entry("l", Step.GIVEN_UP, 33)),
        "a card was not posted, and that is not in the trail": trailing(
            "l", replace(L[0], attempt=1), L[3], L[4], history=having(_POSTED_IN_VAIN, history=TRAILED)
        ),
        "a reminder is not in the trail": dropping(S[3]),
        "a reminder is in the trail twice": doubling(S[3]),
        "an escalation is in the trail twice": doubling(S[5]),
        "a reminder comes after the answer": trailing("s", *S[:4], *S[5:7], S[4], *S[7:]),
        "the deadline is moved by nobody": trailing("l", *L, entry("l", Step.EXTENDED, 33)),
        "a card is repaired for nobody": trailing("l", *L, entry("l", Step.REPAIRED, 33)),
        "an answer is delivered anew for nobody": trailing("e", *E, entry("e", Step.REDELIVERED, 31), *E[2:]),
        "an entry names another organization": changing(E[1], organization_id="globex"),
    }.items()
}
