"""How long each purpose waits for the database at most: the one table of these limits."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

# libpq's own default is to wait as long as the kernel does, about two minutes. A person at a command line waits for a
# far server; a pod tries again, and its next attempt may reach a server that has come up meanwhile.
CONNECT_SECONDS = 10
POD_CONNECT_SECONDS = 3

# For a new connection to be looked at and made fit: two round trips.
PREPARE_SECONDS = 3.0

# For a pooled connection that is checked, by an empty statement; one after the other, so each has little.
CHECK_SECONDS = 1.0

# For a pool to have a connection free, where the purpose leaves as much.
BORROW_SECONDS = 5.0

# For a row's lock in a claim's first statement, as the setting `lock_timeout` takes it: the least there is.
FIRST_LOCK_TIMEOUT = "1ms"

# A pool without connections keeps trying for so long, twice, and then tries again whenever one is needed. (Its delays
# double up to minutes otherwise, and a new primary would be found as late.)
RECONNECT_SECONDS = 1.0

# The kernel's limits on a connection over TCP where nothing comes back: after so many seconds without traffic it
# probes, and it gives up what was sent and not acknowledged (PostgreSQL manual, section 34.1.2).
TCP_IDLE_SECONDS = 10
TCP_INTERVAL_SECONDS = 3
TCP_COUNT = 3
TCP_UNACKNOWLEDGED_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Limit:
    """In seconds. `reply`: until all is done that a connection is borrowed for, the wait for it and COMMIT included.

    `lock`: how long one statement waits for a lock, for `lock_timeout` within it; None where it waits for none. It is
    shorter than `reply`, so that a lock is reported by the server, with the surety that nothing was done.
    """

    reply: float
    lock: float | None = None


class Purpose(Enum):
    """What a connection is borrowed for."""

    # The bridge replies within 2.5 s, as a platform gives 3: time for a second try on another connection. The lock is
    # waited for twice, first for FIRST_LOCK_TIMEOUT.
    CLAIM = Limit(reply=1.2, lock=1.0)
    # Whoever asks, withdraws or deletes has no platform's limit; a claim or a mark holds a row for milliseconds.
    PUT = Limit(reply=5.0, lock=3.0)
    # As a put; an append holds its stream's row for milliseconds. A slot of the ring counts on it, see events/ring.py.
    APPEND = Limit(reply=5.0, lock=3.0)
    # A limit stands in front of other work, which has limits of its own: it is worth no long wait.
    LIMIT = Limit(reply=0.5, lock=0.3)
    # What became of an answer is worth waiting for: without the mark it is delivered once more. A lease has 30 s.
    MARK = Limit(reply=5.0, lock=3.0)
    # Once a second: the next look is as good, and a silent connection is to be found within five.
    LOOP = Limit(reply=2.0, lock=1.0)
    # A person waits; the statement is limited to 30 s by the server itself, which says so more exactly.
    READ = Limit(reply=35.0, lock=5.0)
    # A batch skips locked rows, and waits for its disk.
    SWEEP = Limit(reply=30.0, lock=1.0)
    # The application's own statement in a delivery; a lease of 30 s leaves it 24.
    SINK = Limit(reply=20.0, lock=5.0)
    # One batch of many rows in one transaction; `Borrowed.go_on` begins the next one's time.
    BULK = Limit(reply=60.0, lock=5.0)

    def __init__(self, limit: Limit) -> None:
        self.seconds = limit.reply
        """The limit on the client's side."""
        self.lock_seconds = limit.lock or 0.0
        self.lock_timeout = f"{round(self.lock_seconds * 1000)}ms"
        """The limit on a wait for a lock, as the setting `lock_timeout` takes it."""
