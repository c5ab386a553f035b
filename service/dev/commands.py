"""The commands for whoever develops the project: ``dev``, ``new``, ``rename``."""

from pathlib import Path

import click

from service.settings import Settings
from service.sqlcheck import DATABASE
from service.sqlcheck.commands import stub


@click.command()
def dev() -> None:
    """Serve on an embedded PostgreSQL, reload edited files, and check edited queries.

    Adds a demo user. Uses DATABASE_URL instead where it is set; reads .env.
    """
    import uvicorn  # noqa: PLC0415 - slow to import, and no other command wants a server

    from service.dev.checked import create_app  # noqa: PLC0415 - production does not install what it needs
    from service.dev.server import prepared  # noqa: PLC0415 - the same
    from service.server import OPTIONS, bind, serving_metrics  # noqa: PLC0415 - the same

    with prepared() as (host, port), serving_metrics(Settings.read()):
        bind(host, port).close()
        uvicorn.run(
            f"{create_app.__module__}:{create_app.__name__}",  # uvicorn reloads only what it imports by name
            factory=True,
            host=host,
            port=port,
            reload=True,
            reload_dirs=[str(Path(__file__).parents[1])],
            timeout_graceful_shutdown=2,
            **OPTIONS,
        )


@click.command()
@click.argument("name")
@click.argument("fields", nargs=-1, required=True, metavar="FIELD:TYPE...")
@click.option("--no-owner", is_flag=True, help="What is made is everybody's who is logged in.")
@click.option("--singular", help="What one of them is called; NAME without its 's' unless given.")
@DATABASE
def new(name: str, fields: tuple[str, ...], no_owner: bool, singular: str | None, database_url: str | None) -> None:  # noqa: FBT001 - click's
    """Write the files of another resource, to be edited.

    NAME is a plural, toys; types are text, integer, bigint, numeric, boolean, date, timestamptz and uuid. Writes a
    migration, five queries, models, a controller and tests, registers them, and does what `sql stub` does. Overwrites
    nothing.
    """
    from service.dev.scaffold.resource import read_resource  # noqa: PLC0415 - production has not what it needs
    from service.dev.scaffold.writing import write  # noqa: PLC0415 - the same

    for path in write(read_resource(name, fields, singular=singular, owned=not no_owner)):
        click.echo(path)
    click.get_current_context().invoke(stub, database_url=database_url)


@click.command()
@click.argument("name")
def rename(name: str) -> None:
    """Give this package another name, in every file that knows it.

    Changes no migration, and no sentence. docs/your-own.md says what else makes the project yours.
    """
    from service.dev import rename as renaming  # noqa: PLC0415 - for whoever takes the project over, once

    changed = renaming.rename(name)
    click.echo(f"{len(changed)} files changed; the commands are python -m {name} now")
