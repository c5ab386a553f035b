"""The command ``python -m service sql book``."""

from pathlib import Path

import click

from service.sqlcheck import DATABASE, DIRECTORY, progress_on_terminal, reported_errors

# The command line imports this module without the development dependencies, so the function imports them.
# ruff: noqa: PLC0415


@click.command()
@DIRECTORY
@DATABASE
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("book"),
    show_default=True,
    help="The folder to write to; an existing book is replaced.",
)
@click.option("--scale", is_flag=True, help="Also measure sizes and plans on a million rows.")
@click.option("--since", metavar="REF", help="Instead, print the changes since this git revision as Markdown.")
def book(directory: Path, database_url: str | None, out: Path, scale: bool, since: str | None) -> None:  # noqa: FBT001 - click passes arguments by name
    """Document the database as HTML pages.

    They show the schema, queries, migrations and endpoints, and open from disk; see docs/book.md.
    """
    with reported_errors():
        from service.sqlbook import changes, gathering, pages
        from service.sqlcheck import Tree, scratch_database

        tree = Tree.read(directory)
        progress = progress_on_terminal(gathering.steps(tree, seeded=scale) * (2 if since else 1))
        with scratch_database(database_url) as server:
            if since:
                click.echo(changes.since(since, tree, server, progress=progress), nl=False)
                return
            written = gathering.gather(tree, server, seeded=scale, progress=progress)
        number = pages.write(written, out)
    findings = "finding" if len(written.findings) == 1 else "findings"
    click.echo(f"{number} pages, {len(written.findings) or 'no'} {findings}: open {out / 'index.html'}")
