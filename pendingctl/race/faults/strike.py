"""Striking: a fault really happens at the moment that the plan names, and it is known whether it did."""

from __future__ import annotations

import time
from dataclasses import replace

from ..history.history import Fault
from ..plan.operations import OperationKind, PlannedQuestion
from ..plan.schedule import AT_A_DELIVERY, AT_A_POST, AT_AN_APPEND, AT_AN_ASKER, TROUBLES, FaultKind, PlannedFault
from .appends import strike_at_an_append
from .askers import strike_at_an_asker
from .claims import strike_at_a_claim
from .context import FaultContext
from .deliveries import strike_at_a_delivery
from .locks import strike_at_a_lock
from .posts import strike_at_a_post
from .troubles import hang_over_answers_of_a_tenant, lock_rows_of_a_tenant


async def strike(
    context: FaultContext, planned: PlannedFault, question: PlannedQuestion, more: list[PlannedQuestion]
) -> Fault:
    """Fire at a question, let the fault strike meanwhile, and return the fault with whether it landed.

    `more` questions are fired at while the server is away; of a fault that troubles one tenant they are its own, and
    the last one a neighbour's; of one that strikes at an asker, a post or an append they are the one that is asked.
    Raises RaceBrokenOff and the database's errors.
    """
    fault = Fault(planned.number, planned.kind, planned.moment, time.monotonic_ns())
    dispatcher = context.dispatcher
    if planned.kind in TROUBLES:
        await dispatcher.fire(question)
        *troubled, neighbour = more
        trouble = lock_rows_of_a_tenant if planned.kind is FaultKind.LOCK else hang_over_answers_of_a_tenant
        detail = await trouble(context, troubled, neighbour)
        tenant = question.question.scope.organization_id
        ended = replace(fault, ended_ns=time.monotonic_ns(), organization_id=tenant)
        return replace(ended, landed=not detail, detail=detail)
    if planned.moment in AT_AN_ASKER:
        await dispatcher.fire(question)
        detail = await strike_at_an_asker(context, planned.kind, planned.moment, more[0])
        return replace(fault, ended_ns=time.monotonic_ns(), landed=not detail, detail=detail)
    if planned.moment in AT_A_POST:
        await dispatcher.fire(question)
        detail = await strike_at_a_post(context, planned.moment, more[0])
        return replace(fault, ended_ns=time.monotonic_ns(), landed=not detail, detail=detail)
    if planned.moment in AT_AN_APPEND:
        await dispatcher.fire(question)
        detail = await strike_at_an_append(context, planned.moment, more[0])
        return replace(fault, ended_ns=time.monotonic_ns(), landed=not detail, detail=detail)
    # The rightful clicks are in the last burst; what comes before them is not struck.
    last = len(question.bursts) - 1
    for burst in range(last):
        await dispatcher.finish(dispatcher.send(dispatcher.pods_of([question], burst), [question], burst))
    target = next(
        each for each in question.bursts[last].operations if each.kind is OperationKind.CLAIM and each.wrong is None
    )
    if planned.moment in AT_A_DELIVERY:
        detail = await strike_at_a_delivery(context, planned.kind, planned.moment, question, target, last, more)
    elif planned.moment is not None:
        detail = await strike_at_a_claim(context, planned.kind, planned.moment, question, target, last)
    else:
        detail = await strike_at_a_lock(context, planned.kind, question, last, more)
    return replace(fault, ended_ns=time.monotonic_ns(), landed=not detail, detail=detail)
