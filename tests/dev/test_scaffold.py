"""`new`: writes the files of a resource."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from service.cli import main
from service.dev.scaffold.removal import remove
from service.dev.scaffold.resource import TYPES, ScaffoldError, read_resource
from service.dev.scaffold.writing import write
from tests.support.trees import Tree

FIELDS = ["throwaway_name:text", "pieces:integer", "broken:boolean"]
LONG = "things_with_very_long_names"
EVERYTHING = [f"a_{name}:{name}" for name in TYPES]


def new(
    root: Path, name: str = "throwaways", *fields: str, singular: str | None = None, owned: bool = True
) -> list[Path]:
    return write(read_resource(name, fields or FIELDS, singular=singular, owned=owned), root)


def files(root: Path) -> dict[Path, bytes]:
    return {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_command_lists_what_it_wrote(whole_tree: Tree) -> None:
    said = whole_tree.run(*whole_tree.command("new", "shared_things", *EVERYTHING, "age:integer", "--no-owner"))

    [migration] = whole_tree.path.glob("migrations/*_create_shared_things.sql")
    assert f"migrations/{migration.name}" in said.splitlines()
    assert said.splitlines()[-1].startswith("service/sql.pyi: ")
    assert "user_id" not in migration.read_text()


def test_model_without_text_needs_no_annotated(whole_tree: Tree) -> None:
    new(whole_tree.path, "throwaways", "broken:boolean")

    assert "Annotated" not in (whole_tree.path / "service/throwaways/models.py").read_text()


def test_new_returns_each_written_file(whole_tree: Tree) -> None:
    before = files(whole_tree.path)

    written = new(whole_tree.path)

    after = files(whole_tree.path)
    assert set(written) == {path for path in after if after[path] != before.get(path)}
    assert before.keys() <= after.keys()


def test_readme_and_changelog_name_the_resource(whole_tree: Tree) -> None:
    new(whole_tree.path, "lost_keys")

    assert (
        "| `POST /lost-keys/create`, `GET /lost-keys/me` | add a lost key; list yours, page by page |\n"
        "| `GET`, `PATCH`, `DELETE /lost-keys/{id}` | one lost key, with `ETag`, `If-None-Match` and `If-Match` |\n"
        "| `GET /health/live`"
    ) in (whole_tree.path / "README.md").read_text()
    assert "## Unreleased\n\n- Lost keys: `/lost-keys`.\n- " in (whole_tree.path / "docs" / "changelog.md").read_text()


def test_migration_follows_the_newest(whole_tree: Tree) -> None:
    (whole_tree.path / "migrations" / "0041_add_nothing.sql").write_text("select 1;")

    [path, rollback, *_] = new(whole_tree.path)

    assert [str(path), str(rollback)] == [
        "migrations/0042_create_throwaways.sql",
        "migrations/0042_create_throwaways.rollback.sql",
    ]
    assert "-- depends: 0041_add_nothing\n" in (whole_tree.path / path).read_text()


@pytest.mark.parametrize(
    "path",
    [
        "service/throwaways/notes.txt",
        "service/throwaways.py",
        "sql/throwaways/find_throwaway.sql",
        "tests/throwaways/test_throwaways.py",
    ],
)
def test_existing_file_is_not_overwritten(whole_tree: Tree, path: str) -> None:
    (whole_tree.path / path).parent.mkdir(exist_ok=True)
    (whole_tree.path / path).write_text("mine")
    before = files(whole_tree.path)

    with pytest.raises(ScaffoldError, match="already exists; nothing was written"):
        new(whole_tree.path)

    assert files(whole_tree.path) == before


@pytest.mark.slow
def test_table_of_an_earlier_migration_is_refused(whole_tree: Tree) -> None:
    [created, *_] = new(whole_tree.path)
    remove("throwaways", whole_tree.path)
    before = files(whole_tree.path)

    with pytest.raises(ScaffoldError, match=f"^{created} already creates the table throwaways.*; nothing was written$"):
        new(whole_tree.path)

    assert files(whole_tree.path) == before


@pytest.mark.slow
def test_dropped_table_can_be_created_again(whole_tree: Tree) -> None:
    new(whole_tree.path)
    remove("throwaways", whole_tree.path, drop=True)

    [again, *_] = new(whole_tree.path)

    assert "create table throwaways (" in (whole_tree.path / again).read_text()


def test_nothing_stays_if_a_file_cannot_be_written(whole_tree: Tree) -> None:
    before = set(whole_tree.path.rglob("*"))
    link = whole_tree.path / "tests/throwaways"
    link.symlink_to("nowhere")

    with pytest.raises(FileExistsError):
        write(read_resource("throwaways", ["label:text"]), whole_tree.path)

    assert set(whole_tree.path.rglob("*")) == before | {link}


def test_migration_without_a_number_is_refused(whole_tree: Tree) -> None:
    (whole_tree.path / "migrations/zoo.sql").write_text("select 1;")

    with pytest.raises(ScaffoldError, match=r"^the newest of migrations/, zoo, does not begin with a number$"):
        write(read_resource("throwaways", ["label:text"]), whole_tree.path)


def test_nothing_is_written_if_registration_fails(whole_tree: Tree) -> None:
    app = whole_tree.path / "service" / "app.py"
    app.write_text(app.read_text().replace("CONTROLLERS = [", "CONTROLLERS = (").replace("\nfrom ", "\nfrom  "))
    before = files(whole_tree.path)

    with pytest.raises(ScaffoldError, match=r"service/app\.py has changed too much"):
        new(whole_tree.path)

    assert files(whole_tree.path) == before


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["Toys", "throwaway_name:text"], "'Toys' is not a valid name"),
        (["toys__x", "throwaway_name:text"], "'toys__x' is not a valid name"),
        (["../throwaways", "throwaway_name:text"], "'../throwaways' is not a valid name"),
        (["throwaways", "toyName:text"], "'toyName' is not a valid name"),
        (["throwaways", ":text"], "'' is not a valid name"),
        (
            ["throwaways", f"{'a' * 50}:text"],
            f"'throwaways_{'a' * 50}_check' would be longer than PostgreSQL's 63 bytes",
        ),
        (["sheep", "age:integer"], "'sheep' must be a plural"),
        (
            ["throwaways", "throwaway_name"],
            "'throwaway_name': a field is written name:type, and the types are text, integer",
        ),
        (["throwaways", "throwaway_name:string"], "'throwaway_name:string': a field is written name:type"),
        (["throwaways", "order:integer"], "'order' is taken"),
        (["orders", "order:integer"], "'order' is taken"),
        (["throwaways", "lambda:integer"], "'lambda' is taken"),
        (["throwaways", "id:integer"], "'id' is taken"),
        (["throwaways", "user:uuid"], "'user' is taken"),
        (["references", "age:integer"], "'references' is taken"),
        (["strs", "age:integer"], "'str' is taken"),
        (["requests", "age:integer"], "'request' is taken"),
        (["docs", "age:integer"], "'docs' is taken"),
        (["throwaways", "date:date"], "'date' is taken"),
        (["shirts", "size:text"], "'size' is taken"),
        (["throwaways", "after:date"], "'after' is taken"),
        (["throwaways", "session:uuid"], "'session' is taken"),
        (["throwaways", "versions:integer"], "'versions' is taken"),
        (["throwaways", "self:text"], "'self' is taken"),
        (["callers", "age:integer"], "'caller' is taken"),
        (["others", "age:integer"], "'other' is taken"),
        (["sessions", "age:integer"], "'sessions' is taken"),
        (["groups", "age:integer"], "'groups' is taken"),
        (["metrics", "age:integer"], "'metrics' is taken"),
        (["texts", "body:text"], "'Text' is the name of another class"),
        (["moments", "at:timestamptz"], "'Moment' is the name of another class"),
        (["amounts", "net:numeric"], "'Amount' is the name of another class"),
        (["throwaways", "age:integer", "age:bigint"], "'age' is given twice"),
    ],
)
def test_impossible_resource_is_refused_in_one_line(arguments: list[str], sentence: str) -> None:
    name, *fields = arguments

    with pytest.raises(ScaffoldError) as refused:
        read_resource(name, fields)

    assert str(refused.value).startswith(sentence)
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("plural", "singular"),
    [
        ("toys", "toy"),
        ("causes", "cause"),
        ("categories", "category"),
        ("movies", "movie"),
        ("ties", "tie"),
        ("open_boxes", "open_box"),
        ("classes_of_matches", "classes_of_match"),
    ],
)
def test_singular_follows_english_spelling(plural: str, singular: str) -> None:
    assert read_resource(plural, ["age:integer"]).singular == singular


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["users", "age:integer", "--singular", "person"], "service/users already exists; nothing was written"),
        (["kites", "age:integer"], "The example in tests/support/kites.py has the name 'kites': choose another one"),
    ],
)
def test_command_refuses_impossible_resource(arguments: list[str], sentence: str) -> None:
    result: Result = CliRunner().invoke(main, ["new", *arguments])

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"Error: {sentence}\n"
