"""How a statement writes the trail of what it does, and the statements of the trail itself."""

# A setting of the database, a role or a connection string, which pods and commands hold to alike:
# alter database … set pendingctl.trail = off (manual, section 20.16 "Customized Options").
_IS_KEPT = "current_setting('pendingctl.trail', true) is distinct from 'off'"


def trail(source: str, step: str, *, question_id: str = "id", ask_number: str = "ask_number", **columns: str) -> str:
    """Return the common table expression that writes one entry for each row of `source`, in the same statement.

    All are SQL: the columns of `source` that hold the question's id and the ask number, beside organization_id, an
    expression for the step, and one for each further column of the entry. The statement has a parameter `pod`.
    """
    names = "".join(f", {name}" for name in columns)
    values = "".join(f", {value}" for value in columns.values())
    return f"""trail as (
        insert into pending_trail (question_id, ask_number, organization_id, pod, step{names})
        select {question_id}, {ask_number}, organization_id, %(pod)s::text, {step}{values}
        from {source}
        where {_IS_KEPT}
    )"""
