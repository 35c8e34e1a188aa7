"""The chat platform of a race: what it shows, and what a pod learns of that."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pendingctl.platforms import Card, FindsCards
from pendingctl.race.history.files import HistoryFile, read_pod
from pendingctl.race.history.history import CardPost
from pendingctl.race.plan.operations import Names, PostTrouble
from pendingctl.race.plan.settings import RaceSettings
from pendingctl.race.pods.gate import Gate
from pendingctl.race.pods.platform import RecordingPlatform, platform_for
from pendingctl.race.pods.wire import Assignment

CARD = Card("run-d6", 7, "C1", "Deploy?", ("yes", "no"))
CANNOT_FIND, CAN_FIND = 1, 2


@contextmanager
def platform(folder: Path, seed: int, pod: str = "pod-1") -> Iterator[RecordingPlatform]:
    file = HistoryFile(folder / f"{pod}.jsonl")
    assignment = Assignment("", pod, 0, 2, RaceSettings(2, 2, 2, seed), Names("run", "run", "foreign"), str(folder))
    yield platform_for(assignment, file, Gate())
    file.close()


def posted(folder: Path, pod: str = "pod-1") -> list[CardPost]:
    return read_pod(folder / f"{pod}.jsonl").card_posts


async def test_a_card_is_there_once_it_is_posted(tmp_path: Path) -> None:
    with platform(tmp_path, CANNOT_FIND) as shown:
        handle = await shown.post_card("slack", CARD)

    (card,) = posted(tmp_path)
    assert handle == ["run-d6", card.card]
    assert (card.ask_number, card.is_lost) == (7, False)


@pytest.mark.parametrize(("trouble", "are_there"), [(PostTrouble.SHOWN, [True]), (PostTrouble.NOT_SHOWN, [])])
async def test_a_post_that_fails_once_shows_the_card_or_not(
    tmp_path: Path, trouble: PostTrouble, are_there: list[bool]
) -> None:
    with platform(tmp_path, CANNOT_FIND) as shown:
        shown.fail_once("run-d6", trouble)
        with pytest.raises(ConnectionError):
            await shown.post_card("slack", CARD)
        assert [each.is_lost for each in posted(tmp_path)] == are_there
        await shown.post_card("slack", CARD)

    assert [each.is_lost for each in posted(tmp_path)] == [*are_there, False]


async def test_of_two_seeds_one_has_a_platform_where_any_pod_finds_a_card(tmp_path: Path) -> None:
    with platform(tmp_path, CAN_FIND) as shown, platform(tmp_path, CAN_FIND, "pod-2") as elsewhere:
        assert isinstance(shown, FindsCards)
        assert isinstance(elsewhere, FindsCards)
        assert await elsewhere.find_card("slack", CARD) is None
        shown.fail_once("run-d6", PostTrouble.SHOWN)
        with pytest.raises(ConnectionError):
            await shown.post_card("slack", CARD)

        (card,) = posted(tmp_path)
        assert await elsewhere.find_card("slack", CARD) == ["run-d6", card.card]
        assert (card.is_lost, card.can_be_found) == (True, True)


async def test_with_the_other_seed_no_card_is_found(tmp_path: Path) -> None:
    with platform(tmp_path, CANNOT_FIND) as shown:
        assert not isinstance(shown, FindsCards)
