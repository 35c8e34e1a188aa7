"""Stores that are known to be broken, with which the checker is seen to fail. Nothing but a race uses them.

Each breaks one law in the way in which such code is usually written, and names the check that must find it. A test
sees that a raced pod goes through every method that they override.
"""

from __future__ import annotations

from collections.abc import Mapping

from ...pod.bridge import InteractionBridge
from ...pod.loop import Loop
from ...postgres.connections import ConnectionSource
from ...store import PendingStore
from ...turns import Turns
from ..plan.settings import IMPLEMENTATIONS
from . import broken_askings, broken_claims, broken_duties, broken_stores

LOOK_SECONDS = 0.2

# The check by which each control must be found.
EXPECTED_CHECKS: Mapping[str, str] = {
    "select-then-update": "single_winner",
    "no-organization": "scope",
    "no-user": "scope",
    "no-application": "only_its_application",
    "claim-then-authorize": "wrong_clicks_cost_nothing",
    "retry-with-new-key": "loser_was_told_the_truth",
    "put-takes-over": "scope",
    "sweep-select-then-delete": "sweep_took_only_stale_rows",
    "pod-clock": "sweep_took_only_stale_rows",
    "deliver-from-memory": "every_answer_delivered",
    "mark-before-deliver": "every_answer_delivered",
    "no-lease-token": "linearizable",
    "refresh-under-a-card": "answered_what_was_shown",
    "options-from-memory": "answered_what_was_shown",
    "ask-number-restarts": "key_never_reused",
    "forget-old-cards": "cards_show_the_end",
    "lease-everything": "only_its_application",
    "mark-before-print": "asker_or_pods",
    "one-pool-for-all": "others_unharmed",
    "no-time-limit": "others_unharmed",
    "claim-ignores-deadline": "no_click_after_deadline",
    "expire-by-select-then-update": "one_ending",
    "post-from-memory": "every_question_shown",
    "expire-without-delivery": "every_ending_told",
    "remind-without-lease": "reminded_once",
    "trail-beside-the-claim": "trail_is_the_history",
    "append-beside-the-mark": "appended_once",
}


_STORES: Mapping[str, type[PendingStore]] = {
    "select-then-update": broken_claims.SelectThenUpdate,
    "no-organization": broken_claims.NoOrganization,
    "no-user": broken_claims.NoUser,
    "no-application": broken_claims.NoApplication,
    "claim-then-authorize": broken_claims.ClaimThenAuthorize,
    "no-time-limit": broken_claims.NoTimeLimit,
    "retry-with-new-key": broken_claims.RetryWithNewKey,
    "put-takes-over": broken_stores.PutTakesOver,
    "sweep-select-then-delete": broken_stores.SweepSelectThenDelete,
    "pod-clock": broken_stores.PodClock,
    "deliver-from-memory": broken_stores.DeliverFromMemory,
    "no-lease-token": broken_stores.NoLeaseToken,
    "refresh-under-a-card": broken_askings.RefreshUnderACard,
    "options-from-memory": broken_askings.OptionsFromMemory,
    "ask-number-restarts": broken_askings.AskNumberRestarts,
    "forget-old-cards": broken_askings.ForgetOldCards,
    "lease-everything": broken_askings.LeaseEverything,
    "claim-ignores-deadline": broken_claims.ClaimIgnoresDeadline,
    "trail-beside-the-claim": broken_claims.TrailBesideTheClaim,
    "expire-by-select-then-update": broken_duties.ExpireBySelectThenUpdate,
    "post-from-memory": broken_duties.PostFromMemory,
    "expire-without-delivery": broken_duties.ExpireWithoutDelivery,
    "remind-without-lease": broken_duties.RemindWithoutLease,
    "append-beside-the-mark": broken_duties.AppendBesideTheMark,
}


assert set(EXPECTED_CHECKS) == set(IMPLEMENTATIONS[1:])


def store_for(implementation: str, source: ConnectionSource, *, application: str, pod: str) -> PendingStore:
    """Return the store of an implementation that `IMPLEMENTATIONS` names."""
    return _STORES.get(implementation, PendingStore)(source, application=application, pod=pod)


def marks_before_it_delivers(implementation: str) -> bool:
    """Whether a pod marks an answer as delivered before it hands it over, as the control `mark-before-deliver` does."""
    return implementation == "mark-before-deliver"


def marks_before_it_prints(implementation: str) -> bool:
    """Whether an asker marks its answer before it hands it on, as the control `mark-before-print` does."""
    return implementation == "mark-before-print"


class RacingBridge(InteractionBridge):
    """Looks for what other pods have left behind several times a second: a race does not wait for that."""

    def start(self) -> None:
        """Begin to look."""
        self._loop = Loop(self._look, every=LOOK_SECONDS)
        super().start()


class OnePoolForAll(RacingBridge):
    """Lets every click take a connection at once: one tenant's clicks leave none to the others."""

    def start(self) -> None:
        """Begin, without turns."""
        self._question_turns, self._tenant_turns = Turns(_NO_LIMIT), Turns(_NO_LIMIT)
        super().start()


_NO_LIMIT = 1_000_000


def bridge_for(implementation: str) -> type[InteractionBridge]:
    """Return the bridge of an implementation."""
    return OnePoolForAll if implementation == "one-pool-for-all" else RacingBridge
