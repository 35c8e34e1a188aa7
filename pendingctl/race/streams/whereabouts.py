"""Where the readers of a race stand by now, from what their pods have written, which is read as it grows."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

from ..history.files import POD
from .history import Item, ItemKind


class Whereabouts:
    """The last item of each reader. Whatever became of its pod, that is where it goes on."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._last: dict[str, Item] = {}
        self._read_to: defaultdict[Path, int] = defaultdict(int)
        self._readers: dict[tuple[Path, int], str] = {}

    def look(self) -> dict[str, Item]:
        """Return the last item by reader; one that has got nothing has none."""
        for path in self._directory.glob(POD):
            with path.open("rb") as file:
                file.seek(self._read_to[path])
                new = file.read()
            whole = new[: new.rfind(b"\n") + 1]
            self._read_to[path] += len(whole)
            for line in whole.splitlines():
                record = json.loads(line)
                match record.pop("event"):
                    case "session":
                        self._readers[path, record["number"]] = record["reader"]
                    case "item":
                        reader = self._readers[path, record.pop("session")]
                        item = Item(**record | {"kind": ItemKind(record["kind"])})
                        if reader not in self._last or self._last[reader].at_ns < item.at_ns:
                            self._last[reader] = item
                    case _:
                        pass
        return self._last
