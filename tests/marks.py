"""Which tests an expression of pytest's -m selects."""

from collections.abc import Iterator

from _pytest.mark.expression import Expression


class UnknownMarkError(Exception):
    """A mark of which it is not said yet whether a test has it."""


def selections(expression: Expression, marks: dict[str, bool]) -> Iterator[bool]:
    """Whether an expression selects a test, for each combination of the marks that are not given."""

    def has(name: str, /, **_: object) -> bool:
        if name not in marks:
            raise UnknownMarkError(name)
        return marks[name]

    try:
        yield expression.evaluate(has)
    except UnknownMarkError as unknown:
        for there in (False, True):
            yield from selections(expression, marks | {unknown.args[0]: there})


def wants_gpu(markexpr: str) -> bool:
    """Whether pytest's -m selects tests marked gpu, and no others."""
    try:
        expression = Expression.compile(markexpr)
    except Exception:  # pytest itself refuses it; its error has another class in each version
        return False
    return any(selections(expression, {'gpu': True})) and not any(selections(expression, {'gpu': False}))
