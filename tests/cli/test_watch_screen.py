"""The screen of watch: what is drawn of a state, what a key does to it, and how little is sent of what changes."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from pendingctl import State
from pendingctl.cli.terminal import Keys, changes
from pendingctl.cli.watch_screen import (
    Apply,
    Explain,
    Quit,
    Remedy,
    Screen,
    command_of,
    drawn,
    pressed,
    settled,
    updated,
)
from pendingctl.inspected import Attention, Concern
from pendingctl.model import Outcome
from tests.cli.terminals import Emulator
from tests.diagnosis.histories import NOW, ago, asked, history, row
from tests.diagnosis.histories import pressed as press

ENDED: dict[str, Any] = {"claimed_at": ago(60), "outcome": Outcome.ANSWERED}
STUCK = Attention(
    Concern.STUCK,
    row(id="stuck-1", state=State.STUCK, **ENDED, delivery_attempts=20, delivery_error="the worker answered 500"),
)
OPEN = Attention(Concern.OPEN, row())
MANY = tuple(Attention(Concern.OPEN, row(id=f"q{number}")) for number in range(100))


def screen(*items: Attention, **changed: Any) -> Screen:
    return replace(updated(Screen(target="bot on db1"), items, NOW, is_cut=False), **changed)


def after(shown: Screen, *keys: str, height: int = 24) -> Screen:
    for key in keys:
        shown, action = pressed(shown, key, height)
        assert action is None
    return shown


def test_what_needs_a_look_is_listed_with_what_is_known_of_it() -> None:
    lines = drawn(screen(STUCK, OPEN), 80, 24)

    assert lines[0] == "22:00:00 stuck 1  open 1  bot on db1"
    assert lines[2] == "> stuck-1  stuck        10 min       20 attempts, no other: the worker answered"
    assert lines[3] == "  q42      open         10 min       asks U1: Deploy?"
    assert lines[23].startswith("enter why  r redeliver")


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 50), (40, 10), (20, 4), (1, 1)])
@pytest.mark.parametrize(
    "shown",
    [
        screen(),
        screen(*MANY, selected=99),
        screen(STUCK, asked=Apply(Remedy.REDELIVER, STUCK.row)),
        screen(STUCK, shows_help=True),
        screen(STUCK, away=(90.0, "the server closed the connection")),
        screen(Attention(Concern.OPEN, row(id="q" * 255, question="日本語" * 100))),
        screen(OPEN, explained=history(row(), asked(), press("not_yours", "U2"))),
    ],
    ids=["empty", "many", "asking", "help", "stale", "long", "explained"],
)
def test_a_screen_has_as_many_lines_as_the_terminal_and_none_is_wider(shown: Screen, width: int, height: int) -> None:
    lines = drawn(shown, width, height)
    emulated = Emulator(width, height)
    emulated.feed(changes([], lines))

    assert len(lines) == height
    assert emulated.lines == [line.rstrip() for line in lines]


def test_nothing_at_all_is_said_so() -> None:
    lines = drawn(screen(), 80, 24)

    assert "nothing needs a look" in lines[0]
    assert lines[2] == "No question is open, and none waits for a pod or a person."


def test_an_empty_list_with_filters_says_nothing_of_other_questions() -> None:
    lines = drawn(screen(is_filtered=True), 80, 24)

    assert lines[0] == "22:00:00 no question  bot on db1"
    assert lines[2] == "No question passes the filters."


def test_an_id_is_not_cut_for_what_stands_behind_it() -> None:
    long = "deploy-" + "0" * 60

    assert long in drawn(screen(Attention(Concern.OPEN, row(id=long)), OPEN), 80, 24)[2]


def test_what_is_stored_steers_no_terminal() -> None:
    steering = row(id="q\x1b[2J", question="\x1b]0;x\x07\r\n")
    shown = screen(
        Attention(Concern.OPEN, steering), explained=history(steering), asked=Apply(Remedy.WITHDRAW, steering)
    )

    for each in (shown, replace(shown, explained=None), replace(shown, message="\x1b[2J")):
        assert all(line.isprintable() for line in drawn(each, 80, 24))


def test_keys_move_the_selection_and_the_list_follows() -> None:
    shown = screen(*MANY)

    assert after(shown, "down", "j", "up").selected == 1
    assert after(shown, "k").selected == 0
    assert after(shown, "end").selected == 99
    assert ">" in drawn(after(shown, "end"), 80, 24)[21]
    assert after(shown, "page down").selected == 19
    assert drawn(after(shown, *["down"] * 30), 80, 24)[21].startswith("> q30")
    assert drawn(after(shown, *["down"] * 30, *["up"] * 5), 80, 24)[16].startswith("> q25")
    assert "80 rows below" in drawn(shown, 80, 24)[22]


def test_the_selection_stays_on_its_question() -> None:
    moved = after(screen(STUCK, OPEN), "down")

    assert moved.row is not None
    assert updated(moved, [OPEN, STUCK], NOW, is_cut=False).selected == 0
    assert updated(moved, [STUCK], NOW, is_cut=False).selected == 0
    assert updated(moved, [], NOW, is_cut=False).row is None


def test_enter_asks_for_the_cause_and_shows_it_first() -> None:
    _, action = pressed(screen(STUCK, OPEN, selected=1), "enter", 24)
    assert action == Explain("q42")

    explained = screen(OPEN, explained=history(row(), asked(), press("not_yours", "U2", presses=3)))
    lines = drawn(explained, 80, 24)

    assert lines[1:3] == ["q42   pending   asked 10 min ago", "Deploy?"]
    assert lines[4] == "warn  it asks U1, and somebody else pressed: U2 pressed 3 times, the last time 1"
    assert any("not yours" in line for line in lines)
    assert after(explained, "q").explained is None
    assert after(explained, "escape").explained is None
    assert after(explained, "down").scrolled == 1


def test_beyond_the_end_of_an_explanation_nothing_is_scrolled_that_had_to_be_scrolled_back() -> None:
    entries = [press("not_yours", f"U{number}", 60 - number) for number in range(40)]
    explained = screen(OPEN, explained=history(row(), asked(), *entries))

    at_the_end = settled(after(explained, "end"), 80, 24)

    assert drawn(at_the_end, 80, 24) == drawn(after(explained, "end"), 80, 24)
    assert drawn(after(at_the_end, "up"), 80, 24) != drawn(at_the_end, 80, 24)


@pytest.mark.parametrize(
    ("key", "item", "command"),
    [
        ("r", STUCK, "pendingctl redeliver stuck-1"),
        ("c", STUCK, "pendingctl repair-cards stuck-1"),
        ("w", OPEN, "pendingctl withdraw q42 --org acme --connection slack --user U1"),
    ],
)
def test_a_remedy_shows_its_command_and_waits_for_a_yes(key: str, item: Attention, command: str) -> None:
    asking = after(screen(item), key)

    assert drawn(asking, 80, 24)[-2:] == [command, "do this? y/n"]
    assert asking.asked is not None
    assert command_of(asking.asked) == command
    done, action = pressed(asking, "y", 24)
    assert action == asking.asked
    assert done.asked is None


@pytest.mark.parametrize("key", ["n", "q", "enter", "escape", "r", " "])
def test_whatever_is_not_a_yes_is_a_no(key: str) -> None:
    refused = after(after(screen(STUCK), "r"), key)

    assert (refused.asked, refused.message) == (None, "nothing was done")


def test_a_remedy_that_cannot_help_is_not_offered() -> None:
    assert "there is no ending to deliver" in after(screen(OPEN), "r").message
    assert "there is nothing to withdraw" in after(screen(STUCK), "w").message
    gone = screen(OPEN, explained=history(None, asked()))
    assert "no longer there" in after(gone, "c").message
    assert after(screen(), "r") == screen()


def test_q_quits_from_the_list_and_help_explains_the_keys() -> None:
    assert pressed(screen(), "q", 24)[1] == Quit()
    helped = after(screen(), "?")
    assert any("redeliver: have the pods deliver" in line for line in drawn(helped, 80, 24))
    assert not after(helped, "q").shows_help


def test_a_picture_that_is_stale_stays_and_says_so() -> None:
    lines = drawn(screen(STUCK, away=(95.0, "the server closed the connection; try again")), 80, 24)

    assert lines[0] == "STALE: nothing could be read for 1 min 35 s: the server closed the connection; t"
    assert "stuck-1" in lines[2]


def test_what_is_sent_of_a_change_makes_the_new_screen_out_of_the_old_one() -> None:
    """Of lines that a seed has drawn, ASCII and wide ones, longer and shorter."""
    drawing = random.Random(7)
    emulated = Emulator(60, 10)
    before = [""] * 10
    for _ in range(300):
        lines = list(before)
        for place in drawing.sample(range(10), 5):
            alphabet = drawing.choice(["ab ", "ab c", "日本 a"])
            lines[place] = "".join(drawing.choices(alphabet, k=drawing.randrange(30))).rstrip()
        emulated.feed(changes(before, lines))
        assert emulated.lines == lines
        before = lines


def test_a_screen_on_which_seconds_pass_costs_a_few_bytes() -> None:
    first = [replace(item, row=replace(item.row, age_seconds=41.0)) for item in MANY[:18]]
    second = [replace(item, row=replace(item.row, age_seconds=43.0)) for item in MANY[:18]]
    before = drawn(screen(*first), 80, 24)
    later = updated(screen(*first), second, NOW + timedelta(seconds=2), is_cut=False)

    assert changes(before, before) == ""
    assert 0 < len(changes(before, drawn(later, 80, 24))) < 300


def test_keys_are_read_also_when_they_come_in_parts() -> None:
    keys = Keys()

    assert keys.typed(b"jk\x1b[A\x1bOB\r\x1b[6~") == ["j", "k", "up", "down", "enter", "page down"]
    assert keys.typed(b"\x1b") == []
    assert keys.typed(b"[") == []
    assert keys.is_waiting
    assert keys.typed(b"B") == ["down"]
    assert keys.typed(b"\x1b") == []
    assert keys.given_up() == ["escape"]
    assert keys.given_up() == []
    assert keys.typed(b"\x1bq") == ["escape", "q"]


def test_no_part_of_a_key_that_means_nothing_is_taken_for_another() -> None:
    """Delete, F5, shift and up; in rxvt shift and right; F1 in two parts."""
    keys = Keys()

    assert keys.typed(b"\x1b[3~\x1b[15~\x1b[1;2Aj\x1b[c") == ["j"]
    assert keys.typed(b"\x1bO") == []
    assert keys.typed(b"P\x1b[1;5") == []
    assert keys.typed(b"Ck") == ["k"]
