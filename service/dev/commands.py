"""The development commands: ``dev``, ``new``, ``remove`` and ``rename``."""

from pathlib import Path

import click

from service.settings import Settings
from service.sqlbook.commands import book
from service.sqlcheck import DATABASE, reported_errors
from service.sqlcheck.commands import sql, stub


@click.command()
def dev() -> None:
    """Serve with an embedded PostgreSQL and automatic reload.

    Also checks edited queries, and adds a demo user. Reads .env. If DATABASE_URL is set, uses that database instead of
    the embedded one.
    """
    import uvicorn  # noqa: PLC0415 - slow to import, and only this command needs a server

    from service.postgres import accept_broken_files  # noqa: PLC0415 - the same

    accept_broken_files()  # first, because modules read their queries on import; dev reports errors while it serves
    from service.dev.checked_pool import create_app  # noqa: PLC0415 - needs development dependencies
    from service.dev.server import prepare  # noqa: PLC0415 - the same
    from service.server import OPTIONS, bind, serving_metrics  # noqa: PLC0415 - the same

    with prepare() as (host, port), serving_metrics(Settings.read()):
        bind(host, port).close()
        uvicorn.run(
            f"{create_app.__module__}:{create_app.__name__}",  # to reload, uvicorn must import it by name
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
@click.option("--no-owner", is_flag=True, help="Let all users share the rows; by default, each row belongs to a user.")
@click.option("--singular", help="The singular of NAME, if irregular; toys, boxes and categories are regular.")
@DATABASE
def new(name: str, fields: tuple[str, ...], no_owner: bool, singular: str | None, database_url: str | None) -> None:  # noqa: FBT001 - click passes arguments by name
    """Write the files of a new resource.

    NAME is a plural such as toys; the types are text, integer, bigint, numeric, boolean, date, timestamptz and uuid.
    Writes a migration, five queries, models, a controller and tests, adds the controller to app.py and lines to README
    and changelog, and runs `sql stub`. Overwrites nothing.
    """
    with reported_errors():
        from service.dev.scaffold.resource import ScaffoldError, read_resource  # noqa: PLC0415 - needs development dependencies
        from service.dev.scaffold.writing import write  # noqa: PLC0415 - the same

        if name == "kites":  # a second one would have the same paths
            raise ScaffoldError("The example in tests/support/kites.py has the name 'kites': choose another one")
        for path in write(read_resource(name, fields, singular=singular, owned=not no_owner)):
            click.echo(path)
    click.get_current_context().invoke(stub, database_url=database_url)


@click.command()
@click.argument("name")
@click.option("--drop", is_flag=True, help="Also write a migration that drops its tables.")
@DATABASE
def remove(name: str, drop: bool, database_url: str | None) -> None:  # noqa: FBT001 - click passes arguments by name
    """Remove the feature or optional part NAME.

    Removes its code, queries and tests, and its lines in app.py, README and changelog.

    The running release still uses the tables: deploy without the feature first, then run this again with --drop, and
    deploy the migration. If nothing is deployed yet, use --drop at once.
    """
    with reported_errors():
        from service.dev.scaffold.removal import remove as remove_feature  # noqa: PLC0415 - the same

        for path in remove_feature(name, drop=drop):
            click.echo(path)
    click.get_current_context().invoke(stub, database_url=database_url)


@click.command()
@click.argument("name")
def rename(name: str) -> None:
    """Rename this package in code, commands and documentation.

    Migrations do not change. docs/your-own.md lists what to edit by hand.
    """
    from service.dev import renaming  # noqa: PLC0415 - rarely used

    changed = renaming.rename(name)
    click.echo(f"Changed {len(changed)} files. Restart make dev if it is running. Run commands with: python -m {name}")


sql.add_command(book)
TOOLS = (dev, new, remove, rename, sql)
