"""Whether a hand-written schema.sql is what a database really has.

schema.sql is parsed, loaded into a scratch database on a real server, and both sides are read from the system
catalogs with the server's own deparsers; what is compared are structures, never text of files. kinds/ says what
is compared, scratch.py where schema.sql is loaded, locations.py how a difference finds its line, spellings.py what
the server writes differently for the same thing, and ignore.py what the caller leaves out.
"""

from __future__ import annotations

from .diff import STATEMENT_TIMEOUT, diff_migrations, diff_schema
from .model import Asked, Difference, SchemaDiff, Uncompared
from .scratch import SCRATCH_KINDS, ScratchKind

__all__ = [
    "SCRATCH_KINDS",
    "STATEMENT_TIMEOUT",
    "Asked",
    "Difference",
    "SchemaDiff",
    "ScratchKind",
    "Uncompared",
    "diff_migrations",
    "diff_schema",
]
