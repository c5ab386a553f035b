"""`remove`: removes a feature, and later its tables."""

import shutil
from pathlib import Path

import pytest

from service.dev.scaffold.removal import remove
from service.dev.scaffold.resource import ScaffoldError, read_resource
from service.dev.scaffold.writing import write
from tests.support.git import commit, git
from tests.support.processes import ROOT
from tests.support.trees import Tree

# Those in the table of docs/your-own.md that this tree still has.
PARTS = [part for part in ("fast_path", "replica", "sqlbook", "traces") if (ROOT / "service" / part).exists()]
pytestmark = pytest.mark.slow  # each copies the whole tree


def files(root: Path) -> dict[Path, bytes]:
    return {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def changed(root: Path, before: dict[Path, bytes]) -> set[str]:
    """Return the paths that differ from `before`; of folders that came or went, the folder alone."""
    after = files(root)
    paths = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    return {str(Path(*path.parts[:2])) if path.parts[0] in {"service", "sql", "tests"} else str(path) for path in paths}


def test_new_and_remove_touch_only_listed_places(whole_tree: Tree) -> None:
    root = whole_tree.path
    before = files(root)
    number = max(int(path.name[:4]) for path in root.glob("migrations/*.sql")) + 1

    write(read_resource("throwaways", ["label:text"]), root)

    migration = f"migrations/{number:04}_create_throwaways"
    assert changed(root, before) == {
        *(f"{migration}.sql", f"{migration}.rollback.sql", "README.md", "docs/changelog.md"),
        *("service/throwaways", "sql/throwaways", "tests/throwaways", "service/app.py"),
    }
    remove("throwaways", root)
    assert changed(root, before) == {f"{migration}.sql", f"{migration}.rollback.sql"}


def test_lock_file_of_an_editor_is_no_module(whole_tree: Tree) -> None:
    """Emacs makes a link to nowhere beside the file."""
    lock = whole_tree.path / "service/users/.#controllers.py"
    lock.symlink_to("ada@host.123:456")

    write(read_resource("throwaways", ["label:text"]), whole_tree.path)

    assert Path("service/throwaways") in remove("throwaways", whole_tree.path)


def test_drop_writes_migration_and_rollback(whole_tree: Tree) -> None:
    write(read_resource("throwaways", ["label:text"]), whole_tree.path)
    [created] = whole_tree.path.glob("migrations/*_create_throwaways.sql")

    *_, migration, rollback = remove("throwaways", whole_tree.path, drop=True)

    assert "\ndrop table throwaways;\n" in (whole_tree.path / migration).read_text()
    assert f"\n-- depends: {created.stem}\n" in (whole_tree.path / migration).read_text()
    assert "create table throwaways (" in (whole_tree.path / rollback).read_text()


def test_rollback_of_drop_repeats_later_changes_of_the_table(whole_tree: Tree) -> None:
    write(read_resource("throwaways", ["label:text"]), whole_tree.path)
    later = whole_tree.path / "migrations/9000_reword.sql"
    later.write_text(
        "comment on column throwaways.id is 'New';\ncomment on table user_model is 'Owners of throwaways';\n"
    )

    *_, rollback = remove("throwaways", whole_tree.path, drop=True)

    assert (whole_tree.path / rollback).read_text().endswith("\n\ncomment on column throwaways.id is 'New';\n")


def test_drop_follows_an_earlier_removal(whole_tree: Tree) -> None:
    write(read_resource("throwaways", ["label:text"]), whole_tree.path)
    remove("throwaways", whole_tree.path)

    written = remove("throwaways", whole_tree.path, drop=True)

    assert [path.parts[0] for path in written] == ["migrations", "migrations"]


def test_only_the_link_to_a_folder_is_removed(whole_tree: Tree) -> None:
    write(read_resource("throwaways", ["label:text"]), whole_tree.path)
    folder = whole_tree.path / "sql/throwaways"
    linked = folder.rename(whole_tree.path / "linked")
    folder.symlink_to(linked)

    remove("throwaways", whole_tree.path)

    assert not folder.is_symlink()
    assert list(linked.iterdir())


def test_removal_that_failed_can_be_repeated(whole_tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path) -> None:
        raise OSError(f"{path} is read-only")

    write(read_resource("throwaways", ["label:text"]), whole_tree.path)
    with monkeypatch.context() as failing:
        failing.setattr(shutil, "rmtree", fail)
        with pytest.raises(OSError, match="is read-only"):
            remove("throwaways", whole_tree.path, drop=True)

    *paths, _, _ = remove("throwaways", whole_tree.path, drop=True)

    assert Path("service/throwaways") in paths
    assert "throwaways" not in (whole_tree.path / "service/app.py").read_text()
    assert len([*whole_tree.path.glob("migrations/*_drop_throwaways.sql")]) == 1


def test_python_that_cannot_be_parsed_is_one_sentence(whole_tree: Tree) -> None:
    (whole_tree.path / "tests/broken.py").write_text("def")

    done = whole_tree.fail("python", "-m", "service", "remove", "traces")

    assert done == "Error: tests/broken.py:1: Python cannot read this: invalid syntax\n"


@pytest.mark.parametrize(
    ("name", "drop", "sentence"),
    [
        ("auth", False, r"^service/dev/\w+\.py imports service\.auth: |^service/\w+/\w+\.py imports service\.auth: "),
        ("throwaways", False, r"^service/throwaways does not exist"),
        ("throwaways", True, r"^migrations/ has no \*_create_throwaways\.sql"),
        ("http", False, r"^service/[\w/]+\.py imports service\.http: "),
        ("", False, r"^'' is not the name of a package"),
        (".", True, r"^'\.' is not the name of a package"),
        ("../docs", False, r"^'\.\./docs' is not the name of a package"),
    ],
)
def test_refused_removal_changes_nothing(whole_tree: Tree, name: str, *, drop: bool, sentence: str) -> None:
    before = files(whole_tree.path)

    with pytest.raises(ScaffoldError, match=sentence):
        remove(name, whole_tree.path, drop=drop)

    assert files(whole_tree.path) == before


def test_part_that_other_code_needs_is_not_removed(whole_tree: Tree) -> None:
    app = whole_tree.path / "service/app.py"
    app.write_text(app.read_text() + "\n\nif True:\n    fast_path_middleware\n")

    with pytest.raises(ScaffoldError, match=r"^service/app\.py needs service\.fast_path: change that first"):
        remove("fast_path", whole_tree.path)


@pytest.mark.parametrize("part", PARTS)
def test_tree_without_an_optional_part_still_works(whole_tree: Tree, part: str) -> None:
    sources = {path: path.read_text() for path in whole_tree.path.glob("service/**/*.py") if part not in path.parts}

    whole_tree.run(*whole_tree.command("remove", part))

    lost = {path: len(text.splitlines()) - len(path.read_text().splitlines()) for path, text in sources.items()}
    assert set(lost.values()) == {0, 2}  # an import and the line that uses it
    whole_tree.run("ruff", "check")
    whole_tree.run("python", "-m", "service", "openapi")
    whole_tree.test("--collect-only", "tests/pets" if (ROOT / "tests/pets").exists() else "tests/users")


def test_removed_resource_leaves_no_difference_to_git(whole_tree: Tree) -> None:
    """What a person sees who tries `new` and `remove` in a checkout."""
    commit(whole_tree.path)

    whole_tree.run(*whole_tree.command("new", "throwaways", "label:text"))
    whole_tree.run(*whole_tree.command("remove", "throwaways"))

    status = git(whole_tree.path, "status", "--short").splitlines()
    assert [line[:3] for line in status] == ["?? ", "?? "]
    assert all("migrations/" in line for line in status)
