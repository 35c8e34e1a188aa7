"""The operations of a plan, and the questions that they are done to. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from random import Random

from ...model import Question, Scope


@dataclass(frozen=True, slots=True)
class Names:
    """The names of one run's rows. Every id begins with `run`, which keeps it apart from everything else."""

    run: str
    organization_id: str
    foreign_organization_id: str

    @property
    def connections(self) -> tuple[str, str]:
        """The connections that the questions belong to; a click over the other one is wrong."""
        return f"{self.run}-a", f"{self.run}-b"

    @property
    def stream(self) -> str:
        """The stream of some of the questions, one of this name in either organization."""
        return self.run

    @property
    def application(self) -> str:
        """The application of the run's rows: its pods deliver no answer of another, and no other pod theirs."""
        return self.run

    @property
    def other_application(self) -> str:
        """An application that has answers in the same organization, and no pods."""
        return f"{self.run}-other"


class OperationKind(StrEnum):
    """What is done to a question; a sweep is done to all of them.

    A delivery is not planned: it follows from a claim that won, on whichever pod holds the lease.
    """

    PUT = "put"
    CLAIM = "claim"
    DELETE = "delete"
    SWEEP = "sweep"
    DELIVER = "deliver"
    ASK = "ask"
    WITHDRAW = "withdraw"


class Fate(StrEnum):
    """What becomes of an asker that waits for the answer: it takes it, is cancelled with it, or gives up before."""

    TAKES = "takes the answer"
    CANCELLED = "is cancelled with the answer"
    GIVES_UP = "gives up"


class Transaction(StrEnum):
    """What becomes of the transaction in which an application puts a question, whose card some pod has to post."""

    COMMITS = "commits"
    ROLLS_BACK = "rolls back"


class PostTrouble(StrEnum):
    """What the platform does at the first attempt to post a card; the pod learns no more than that it has failed."""

    SHOWN = "the card is shown, and the reply is lost"
    NOT_SHOWN = "the card is not shown"


class Wrong(StrEnum):
    """What is wrong about an operation: which part of the scope is foreign."""

    USER = "wrong_user"
    CONNECTION = "wrong_connection"
    ORGANIZATION = "wrong_organization"


@dataclass(frozen=True, slots=True)
class PlannedOperation:
    """One operation of the plan.

    `name` is unique in the run, `pod` counts from 0, `scope` is the acting one. A claim is a click: it has a delivery
    key, which a repetition of the same press shares, and presses the button of an `asking`: 1 is the first one that its
    pod has heard of, -1 the latest, -2 the one before, None whichever is open. That asking's `ask_number` is drawn by
    the database, and known when the click is fired, and so is the `option`, the place of the value's button on that
    card, which a click `by_option` presses. A put `reopens` a question that was answered, or leaves it alone;
    it has a request key or none, and shows the `edition` of that number; one that `posts` goes through the bridge,
    which posts the card, and may meet `trouble` with it; one in a `transaction` is an application's. An asker waits
    until its `fate`. A sweep has a limit, and its question is only its place in the plan. An operation is fired so many
    milliseconds after its burst.
    """

    name: str
    pod: int
    kind: OperationKind
    question_id: str
    scope: Scope
    wrong: Wrong | None = None
    delivery_key: str | None = None
    value: str | None = None
    ask_number: int | None = None
    reopens: bool = False
    limit: int | None = None
    asking: int | None = None
    request_key: str | None = None
    edition: int = 0
    fate: Fate | None = None
    posts: bool = False
    transaction: Transaction | None = None
    trouble: PostTrouble | None = None
    after_ms: int = 0
    by_option: bool = False
    option: int | None = None

    @property
    def shows(self) -> bool:
        """Whether it is a put that leaves the question's card to the pods, and gives it its schedule."""
        return self.posts or self.transaction is not None


# As Slack's buttons do; what else presses says the value.
BY_OPTION = 0.5


def press(question: Question, name: str, pod: int, random: Random, asking: int | None) -> PlannedOperation:
    """Return a rightful click with a delivery key of its own."""
    key, value = f"{question.id}-{name}", random.choice(question.options)
    return PlannedOperation(
        name,
        pod,
        OperationKind.CLAIM,
        question.id,
        question.scope,
        None,
        key,
        value,
        asking=asking,
        by_option=random.random() < BY_OPTION,
    )


@dataclass(frozen=True, slots=True)
class Burst:
    """Operations that are fired together, so many milliseconds after the previous burst."""

    operations: tuple[PlannedOperation, ...]
    after_ms: int = 0


@dataclass(frozen=True, slots=True)
class PlannedQuestion:
    """One question and everything that is done to it. `label` is q12, or x3 for an extra one.

    A counted question is stored before it is fired at, and only clicked and stored again. An extra one is stored by
    the pods, deleted and swept. An awaited one, w5, is an extra one that somebody asks who waits for the answer; over
    a5 a fault strikes at that asker. Of another extra one, c5, the pods post cards; one of these, d5, has deadlines or
    reminders, and over k5 a fault strikes at the pod that posts its card, and over s5 at one that appends its ending.
    """

    label: str
    question: Question
    bursts: tuple[Burst, ...]

    @property
    def is_extra(self) -> bool:
        """Whether it is an extra question, which the report does not count."""
        return self.label.startswith(("x", "w", "a", "c", "d", "k", "s"))

    @property
    def is_awaited(self) -> bool:
        """Whether somebody asks it and waits for its answer."""
        return self.label.startswith(("w", "a"))

    @property
    def operations(self) -> list[PlannedOperation]:
        """Everything that is done to it, in the order of the plan."""
        return [operation for burst in self.bursts for operation in burst.operations]

    def edition(self, number: int) -> Question:
        """The question with another text and its options turned, as a put of this edition shows it; 0 is itself."""
        if not number:
            return self.question
        options, turn = self.question.options, number % len(self.question.options)
        text = f"{self.question.text} (edition {number})"
        return replace(self.question, text=text, options=options[turn:] + options[:turn])

    @property
    def editions(self) -> list[Question]:
        """The other editions that are put."""
        return [self.edition(number) for number in sorted({each.edition for each in self.operations} - {0})]

    @property
    def clicks(self) -> list[PlannedOperation]:
        """Its claims."""
        return [operation for operation in self.operations if operation.kind is OperationKind.CLAIM]
