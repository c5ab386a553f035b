"""The recipes of docs/migrations.md apply, roll back and pass the checks, and each release works on the next schema."""

import os
import re
import subprocess
from pathlib import Path
from shlex import quote

import attrs
import psycopg
import pytest

from service import migrate
from tests.docs.test_tutorial import STEPS
from tests.support.git import commit
from tests.support.pages import NEWEST, follow
from tests.support.processes import ROOT, Running, Start, run
from tests.support.trees import BIN, Tree

pytestmark = pytest.mark.skipif((ROOT / "sql" / "toys").exists(), reason="toys are there: the tutorial was followed")
PAGE = (ROOT / "docs/migrations.md").read_text(encoding="utf-8")
FILE = re.compile(
    r"^-- \d{4}_(?P<name>\w+)(?P<rollback>\.rollback)?\.sql(?:, release (?P<release>\d))?\n"
    r"(?P<text>.*?)\n*(?=^-- \d{4}_\w+(?:\.rollback)?\.sql|^```)",
    re.MULTILINE | re.DOTALL,
)
# The page assumes this column.
SIZE = """\
create type toy_size as enum ('small', 'large');
alter table toys add column size toy_size not null default 'small';"""
NO_SIZE = "alter table toys drop column size;\ndrop type toy_size;"
CREATE_TOY, LIST_MY_TOYS, MODELS = "sql/toys/create_toy.sql", "sql/toys/list_my_toys.sql", "service/toys/models.py"
# The queries and the class of each release, by what it writes and reads.
QUERY = """\
-- toys.create_toy: creates a toy for the caller
-- $1 session  uuid  the caller's login session
-- $2 user     uuid  the caller
-- $3 toy_name text  1 to 50 characters
-- $4 maker    text  1 to 50 characters
-- returns: one Toy
with /* toys.create_toy */ caller as materialized (
    select user_id from live_session
    where session_id = $1 and user_id = $2
)

insert into toys (user_id, toy_name, title, maker)
select user_id, $3, $3, $4 from caller
returning id, {name}, maker, size, colour;
"""
TOY = '''\
class Toy:
    """A toy, as its owner sees it."""

    id: int
    {name}: str
    maker: {maker}
    size: Literal["small", "large", "huge"]
    colour: str
'''
RELEASES = {
    1: {"name": "toy_name", "maker": "str | None"},
    2: {"name": "title", "maker": "str"},
}
ROWS = """
    insert into user_model (email, hashed_password) values ('ada@example.com', ''), ('bob@example.com', '');
    insert into toys (user_id, toy_name, pieces)
    select id, 'Train', n from user_model cross join generate_series(1, 3) as n
"""


@attrs.frozen
class Recipe:
    """A migration of the page and its rollback, without a number, and the release that ships it."""

    name: str
    release: int
    text: str
    rollback: str


def shown() -> list[Recipe]:
    """Return the migrations that the page shows."""
    files = [*FILE.finditer(PAGE)]
    ups, downs = files[::2], files[1::2]
    assert [up["name"] for up in ups] == [down["name"] for down in downs if down["rollback"]]
    return [
        Recipe(up["name"], int(up["release"] or 1), up["text"], down["text"])
        for up, down in zip(ups, downs, strict=True)
    ]


def rename() -> list[Recipe]:
    """Return the migrations of a rename, which the page describes: those of a required column, and three phrases."""
    first, fill, condition, second = re.findall(
        r"`(set title = \w+|title is distinct from \w+|-- unread: ok toys\.\w+ \(.*?\))`", PAGE
    )
    accepted = {"add_title": first, "check_title": second}
    changes = {"set maker = 'unknown'": fill, "maker is null;": f"{condition};", "maker": "title"}
    recipes = []
    for each in shown():
        if "maker" in each.name:
            name, text, rollback = each.name.replace("maker", "title"), each.text, each.rollback
            for old, new in changes.items():
                text, rollback = text.replace(old, new), rollback.replace(old, new)
            recipes.append(Recipe(name, each.release, "\n".join([accepted.get(name, ""), text]).lstrip(), rollback))
    return recipes


RECIPES = [Recipe("create_size", 1, SIZE, NO_SIZE), *shown(), *rename()]


def write(folder: Path, release: int, after: str = f"{int(NEWEST[:4]) + 1:04}_create_toys") -> str:
    """Write the migrations of a release into a folder, numbered, each depending on the one before; return the last."""
    for each in [recipe for recipe in RECIPES if recipe.release == release]:
        name = f"{int(after[:4]) + 1:04}_{each.name}"
        text = re.sub(rf"\b\d{{4}}_{each.name}\b", name, each.text)
        (folder / f"{name}.sql").write_text(f"-- depends: {after}\n{text}\n")
        (folder / f"{name}.rollback.sql").write_text(f"{each.rollback}\n")
        after = name
    return after


def test_page_has_the_recipes() -> None:
    assert {each.release for each in RECIPES} == RELEASES.keys()
    assert {each.name for each in RECIPES} >= {"fill_title", "drop_pieces", "add_huge", "index_toys_by_name"}


@pytest.mark.slow
def test_recipes_apply_to_rows_roll_back_and_apply_again(whole_tree: Tree, own_database_url: str) -> None:
    folder = whole_tree.path / "migrations"
    follow(whole_tree, STEPS, run=False)
    migrate.apply(own_database_url, folder, report=lambda _: None)
    with psycopg.connect(own_database_url) as connection:
        connection.execute(ROWS)
    write(folder, 2, write(folder, 1))

    applied = migrate.apply(own_database_url, folder, report=lambda _: None)

    assert migrate.rollback(own_database_url, folder, count=len(applied), report=lambda _: None) == applied[::-1]
    assert migrate.apply(own_database_url, folder, report=lambda _: None) == applied
    with psycopg.connect(own_database_url) as connection:
        rows = connection.execute("select distinct maker, title, colour, size::text from toys").fetchall()
    assert rows == [("unknown", "Train", "red", "small")]


@pytest.mark.slow
def test_recipes_pass_the_checks_of_both_releases(whole_tree: Tree) -> None:
    root = whole_tree.path
    follow(whole_tree, STEPS, run=False)
    last = f"{int(NEWEST[:4]) + 1:04}_create_toys"
    for release, words in RELEASES.items():
        commit(root)
        last = write(root / "migrations", release, last)
        (root / CREATE_TOY).write_text(QUERY.format(**words))
        edit(root / LIST_MY_TOYS, r"toys\.id, .*", f"toys.id, toys.{words['name']}, toys.maker, toys.size, toys.colour")
        edit(root / MODELS, r"class Toy:\n(.+\n|\n(?=    ))+", TOY.format(**words))
        edit(root / MODELS, r"^from typing import .*", "from typing import Annotated, Literal")

        whole_tree.run(*whole_tree.command("sql", "stub"))
        whole_tree.run(*whole_tree.command("sql", "check", "--rollbacks", "--compatible-with", "HEAD"))

    written = sorted(path.name for path in (root / "migrations").glob("*.sql") if path.name > NEWEST)
    whole_tree.run("python", "-m", "sqlfluff", "lint", "--nocolor", *(f"migrations/{name}" for name in written))


@pytest.mark.slow
def test_edited_migration_is_applied_after_a_rollback(checkout: Path, start: Start) -> None:
    """With the commands of the page."""
    [reset] = re.findall(r"`(rm .*?)`", PAGE)
    [roll_back] = re.findall(r"^DATABASE_URL='.*?' (python .*)$", PAGE, re.MULTILINE)
    migration = checkout / "migrations/9999_create_kites.sql"
    migration.write_text(f"-- depends: {NEWEST}\ncreate table kites (id bigint);\n")
    migration.with_suffix(".rollback.sql").write_text("drop table kites;\n")
    with migration.open("a") as file:
        dev = start("dev", cwd=checkout)
        dev.wait_until_ready()
        url = printed_url(dev)
        shell(checkout, f"DATABASE_URL={quote(url)} {roll_back}")
        dev.end()
        print("comment on table kites is 'Kites.';", file=file, flush=True)
        dev = start("dev", cwd=checkout)
        dev.wait_until_ready()
        dev.end()
        print("comment on table kites is 'All kites.';", file=file, flush=True)

    refused = run("dev", cwd=checkout)
    shell(checkout, reset)
    start("dev", cwd=checkout).wait_until_ready()

    assert "was edited after it was applied" in refused.stderr


def printed_url(dev: Running) -> str:
    """Return the URL of the database that `dev` prints."""
    [url] = re.findall(r"^Database .*'(postgresql:.*)'$", dev.stdout, re.MULTILINE)
    return str(url)


def shell(folder: Path, command: str) -> None:
    """Run a command of the page."""
    path = f"{BIN}:{os.environ['PATH']}"
    subprocess.run(["/bin/sh", "-c", command], cwd=folder, env={"PATH": path}, check=True, stdout=subprocess.DEVNULL)


def edit(path: Path, pattern: str, new: str) -> None:
    """Replace the only match of a pattern in a file."""
    text, count = re.subn(pattern, lambda _: new, path.read_text(), flags=re.MULTILINE)
    assert count == 1, path
    path.write_text(text)
