"""What a seed fixes, and what every plan holds."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pendingctl.errors import InvalidInput
from pendingctl.race.broken import store_for
from pendingctl.race.plan import (
    IMPLEMENTATIONS,
    ClickKind,
    Names,
    PlannedClick,
    PlannedQuestion,
    RaceSettings,
    most_clicks_at_once,
    plan_bystanders,
    plan_questions,
)

NAMES = Names("run", "run", "run-foreign")

SETTINGS = st.builds(
    RaceSettings,
    pods=st.integers(1, 6),
    questions=st.integers(1, 8),
    clicks=st.integers(1, 20),
    seed=st.integers(-(2**40), 2**70),
)


def plan(pods: int = 3, questions: int = 6, clicks: int = 8, seed: int = 1) -> list[PlannedQuestion]:
    return plan_questions(RaceSettings(pods, questions, clicks, seed), NAMES)


def rightful(question: PlannedQuestion) -> list[PlannedClick]:
    return [planned for planned in question.clicks if planned.kind is ClickKind.RIGHTFUL]


def test_the_same_seed_gives_the_same_plan() -> None:
    assert plan(seed=7) == plan(seed=7)


def test_another_seed_gives_another_plan() -> None:
    assert plan(seed=7) != plan(seed=8)


@given(SETTINGS)
def test_each_question_gets_its_clicks_and_one_at_least_is_rightful(settings: RaceSettings) -> None:
    questions = plan_questions(settings, NAMES)

    assert len(questions) == settings.questions
    for question in questions:
        assert len(question.clicks) == settings.clicks
        assert rightful(question)
        assert {planned.click.question_id for planned in question.clicks} == {question.question.id}
        assert all(0 <= planned.pod < settings.pods for planned in question.clicks)
    numbers = [planned.number for question in questions for planned in question.clicks]
    assert numbers == list(range(settings.questions * settings.clicks))


@given(SETTINGS)
def test_clicks_are_wrong_in_the_one_way_that_their_kind_says(settings: RaceSettings) -> None:
    for question in plan_questions(settings, NAMES):
        scope = question.question.scope
        expected = (scope.organization_id, scope.connection_id, scope.expected_user_id)
        for planned in question.clicks:
            click = planned.click
            same = [
                one == other
                for one, other in zip(
                    expected, (click.organization_id, click.connection_id, click.user_id), strict=True
                )
            ]
            match planned.kind:
                case ClickKind.WRONG_ORGANIZATION:
                    assert same == [False, True, True]
                case ClickKind.WRONG_CONNECTION:
                    assert same == [True, False, True]
                case ClickKind.WRONG_USER:
                    assert same == [True, True, False]
                case _:
                    assert same == [True, True, True]


@given(SETTINGS)
def test_rightful_clicks_come_from_two_pods_and_a_repeat_is_the_same_press(settings: RaceSettings) -> None:
    for question in plan_questions(settings, NAMES):
        originals = rightful(question)
        keys = [planned.click.delivery_key for planned in originals]
        assert len(set(keys)) == len(keys)
        if len(originals) > 1 and settings.pods > 1:
            assert len({planned.pod for planned in originals}) > 1
        for planned in question.clicks:
            if planned.kind is ClickKind.REPEAT:
                same = [original for original in originals if original.click == planned.click]
                assert len(same) == 1
                if settings.pods > 1 and len({original.pod for original in originals} - {planned.pod}) > 0:
                    assert same[0].pod != planned.pod


@pytest.mark.parametrize(("questions", "clicks"), [(5, 2), (3, 3), (2, 4), (1, 6), (1, 20)])
@pytest.mark.parametrize("seed", range(5))
def test_every_kind_occurs_where_there_is_room(questions: int, clicks: int, seed: int) -> None:
    kinds = {
        planned.kind for question in plan(questions=questions, clicks=clicks, seed=seed) for planned in question.clicks
    }

    assert kinds == set(ClickKind)


@pytest.mark.parametrize("seed", range(5))
def test_from_six_clicks_on_every_question_has_every_kind(seed: int) -> None:
    for question in plan(clicks=6, seed=seed):
        assert {planned.kind for planned in question.clicks} == set(ClickKind)
        assert len(rightful(question)) == 2


def test_a_single_click_is_rightful() -> None:
    assert [planned.kind for question in plan(clicks=1) for planned in question.clicks] == [ClickKind.RIGHTFUL] * 6


def test_clicks_are_spread_evenly_over_the_pods() -> None:
    for question in plan(pods=3, clicks=8):
        assert max(Counter(planned.pod for planned in question.clicks).values()) == 3
    assert most_clicks_at_once(plan(pods=3, clicks=8)) == 3


def test_bystanders_belong_to_the_foreign_organization_and_are_not_clicked() -> None:
    bystanders = plan_bystanders(RaceSettings(2, 100, 8, 1), NAMES)

    assert 1 <= len(bystanders) <= 20
    assert {each.question.scope.organization_id for each in bystanders} == {"run-foreign"}
    assert not any(each.clicks for each in bystanders)
    assert not {each.question.id for each in bystanders} & {each.question.id for each in plan()}


@pytest.mark.parametrize(
    "settings",
    [
        {"pods": 0},
        {"questions": 0},
        {"clicks": -1},
        {"pods": 1_000},
        {"implementation": "wishful"},
        {"organization_id": ""},
    ],
)
def test_what_cannot_be_raced_is_refused(settings: dict[str, int | str]) -> None:
    usable: dict[str, int | str] = {"pods": 2, "questions": 2, "clicks": 2, "seed": 1}

    with pytest.raises(InvalidInput):
        RaceSettings(**{**usable, **settings})  # type: ignore[arg-type]


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_every_implementation_that_has_a_name_has_a_store(implementation: str) -> None:
    class NoConnections:
        def connection(self) -> object:
            raise AssertionError("not used")

    assert store_for(implementation, NoConnections())  # type: ignore[arg-type]
