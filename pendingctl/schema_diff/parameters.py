"""Recognizes values of parameters that are written differently and mean the same. Pure.

The server keeps the value of a storage parameter, of a view's option or of a function's setting as it was written, and
reads it when it is needed: `on` and `true` are one value, and so are 0.10 and 0.1, and 4MB and 4096kB.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from .model import SettingType

# The types of the parameters of relations, columns and operator classes (the server's reloptions.c and the options
# procedures of its operator classes, PostgreSQL 14 to 18).
# One that is not listed is compared literally.
_BOOLEANS = frozenset(
    {
        "autosummarize",
        "autovacuum_enabled",
        "deduplicate_items",
        "fastupdate",
        "security_barrier",
        "security_invoker",
        "user_catalog_table",
        "vacuum_truncate",
    }
)
_INTEGERS = frozenset(
    {
        "autovacuum_analyze_threshold",
        "autovacuum_freeze_max_age",
        "autovacuum_freeze_min_age",
        "autovacuum_freeze_table_age",
        "autovacuum_multixact_freeze_max_age",
        "autovacuum_multixact_freeze_min_age",
        "autovacuum_multixact_freeze_table_age",
        "autovacuum_vacuum_cost_limit",
        "autovacuum_vacuum_insert_threshold",
        "autovacuum_vacuum_max_threshold",
        "autovacuum_vacuum_threshold",
        "fillfactor",
        "gin_pending_list_limit",
        "log_autovacuum_min_duration",
        "numranges",
        "pages_per_range",
        "parallel_workers",
        "siglen",
        "toast_tuple_target",
        "values_per_range",
    }
)
_REALS = frozenset(
    {
        "autovacuum_analyze_scale_factor",
        "autovacuum_vacuum_cost_delay",
        "autovacuum_vacuum_insert_scale_factor",
        "autovacuum_vacuum_scale_factor",
        "false_positive_rate",
        "n_distinct",
        "n_distinct_inherited",
        "n_distinct_per_range",
        "vacuum_max_eager_freeze_failure_rate",
    }
)
_ENUMS = frozenset({"buffering", "check_option", "vacuum_index_cleanup"})

_PARAMETER = re.compile(
    r"(?P<before>(?:^|, |: )(?:toast\.)?)(?P<name>"
    + "|".join(sorted(_BOOLEANS | _INTEGERS | _REALS | _ENUMS))
    + r")=(?P<value>[^,;]*)"
)
# An element of a list of settings, as kinds/kind.py writes it; the value of one may contain commas.
_SETTING = re.compile(r"(?P<quoted>E?'(?:[^']|'')*')|(?P<name>[\w.$]+)=(?P<value>.*?)(?=, [\w.$]+=|, E?'|$)", re.DOTALL)
_NUMBER = re.compile(
    r"\s*(?P<number>[-+]?(?:0x[0-9a-f.]+(?:p[-+]?\d+)?|[\d.]+(?:e[-+]?\d+)?))\s*(?P<unit>[a-z]*)\s*", re.IGNORECASE
)
_BYTES = {"B": 1, "kB": 1024, "MB": 1024**2, "GB": 1024**3, "TB": 1024**4, "8kB": 8192}
_MICROSECONDS = {"us": 1, "ms": 1000, "s": 10**6, "min": 60 * 10**6, "h": 3600 * 10**6, "d": 86400 * 10**6}
_IDENTIFIER_LISTS = frozenset({"search_path", "temp_tablespaces"})
_IDENTIFIER = re.compile(r'\s*(?:"((?:[^"]|"")*)"|([^",]*))\s*(?:,|$)')
# Of this value of an enum the server has an alias that it does not list.
_ALIASES = {"true": "on", "yes": "on", "1": "on", "false": "off", "no": "off", "0": "off", "debug": "debug2"}


def plain_parameters(text: str) -> str:
    """Return a list of the parameters of a relation or a column with each value in one form."""
    return _PARAMETER.sub(
        lambda found: f"{found['before']}{found['name']}={_parameter(found['name'], found['value'])}", text
    )


def plain_settings(text: str, types: Mapping[str, SettingType]) -> tuple[str, ...]:
    """Return a list of the settings of a function with each value in one form."""
    return tuple(
        found["quoted"]
        or f"{found['name']}={_setting(found['name'], found['value'], types.get(found['name'].lower()))}"
        for found in _SETTING.finditer(text)
    )


def _parameter(name: str, value: str) -> str:
    if name in _BOOLEANS:
        return _boolean(value)
    if name in _ENUMS:
        return _enum(value)
    return _number(value, None, is_integer=name in _INTEGERS)


def _setting(name: str, value: str, known: SettingType | None) -> str:
    if known is None:
        return value
    match known.type:
        case "bool":
            return _boolean(value)
        case "enum":
            return _enum(value)
        case "integer" | "real":
            return _number(value, known.unit, is_integer=known.type == "integer")
    if name.lower() in _IDENTIFIER_LISTS:
        return ", ".join(
            f'"{found[2].strip().lower() if found[1] is None else found[1]}"'
            for found in _IDENTIFIER.finditer(value)
            if found[0]
        )
    if name == "DateStyle":
        return ", ".join(sorted(part.strip().lower() for part in value.split(",")))
    if name == "client_encoding":
        return re.sub(r"[^a-z0-9]", "", value.lower())
    return value.lower() if name == "TimeZone" else value


def _boolean(value: str) -> str:
    """Return a value that the server's parse_bool accepts as on or off: a unique prefix is enough."""
    word = value.strip().lower()
    if word in ("1", "on") or (word and ("true".startswith(word) or "yes".startswith(word))):
        return "on"
    if word in ("0", "of", "off") or (word and ("false".startswith(word) or "no".startswith(word))):
        return "off"
    return value


def _enum(value: str) -> str:
    word = value.strip().lower()
    return _ALIASES.get(word, word)


def _number(value: str, base: str | None, *, is_integer: bool) -> str:
    """Return a number in the base unit of its parameter, as the server's parse_int and parse_real read it."""
    found = _NUMBER.fullmatch(value)
    if found is None:
        return value
    unit = found["unit"] or base
    units = next((each for each in (_BYTES, _MICROSECONDS) if base in each and unit in each), None)
    if unit != base and units is None:
        return value
    try:
        number = _parsed(found["number"], is_integer=is_integer)
    except ValueError:
        return value
    if units is not None and unit is not None and base is not None:
        number = number * units[unit] / units[base]
    return str(round(number)) if is_integer else repr(float(number))


def _parsed(number: str, *, is_integer: bool) -> float:
    digits = number.lower().lstrip("+-")
    if digits.startswith("0x"):
        return float.fromhex(number)
    # As in C, a leading zero makes a whole number octal.
    if is_integer and digits.startswith("0") and digits.isdigit():
        return int(number, 8)
    return float(number)
