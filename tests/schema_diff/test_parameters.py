"""Values of parameters that are written differently: which of them mean the same."""

from __future__ import annotations

import pytest

from pendingctl.schema_diff.kinds.options import COLUMN_OPTIONS, INDEX_OPTIONS, TABLE_OPTIONS, VIEW_OPTIONS
from pendingctl.schema_diff.model import SettingType
from pendingctl.schema_diff.parameters import plain_parameters, plain_settings

TYPES = {
    "work_mem": SettingType("integer", "kB"),
    "temp_buffers": SettingType("integer", "8kB"),
    "statement_timeout": SettingType("integer", "ms"),
    "vacuum_cost_delay": SettingType("real", "ms"),
    "enable_seqscan": SettingType("bool"),
    "synchronous_commit": SettingType("enum"),
    "application_name": SettingType("string"),
    "search_path": SettingType("string"),
}


@pytest.mark.parametrize("word", ["t", "TRUE", "tru", "y", "yes", "on", "1"])
@pytest.mark.parametrize("other", ["f", "False", "n", "no", "of", "off", "0"])
def test_every_spelling_of_a_boolean_is_understood(word: str, other: str) -> None:
    assert plain_parameters(f"autovacuum_enabled={word}") == "autovacuum_enabled=on"
    assert plain_parameters(f"autovacuum_enabled={other}") == "autovacuum_enabled=off"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("fillfactor=70", "fillfactor= 7e1 "),
        ("fillfactor=70", "fillfactor=0x46"),
        ("fillfactor=56", "fillfactor=070"),
        ("toast.autovacuum_vacuum_scale_factor=0.10", "toast.autovacuum_vacuum_scale_factor=.1"),
        ("n_distinct=5", "n_distinct=5.0"),
        ("check_option=LOCAL, security_barrier=1", "check_option=local, security_barrier=yes"),
        ("a: statistics 5, n_distinct=-0.50; b: n_distinct=1", "a: statistics 5, n_distinct=-0.5; b: n_distinct=1.0"),
    ],
)
def test_parameters_that_mean_the_same_have_one_form(one: str, other: str) -> None:
    assert plain_parameters(one) == plain_parameters(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("fillfactor=70", "fillfactor=070"),
        ("autovacuum_vacuum_scale_factor=0.1", "autovacuum_vacuum_scale_factor=0.01"),
        ("autovacuum_enabled=on", "toast.autovacuum_enabled=on"),
        ("vacuum_index_cleanup=on", "vacuum_index_cleanup=auto"),
        ("someone_elses=on", "someone_elses=true"),
        ("fillfactor=many", "fillfactor=more"),
    ],
)
def test_parameters_that_do_not_mean_the_same_keep_two_forms(one: str, other: str) -> None:
    assert plain_parameters(one) != plain_parameters(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("work_mem=4MB", "work_mem=4096"),
        ("temp_buffers=8MB", "temp_buffers=1024"),
        ("statement_timeout=1min", "statement_timeout=60000"),
        ("vacuum_cost_delay=2000us", "vacuum_cost_delay=2"),
        ("synchronous_commit=TRUE", "synchronous_commit=on"),
        ('enable_seqscan=off, search_path="a", b, work_mem=1MB', "enable_seqscan=f, search_path=a,b, work_mem=1024"),
    ],
)
def test_settings_that_mean_the_same_have_one_form(one: str, other: str) -> None:
    assert plain_settings(one, TYPES) == plain_settings(other, TYPES)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("application_name=on", "application_name=true"),
        ("app.strict=on", "app.strict=true"),
        ('search_path="a, b"', "search_path=a, b"),
        ('search_path="A"', "search_path=a"),
        ("work_mem=4MB", "work_mem=4GB"),
        ("work_mem=4MB", "work_mem=4min"),
    ],
)
def test_settings_that_do_not_mean_the_same_keep_two_forms(one: str, other: str) -> None:
    assert plain_settings(one, TYPES) != plain_settings(other, TYPES)


@pytest.mark.parametrize("name", sorted({*COLUMN_OPTIONS, *TABLE_OPTIONS, *INDEX_OPTIONS, *VIEW_OPTIONS}))
def test_every_option_that_a_user_can_set_is_compared_by_its_meaning(name: str) -> None:
    spellings = (("on", "ON"), ("16", "0x10"), ("0.1", "0.10"))

    assert any(plain_parameters(f"{name}={one}") == plain_parameters(f"{name}={other}") for one, other in spellings)
