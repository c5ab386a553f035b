"""All problem types of the service."""

from collections.abc import Iterator

from service.problems import Problem


def all_problems(of: type[Problem] = Problem) -> Iterator[type[Problem]]:
    """Yield every problem class."""
    for problem in of.__subclasses__():
        yield problem
        yield from all_problems(problem)


# Those that differ from their base class.
KINDS = [problem for problem in all_problems() if "type" in vars(problem)]
