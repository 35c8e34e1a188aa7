"""What others do to pendingctl: locks that they hold, transactions that hold back vacuum, slots that keep the log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..words import age, counted, size
from .findings import Finding, fail, ok, unknown, warn

# No transaction of pendingctl lasts longer than a bulk put, which has 60 s.
LONGEST_OWN_SECONDS = 60.0
# A claim waits 1 s for a row and is then refused as busy.
WAIT_SECONDS = 1.0
HOLD_SECONDS = 5.0
# Vacuum can wait for minutes; a table of which each row is changed several times grows meanwhile.
OLD_TRANSACTION_SECONDS = 300.0
# A slot of an idle standby is behind by some transactions at any time.
OLD_SLOT_TRANSACTIONS = 100_000
# Of the log (WAL): what one slot whose consumer is away keeps, and one whose consumer is there and behind.
MOST_KEPT_BYTES = 1 << 30
MOST_BEHIND_BYTES = 10 << 30

_SEE_OTHERS = "grant pg_read_all_stats to this role, or run doctor as a role that has it"


@dataclass(frozen=True, slots=True)
class LockSession:
    """A session that waits for a lock of our tables, holds one, or holds what such a session waits for.

    `pid` is None for a prepared transaction. What this role may not see is None.
    """

    pid: int | None
    application: str | None
    role: str | None
    state: str | None
    transaction_seconds: float | None
    waiting_seconds: float | None
    blocked_by: Sequence[int]
    holds: bool


def judge_locks(sessions: Sequence[LockSession]) -> Finding:
    """Who waits for our tables and rows, and who holds them."""
    waiting = [each for each in sessions if each.blocked_by]
    stuck = [each for each in waiting if _waits_for_long(each, sessions)]
    holding = [each for each in sessions if each.holds and not each.blocked_by]
    old = [each for each in holding if (each.transaction_seconds or 0) >= HOLD_SECONDS]
    if stuck:
        blocking = {pid for each in stuck for pid in each.blocked_by}
        roots = [each for each in sessions if each.pid in blocking and not each.blocked_by]
        longest = max(each.waiting_seconds or 0 for each in stuck)
        verb = "waits" if len(stuck) == 1 else "wait"
        sentence = (
            f"{counted(len(stuck), 'session', 'sessions')} {verb} for a lock on our tables, the longest for "
            f"{age(longest)}, held by {_names(roots) or 'a prepared transaction'}; clicks on these rows are refused"
        )
        return fail(sentence, *_remedies(roots, is_prepared=0 in blocking))
    if old:
        oldest = max(each.transaction_seconds or 0 for each in old)
        verb = "holds" if len(old) == 1 else "hold"
        sentence = f"{_names(old)} {verb} locks on our tables; clicks on the rows that are held are refused"
        return (fail if oldest >= LONGEST_OWN_SECONDS else warn)(sentence, *_remedies(old))
    if any(each.pid is None for each in holding):
        return warn(
            "a prepared transaction holds locks on our tables; clicks on the rows that it holds are refused",
            *_remedies([], is_prepared=True),
        )
    hidden = [each for each in holding if each.state is None]
    if hidden:
        return unknown(
            f"nobody waits; for how long {_names(hidden)} will hold locks on our tables cannot be seen", _SEE_OTHERS
        )
    return ok("nobody waits for our tables, and no transaction holds them for long")


def _waits_for_long(session: LockSession, sessions: Sequence[LockSession]) -> bool:
    """Whether a session waits for longer than a claim does, or for a transaction that has lasted longer."""
    if (session.waiting_seconds or 0) >= WAIT_SECONDS:
        return True
    return any(each.pid in session.blocked_by and (each.transaction_seconds or 0) >= HOLD_SECONDS for each in sessions)


def _names(sessions: Sequence[LockSession]) -> str:
    return ", ".join(map(_name, sessions[:3])) + (f" and {len(sessions) - 3} more" if len(sessions) > 3 else "")


def _name(session: LockSession) -> str:
    known = [f"pid {session.pid}"]
    if session.application:
        known.append(session.application)
    elif session.role:
        known.append(f"role {session.role}")
    if session.state is not None:
        known.append(session.state)
    if session.transaction_seconds is not None:
        known.append(f"for {age(session.transaction_seconds)}")
    return f"{known[0]} ({', '.join(known[1:])})" if known[1:] else known[0]


def _remedies(sessions: Sequence[LockSession], *, is_prepared: bool = False) -> list[str]:
    """To cancel does nothing to a session that is idle in its transaction (manual, section 9.28.2)."""
    remedies = [
        f"select pg_cancel_backend({each.pid})"
        if each.state == "active"
        else f"select pg_terminate_backend({each.pid})"
        for each in sessions[:3]
    ]
    if is_prepared:
        remedies.append("select gid, prepared, owner from pg_prepared_xacts; then: rollback prepared 'GID'")
    return remedies


@dataclass(frozen=True, slots=True)
class Horizon:
    """A session, prepared transaction or replication slot that keeps vacuum from removing dead rows.

    `transactions` is how many have begun since; a slot has no `seconds`.
    """

    kind: str
    pid: int | None
    name: str
    state: str | None
    seconds: float | None
    transactions: int | None


@dataclass(frozen=True, slots=True)
class Horizons:
    """All of them, and of how many sessions this role cannot see since when their transactions are open."""

    found: tuple[Horizon, ...]
    hidden: int


def judge_transactions(facts: Horizons) -> Finding:
    """What holds back vacuum: dead rows pile up, and each look at an index takes longer."""
    old = [each for each in facts.found if _is_old(each)]
    if old:
        named = "; ".join(map(_horizon, old[:3])) + (f"; and {len(old) - 3} more" if len(old) > 3 else "")
        return warn(f"vacuum is held back, and dead rows pile up: {named}", *map(_end, old[:3]))
    if facts.hidden:
        return unknown(
            f"no old transaction is seen, but {counted(facts.hidden, 'session', 'sessions')} of other roles cannot be "
            "seen by this one",
            _SEE_OTHERS,
        )
    return ok(f"no transaction is older than {age(OLD_TRANSACTION_SECONDS)}, and no slot holds back vacuum")


def _is_old(horizon: Horizon) -> bool:
    if horizon.seconds is not None:
        return horizon.seconds >= OLD_TRANSACTION_SECONDS
    return (horizon.transactions or 0) >= OLD_SLOT_TRANSACTIONS


def _horizon(horizon: Horizon) -> str:
    since = age(horizon.seconds) if horizon.seconds is not None else f"{horizon.transactions or 0:,} transactions"
    match horizon.kind:
        case "session":
            who = f"pid {horizon.pid} ({horizon.name or 'unnamed'}, {horizon.state or 'hidden'})"
        case _:
            who = f"{horizon.kind} {horizon.name}" + (f" ({horizon.state})" if horizon.state else "")
    return f"{who} for {since}"


def _end(horizon: Horizon) -> str:
    name = horizon.name.replace("'", "''")
    match horizon.kind:
        case "session" if horizon.state == "active":
            return f"select pg_cancel_backend({horizon.pid})"
        case "session":
            return f"select pg_terminate_backend({horizon.pid})"
        case "prepared transaction":
            return f"rollback prepared '{name}'"
        case _:
            return f"if nobody needs the slot any more: select pg_drop_replication_slot('{name}')"


@dataclass(frozen=True, slots=True)
class Slot:
    """A replication slot, and how much of the log it keeps on the server's disk.

    `status` is the server's word: reserved, extended, unreserved, lost (manual, section 54.20 "pg_replication_slots");
    `safe_bytes` how much more may be written before the slot loses what it needs, None without such a limit.
    """

    name: str
    kind: str
    is_active: bool
    status: str | None
    kept_bytes: int | None
    safe_bytes: int | None


def judge_slots(slots: Sequence[Slot]) -> Finding:
    """Whether a slot keeps so much of the log that the disk may fill, which stops all writes."""
    heavy = sorted((each for each in slots if _is_heavy(each)), key=lambda each: -(each.kept_bytes or 0))
    if heavy:
        named = "; ".join(map(_slot, heavy[:3])) + (f"; and {len(heavy) - 3} more" if len(heavy) > 3 else "")
        remedies = [
            "see max_slot_wal_keep_size, which limits what slots keep",
            *(
                f"see why the consumer of {each.name} is behind"
                if each.is_active
                else f"if nobody needs the slot any more: {_drop(each)}"
                for each in heavy[:3]
            ),
        ]
        return warn(f"replication slots keep the log, until the disk is full: {named}", *remedies)
    lost = [each for each in slots if each.status in ("lost", "unreserved")]
    if lost:
        return warn(
            f"what the consumers of {', '.join(each.name for each in lost)} have not read of the log is gone, or soon "
            "will be",
            *(f"build the consumer anew, and: {_drop(each)}" for each in lost),
        )
    if not slots:
        return ok("no replication slot keeps any of the log")
    kept = sum(each.kept_bytes or 0 for each in slots)
    return ok(f"{counted(len(slots), 'replication slot keeps', 'replication slots keep')} {size(kept)} of the log")


def _is_heavy(slot: Slot) -> bool:
    return (slot.kept_bytes or 0) >= (MOST_BEHIND_BYTES if slot.is_active else MOST_KEPT_BYTES)


def _slot(slot: Slot) -> str:
    limit = "" if slot.safe_bytes is None else f", of which it loses some after {size(max(slot.safe_bytes, 0))} more"
    state = "active" if slot.is_active else "inactive"
    return f"{slot.name} ({slot.kind}, {state}) keeps {size(slot.kept_bytes or 0)}{limit}"


def _drop(slot: Slot) -> str:
    name = slot.name.replace("'", "''")
    return f"select pg_drop_replication_slot('{name}')"
