"""Recognizes owners and grants that may differ only because two versions of Postgres have other rights. Pure."""

from __future__ import annotations

import re

from .model import Difference

# On a table before 17, which added `maintain`.
_TABLE_RIGHTS = ("delete", "insert", "references", "select", "trigger", "truncate", "update")
_RIGHTS_OF_A_ROLE = re.compile(r"(?<=: )(?:all|[a-z]+)\*?(?:, [a-z]+\*?)*(?=; |$)")


def may_come_from_versions(difference: Difference, one_major: int, other_major: int) -> bool:
    """Whether a difference between owners or grants on two versions could come from the versions alone.

    Since 15 `public` belongs to the database's owner, and not every role may create in it. Since 17 a role with all
    other rights on a table may lack `maintain`, which an older version cannot express.
    """
    older, newer = sorted((one_major, other_major))
    if (difference.kind, difference.object) == ("schema", "public") and older < 15 <= newer:
        return True
    return older < 17 <= newer and _without_maintain(difference.expected) == _without_maintain(difference.actual)


def _without_maintain(grants: str | None) -> str | None:
    """Return grants with every right by its name, except for `maintain`."""

    def listed(found: re.Match[str]) -> str:
        rights = set(found[0].split(", "))
        for star in ("", "*"):
            if f"all{star}" in rights:
                rights = {f"{right}{star}" for right in _TABLE_RIGHTS}
        return ", ".join(sorted(rights - {"maintain", "maintain*"}))

    # A role that has no other right is left out.
    parts = (_RIGHTS_OF_A_ROLE.sub(listed, part) for part in (grants or "").split("; "))
    return "; ".join(part for part in parts if not part.endswith(": ")) or None
