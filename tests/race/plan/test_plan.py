"""What a seed fixes, and what every plan holds."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Literal, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pendingctl.model import Scope
from pendingctl.race.plan.cards import CARD_MAX_AGE_MS
from pendingctl.race.plan.extra import SWEEP_MAX_AGE
from pendingctl.race.plan.operations import Fate, Names, OperationKind, PlannedOperation, PlannedQuestion, Wrong
from pendingctl.race.plan.plan import plan_bystanders, plan_others, plan_question
from pendingctl.race.plan.schedule import FaultKind
from pendingctl.race.plan.settings import MAX_QUESTIONS, RaceSettings

NAMES = Names("run", "run", "run-foreign")
PUT, CLAIM, DELETE, SWEEP, *_ = OperationKind

SEEDS = st.integers(-(2**40), 2**70)
NUMBERS = st.integers(0, 100_000)
RACES = st.builds(
    RaceSettings,
    pods=st.integers(1, 6),
    questions=st.just(100_000),
    clicks=st.integers(1, 20),
    seed=SEEDS,
    faults=st.sampled_from([(), (FaultKind.KILL,), (FaultKind.SWEEP,), tuple(FaultKind)]),
)
Kind: TypeAlias = Wrong | Literal["rightful", "repeat"]
EVERY_KIND: set[Kind] = {"rightful", "repeat", *Wrong}


def race(pods: int = 3, clicks: int = 8, seed: int = 1, faults: tuple[FaultKind, ...] = ()) -> RaceSettings:
    return RaceSettings(pods, 1_000, clicks, seed, faults=faults)


def plan(settings: RaceSettings, questions: int = 20) -> list[PlannedQuestion]:
    """The first questions of a race, each with an extra one."""
    return [plan_question(settings, NAMES, f"{kind}{number}") for number in range(questions) for kind in "qx"]


def kind_of(click: PlannedOperation) -> Kind:
    """What a click on a counted question is. A press of one's own has a key that ends with its place."""
    if click.wrong is not None:
        return click.wrong
    place = click.name.partition(".")[2]
    return "rightful" if click.delivery_key == f"{click.question_id}-{place}" else "repeat"


def rightful(question: PlannedQuestion) -> list[PlannedOperation]:
    """The rightful presses, in the order in which they were planned."""
    own = [click for click in question.clicks if kind_of(click) == "rightful"]
    return sorted(own, key=lambda click: int(click.name.partition(".")[2]))


def differing(one: Scope, other: Scope) -> set[str]:
    parts = ("organization_id", "connection_id", "expected_user_id")
    return {part for part in parts if getattr(one, part) != getattr(other, part)}


FOREIGN_PART = {
    None: set[str](),
    Wrong.USER: {"expected_user_id"},
    Wrong.CONNECTION: {"connection_id"},
    Wrong.ORGANIZATION: {"organization_id"},
}


@given(RACES, NUMBERS, st.sampled_from("qx"))
def test_the_same_settings_give_the_same_question(settings: RaceSettings, number: int, kind: str) -> None:
    label = f"{kind}{number}"

    assert plan_question(settings, NAMES, label) == plan_question(replace(settings), NAMES, label)


@given(st.integers(0, 2**31), st.integers(0, 2**31))
def test_another_seed_gives_another_plan(seed: int, other: int) -> None:
    assert (plan(race(seed=seed), 4) == plan(race(seed=other), 4)) is (seed == other)


def test_a_question_is_planned_alike_however_long_the_race_is() -> None:
    short, long = RaceSettings(3, 1, 8, 1), RaceSettings(3, MAX_QUESTIONS, 8, 1, duration_seconds=60)

    assert plan_question(short, NAMES, "q0") == plan_question(long, NAMES, "q0")


def test_the_sweeper_changes_only_extra_questions() -> None:
    without, swept = race(), race(faults=(FaultKind.SWEEP,))

    assert plan_question(without, NAMES, "q5") == plan_question(swept, NAMES, "q5")
    assert plan_question(without, NAMES, "x5") != plan_question(swept, NAMES, "x5")


@given(RACES, NUMBERS)
def test_each_question_gets_its_clicks_and_one_at_least_is_rightful(settings: RaceSettings, number: int) -> None:
    question = plan_question(settings, NAMES, f"q{number}")

    assert len(question.clicks) == settings.clicks
    assert rightful(question)
    assert {click.asking for click in question.clicks} == {1}
    # The database draws the number.
    assert {click.ask_number for click in question.clicks} == {None}
    assert {click.value for click in question.clicks} <= set(question.question.options)
    assert {operation.kind for operation in question.operations} <= {PUT, CLAIM}
    assert not question.is_extra


@given(RACES, NUMBERS, st.sampled_from("qx"))
def test_every_operation_is_on_its_question_and_by_a_pod_of_the_race(
    settings: RaceSettings, number: int, kind: str
) -> None:
    question = plan_question(settings, NAMES, f"{kind}{number}")

    assert question.question.id.startswith(NAMES.run)
    assert {operation.question_id for operation in question.operations} == {question.question.id}
    assert all(0 <= operation.pod < settings.pods for operation in question.operations)
    assert all(burst.operations and burst.after_ms >= 0 for burst in question.bursts)


@given(RACES, NUMBERS, st.sampled_from("qx"))
def test_the_operations_of_a_question_have_unique_names_that_begin_with_its_label(
    settings: RaceSettings, number: int, kind: str
) -> None:
    question = plan_question(settings, NAMES, f"{kind}{number}")
    names = [operation.name for operation in question.operations]

    assert len(set(names)) == len(names)
    assert {name.partition(".")[0] for name in names} == {question.label} == {f"{kind}{number}"}


@given(RACES, NUMBERS, st.sampled_from("qx"))
def test_what_is_wrong_is_foreign_in_the_one_part_that_its_kind_says(
    settings: RaceSettings, number: int, kind: str
) -> None:
    question = plan_question(settings, NAMES, f"{kind}{number}")

    for operation in question.operations:
        assert differing(operation.scope, question.question.scope) == FOREIGN_PART[operation.wrong]


@given(RACES, NUMBERS)
def test_the_first_two_rightful_clicks_come_from_two_pods_under_keys_of_their_own(
    settings: RaceSettings, number: int
) -> None:
    originals = rightful(plan_question(settings, NAMES, f"q{number}"))

    keys = [click.delivery_key for click in originals]
    assert len(set(keys)) == len(keys)
    if len(originals) > 1 and settings.pods > 1:
        assert originals[0].pod != originals[1].pod


@given(RACES, NUMBERS)
def test_a_repeat_is_the_same_press_on_another_pod_where_there_is_one(settings: RaceSettings, number: int) -> None:
    question = plan_question(settings, NAMES, f"q{number}")
    originals = rightful(question)

    for click in question.clicks:
        if kind_of(click) == "repeat":
            (original,) = [each for each in originals if each.delivery_key == click.delivery_key]
            assert original.value == click.value
            if {each.pod for each in originals} != {click.pod}:
                assert original.pod != click.pod


@given(RACES, NUMBERS)
def test_strangers_press_under_keys_of_their_own_or_under_stolen_ones(settings: RaceSettings, number: int) -> None:
    question = plan_question(settings, NAMES, f"q{number}")
    presses = {(click.delivery_key, click.value) for click in rightful(question)}

    for click in question.clicks:
        own = click.delivery_key == f"{click.question_id}-{click.name.partition('.')[2]}"
        assert own or (click.delivery_key, click.value) in presses


@pytest.mark.parametrize("kind", Wrong)
def test_some_strangers_press_under_a_stolen_key(kind: Wrong) -> None:
    stolen = Counter(
        any(click.delivery_key == each.delivery_key for each in rightful(question))
        for question in plan(race(), 50)
        if not question.is_extra
        for click in question.clicks
        if click.wrong is kind
    )

    assert 0 < stolen[True] < stolen[False]


@given(st.integers(6, 20), SEEDS, NUMBERS)
def test_with_six_clicks_or_more_every_question_has_every_kind(clicks: int, seed: int, number: int) -> None:
    question = plan_question(race(clicks=clicks, seed=seed), NAMES, f"q{number}")

    assert {kind_of(click) for click in question.clicks} == EVERY_KIND
    assert len(rightful(question)) >= 2


@pytest.mark.parametrize(("clicks", "questions"), [(2, 5), (3, 3), (4, 2), (5, 2)])
@given(seed=SEEDS, first=NUMBERS)
def test_with_fewer_clicks_the_kinds_rotate_through_the_questions(
    clicks: int, questions: int, seed: int, first: int
) -> None:
    settings = race(clicks=clicks, seed=seed)
    planned = [plan_question(settings, NAMES, f"q{number}") for number in range(first, first + questions)]

    assert {kind_of(click) for question in planned for click in question.clicks} == EVERY_KIND
    assert any(len(rightful(question)) >= 2 for question in planned)


@given(SEEDS, NUMBERS)
def test_a_single_click_is_rightful(seed: int, number: int) -> None:
    (click,) = plan_question(race(clicks=1, seed=seed), NAMES, f"q{number}").clicks

    assert kind_of(click) == "rightful"


@given(RACES, NUMBERS)
def test_clicks_are_spread_evenly_over_the_pods(settings: RaceSettings, number: int) -> None:
    fired = Counter(click.pod for click in plan_question(settings, NAMES, f"q{number}").clicks)

    assert max(fired.values()) == -(-settings.clicks // settings.pods)


def test_some_clicks_press_by_the_place_of_an_option_and_a_repeat_does_as_its_original() -> None:
    questions = [plan_question(race(), NAMES, f"{kind}{number}") for kind in "qxcwd" for number in range(8)]
    clicks = [click for question in questions for click in question.clicks]
    operations = [each for question in questions for each in question.operations if each.kind is not CLAIM]

    assert 0.3 < sum(click.by_option for click in clicks) / len(clicks) < 0.7
    assert not any(each.by_option for each in operations)
    for question in (each for each in questions if not each.is_extra):
        originals = {each.delivery_key: each for each in rightful(question)}
        for click in question.clicks:
            if kind_of(click) == "repeat":
                assert click.by_option is originals[click.delivery_key].by_option


@given(RACES, NUMBERS)
def test_of_another_edition_each_option_stands_at_another_place(settings: RaceSettings, number: int) -> None:
    question = plan_question(settings, NAMES, f"x{number}")
    first, other = question.edition(0).options, question.edition(1).options

    assert sorted(first) == sorted(other)
    assert not any(one == another for one, another in zip(first, other, strict=True))


def test_the_wrong_clicks_sometimes_come_before_all_others() -> None:
    bursts = [question.bursts for question in plan(race()) if not question.is_extra]
    in_two = [burst for burst in bursts if len(burst) > 1]

    assert 0 < len(in_two) < len(bursts)
    for first, second in in_two:
        assert all(operation.kind is CLAIM and operation.wrong for operation in first.operations)
        assert not any(operation.kind is CLAIM and operation.wrong for operation in second.operations)


def test_counted_questions_are_stored_again_by_their_own_scope_and_by_every_kind_of_stranger() -> None:
    puts = [
        operation
        for question in plan(race(), 200)
        if not question.is_extra
        for operation in question.operations
        if operation.kind is PUT
    ]

    assert {put.wrong for put in puts} == {None, *Wrong}
    assert not any(put.reopens for put in puts)


@given(RACES, NUMBERS)
def test_an_extra_question_is_put_claimed_deleted_and_with_the_sweeper_swept(
    settings: RaceSettings, number: int
) -> None:
    question = plan_question(settings, NAMES, f"x{number}")
    due = {PUT, CLAIM, DELETE} | ({SWEEP} if FaultKind.SWEEP in settings.faults else set())

    assert question.is_extra
    assert {operation.kind for operation in question.operations} == due
    assert {operation.kind for operation in question.bursts[0].operations} == {PUT}
    assert {operation.wrong for operation in question.operations} == {None}
    presses = [click.delivery_key for click in question.clicks]
    assert len(set(presses)) == len(presses)


@given(RACES, NUMBERS, st.sampled_from("qx"))
def test_a_put_reopens_only_extra_questions(settings: RaceSettings, number: int, kind: str) -> None:
    question = plan_question(settings, NAMES, f"{kind}{number}")

    for operation in question.operations:
        assert operation.reopens is (question.is_extra and operation.kind is PUT)


@given(RACES, NUMBERS)
def test_a_sweep_has_a_limit_and_only_a_claim_has_a_key(settings: RaceSettings, number: int) -> None:
    for operation in plan_question(settings, NAMES, f"x{number}").operations:
        assert (operation.limit is not None) is (operation.kind is SWEEP)
        assert (operation.delivery_key is not None) is (operation.value is not None) is (operation.kind is CLAIM)


@given(RACES, NUMBERS)
def test_each_extra_question_is_put_again_by_another_request_while_its_first_card_has_its_buttons(
    settings: RaceSettings, number: int
) -> None:
    bursts = plan_question(settings, NAMES, f"x{number}").bursts
    first, retries, second, presses = ([*burst.operations] for burst in bursts[:4])

    (key,) = {each.request_key for each in (*first, *retries)}
    assert [each.edition for each in (*first, *retries, *second)] == [0, 0, 1, 1]
    assert key is not None
    assert second[0].request_key != key
    assert [each.asking for each in presses] == [-2, -1]


def test_some_askers_take_their_answer_some_are_cancelled_with_it_and_some_give_up() -> None:
    awaited = [plan_question(race(), NAMES, f"w{number}") for number in range(4)]

    assert {question.bursts[0].operations[0].fate for question in awaited} == set(Fate)
    for question in awaited:
        (ask,), clicks = (burst.operations for burst in question.bursts)
        assert question.is_extra
        # Its pod takes part in the clicks, and waits with them for its asker.
        assert ask.pod in {click.pod for click in clicks}


@given(RACES, NUMBERS)
def test_an_asker_that_is_struck_would_take_the_answer(settings: RaceSettings, number: int) -> None:
    question = plan_question(settings, NAMES, f"a{number}")

    assert question.is_awaited
    assert question.bursts[0].operations[0].fate is Fate.TAKES
    assert {click.pod for click in question.clicks} == set(range(settings.pods))


@given(RACES, NUMBERS)
def test_a_card_is_posted_by_two_pods_for_one_event_and_nothing_is_left_open(
    settings: RaceSettings, number: int
) -> None:
    question = plan_question(settings, NAMES, f"c{number}")
    first = [each for each in question.bursts[0].operations if each.posts]

    assert question.is_extra
    assert {each.request_key for each in first} == {first[0].request_key}
    assert len({each.pod for each in first}) == len(first) == min(2, settings.pods)
    assert {each.kind for each in question.bursts[-1].operations} == {CLAIM}
    assert not any(each.reopens for each in question.operations)


def test_in_rotation_a_card_is_changed_withdrawn_and_answered_after_it_has_expired() -> None:
    questions = [plan_question(race(), NAMES, f"c{number}") for number in range(4)]

    assert [OperationKind.WITHDRAW in {each.kind for each in question.operations} for question in questions] == [
        *(True, False, False, False)
    ]
    assert [len(question.editions) for question in questions] == [1, 1, 0, 1]
    assert [burst.after_ms > CARD_MAX_AGE_MS for burst in questions[2].bursts] == [False, True, False]


@given(RACES, st.integers(0, 4))
def test_pods_are_clicked_for_another_applications_questions(settings: RaceSettings, number: int) -> None:
    question = plan_question(settings, NAMES, f"o{number}")

    assert question in plan_others(settings, NAMES)
    assert {(each.kind, each.wrong, each.scope) for each in question.operations} == {
        (CLAIM, None, question.question.scope)
    }


@given(RACES, NUMBERS)
def test_a_tenant_in_trouble_is_pressed_more_often_than_its_neighbour(settings: RaceSettings, number: int) -> None:
    troubled, neighbour = (plan_question(settings, NAMES, f"{kind}{number}") for kind in "tn")

    assert {click.pod for click in troubled.clicks} == {click.pod for click in neighbour.clicks}
    assert len(troubled.clicks) == 6 * len(neighbour.clicks) == 6 * settings.pods
    assert len({click.delivery_key for click in troubled.clicks}) == len(troubled.clicks)
    assert neighbour.question.scope.organization_id == "run-foreign" != troubled.question.scope.organization_id


def test_extra_questions_come_early_and_more_of_them_with_the_sweeper() -> None:
    extra = [sum(map(race(faults=faults).has_extra, range(1_000))) for faults in ((), (FaultKind.SWEEP,))]

    assert race().has_extra(0)
    assert 0 < extra[0] < extra[1] < 1_000


def test_the_sweeper_takes_no_rows_but_those_of_the_run() -> None:
    # Whatever else is in the database, none of it is nine hundred years old.
    assert SWEEP_MAX_AGE.days > 365 * 900


def test_bystanders_belong_to_the_foreign_organization_and_nothing_is_done_to_them() -> None:
    bystanders = plan_bystanders(race(), NAMES)
    others = plan(race())

    assert 1 <= len(bystanders) <= 20
    assert {each.question.scope.organization_id for each in bystanders} == {"run-foreign"}
    assert not any(each.operations for each in bystanders)
    assert {each.question.id for each in bystanders}.isdisjoint(each.question.id for each in others)
    assert {each.question.scope.expected_user_id for each in bystanders} <= {
        each.question.scope.expected_user_id for each in others
    }
