"""Whether a database has the schema that a hand-written schema.sql describes.

schema.sql is parsed and loaded into a scratch database on a real server, and both sides are read from the system
catalogs with the server's own deparsers: structures are compared, never the texts of files. kinds/ defines what is
compared, scratch.py where schema.sql is loaded, locations.py how a difference finds its line, normalization.py which
texts the server writes differently and mean the same, and ignore.py what the caller can exclude.
"""

from __future__ import annotations

from .diff import STATEMENT_TIMEOUT, diff_migrations, diff_schema
from .model import Difference, Group, Options, SchemaDiff, Uncompared
from .scratch import SCRATCH_KINDS, ScratchKind

__all__ = [
    "SCRATCH_KINDS",
    "STATEMENT_TIMEOUT",
    "Difference",
    "Group",
    "Options",
    "SchemaDiff",
    "ScratchKind",
    "Uncompared",
    "diff_migrations",
    "diff_schema",
]
