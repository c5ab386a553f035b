"""Every kind of refusal that the service knows."""

from collections.abc import Iterator

from service.problems import Problem


def all_problems(of: type[Problem] = Problem) -> Iterator[type[Problem]]:
    """Yield every kind of refusal that the service knows."""
    for problem in of.__subclasses__():
        yield problem
        yield from all_problems(problem)


# Those that say something else than the one that they are a kind of.
KINDS = [problem for problem in all_problems() if "type" in vars(problem)]
