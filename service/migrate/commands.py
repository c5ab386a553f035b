"""The command ``migrate``."""

import click

from service.settings import database_url


@click.command()
@click.argument("action", type=click.Choice(["apply", "status", "rollback"]), default="apply")
@click.option(
    "--count", type=click.IntRange(min=1), default=1, show_default=True, help="Number of migrations to roll back."
)
def migrate(action: str, count: int) -> None:
    """Apply, list or roll back migrations.

    Safe to run concurrently, and after a run that was killed.
    """
    from service.migrate import runner  # noqa: PLC0415 - yoyo is slow to import

    url = database_url()
    if action == "apply":
        runner.apply(url, report=click.echo)
    elif action == "rollback":
        runner.rollback(url, count=count, report=click.echo)
    else:
        states = runner.status(url)
        for each in states:
            click.echo(f"{each.state:8} {each.id} {each.applied_at or ''}".rstrip())
        # The exit status tells a deployment to migrate. A database that is ahead of the code is not an error.
        if any(each.state in {"pending", "edited"} for each in states):
            raise SystemExit(1)
