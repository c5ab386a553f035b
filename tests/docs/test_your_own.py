"""The commands of docs/your-own.md, run in order, leave a tree that passes its checks and can take later fixes."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.git import ENVIRONMENT, commit, git
from tests.support.pages import commands
from tests.support.processes import ROOT
from tests.support.trees import BIN, Tree

PAGE = "docs/your-own.md"
# Later changes of the original: infrastructure, a query, a page.
LATER = {
    "service/http/etags.py": ("\nimport re\n", "\n# A later fix.\nimport re\n"),
    "sql/users/show_me.sql": ("-- users.show_me: ", "-- users.show_me: later, "),
    "docs/clients.md": ("# Typed clients\n", "# Typed clients, later\n"),
}
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif((ROOT / "garden").exists(), reason="the package has that name: the page has been followed"),
    pytest.mark.skipif((ROOT / "sql" / "plants").exists(), reason="plants are there: the page has been followed"),
    pytest.mark.skipif(not (ROOT / "sql" / "pets").exists(), reason="the pets are gone: the page has been followed"),
]


def shell(folder: Path, script: str) -> None:
    """Run a page's commands, each of which must succeed."""
    environment = ENVIRONMENT | {"PATH": f"{BIN}:{os.environ['PATH']}", "HOME": str(folder.parent)}
    done = subprocess.run(
        ["/bin/bash", "-euc", script], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_copy_is_renamed_extended_reduced_and_upgraded(whole_tree: Tree) -> None:
    upstream, copy = whole_tree.path.rename(whole_tree.path.with_name("upstream")), whole_tree.path
    commit(upstream)
    shell(upstream, f"git clone --quiet . {copy}")
    rename, *_ = commands(copy / PAGE)
    shell(copy, rename)
    # After the first step, the page in the tree uses the new name.
    _, new, remove, drop, upgrade = commands(copy / PAGE)

    for command in (new, remove, drop):
        shell(copy, command)
    commit(copy)
    for path, (old, later) in LATER.items():
        text = (upstream / path).read_text()
        assert old in text
        (upstream / path).write_text(text.replace(old, later, 1))
    commit(upstream)
    shell(copy, upgrade)

    assert git(copy, "status", "--short") == ""
    for path, (_, later) in LATER.items():
        assert later in (copy / path.replace("service/", "garden/")).read_text()
    whole_tree.check(package="garden")
    whole_tree.test("tests/plants", "tests/sql", "tests/auth/test_guard.py", "tests/dev", "tests/test_cli.py")


@pytest.mark.skipif(not (ROOT / "sql/citus.sql").exists(), reason="Citus is removed already")
def test_tree_without_citus_has_no_finding_about_shards(whole_tree: Tree) -> None:
    page = (ROOT / PAGE).read_text()
    [paragraph] = [each for each in page.split("\n\n") if "will not run on Citus" in each]
    file, check, tests, job, workflow, module, test = re.findall(r"`([^`\s]+)`", paragraph)
    root = whole_tree.path
    query = root / "sql/users/show_me.sql"
    query.write_text(query.read_text().replace("caller.user_id = $2", "$2::uuid is not null"))
    assert f"[{check}]" in whole_tree.fail(*whole_tree.command("sql", "check"))

    (root / file).unlink()
    shutil.rmtree(root / tests)
    cut(root / workflow, rf"^  {job}:\n(    .*\n|\n)+")
    cut(root / module, rf"^def {test}\(.*\n(    .*\n|\n)+")

    assert f"[{check}]" not in whole_tree.fail(*whole_tree.command("sql", "check"))
    whole_tree.run("actionlint", workflow)
    whole_tree.test(module, "tests/ci")


def cut(path: Path, pattern: str) -> None:
    """Remove the only match of a pattern from a file."""
    text, count = re.subn(pattern, "", path.read_text(), flags=re.MULTILINE)
    assert count == 1, path
    path.write_text(text)
