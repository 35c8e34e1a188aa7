"""Looks at a database as a whole, and says of each thing that can be wrong whether it is, and what mends it.

Everything is only read, in short transactions with a time limit each. statements.py has the SQL, session.py the
connection, reading.py makes facts of it, and examination.py has the list of checks; what the facts mean is judged in
`pendingctl.diagnosis`.
"""

from .examination import Check, examine, examine_schema

__all__ = ["Check", "examine", "examine_schema"]
