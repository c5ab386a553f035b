"""Commands that run in this process."""

from click.testing import CliRunner, Result

from service.cli import main

NOWHERE = "postgresql://user:secret@/none?host=/nonexistent"


def invoke(*arguments: str, **variables: str) -> Result:
    """Run a command in this process, with no settings but `variables`."""
    none = dict.fromkeys(["DATABASE_URL", "FIRST_SUPERUSER_EMAIL", "FIRST_SUPERUSER_PASSWORD"])
    return CliRunner().invoke(
        main, arguments, env=none | variables, catch_exceptions=False, prog_name="python -m service"
    )


def assert_refused(result: Result, sentence: str) -> None:
    """Check that the command fails with one line that begins with `sentence`."""
    assert result.stderr.startswith(sentence)
    assert len(result.stderr.splitlines()) == 1
    assert result.exit_code == 1
    assert result.stdout == ""
