"""squawk, a linter for migrations."""

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from service.migrate import MigrationError
from service.sqlcheck.findings import Finding

# Rules that `lock_rules` covers better by the catalogue: whether a table exists, what a DO block does.
COVERED_RULES = {
    *("adding-field-with-default", "adding-foreign-key-constraint", "adding-not-nullable-field"),
    *("adding-serial-primary-key-field", "ban-alter-domain-with-add-constraint", "ban-disable-trigger"),
    *("changing-column-type", "constraint-missing-not-valid", "disallowed-unique-constraint"),
    *("require-concurrent-index-creation", "syntax-error"),  # PostgreSQL has accepted the statement
}
NO_FILES = "Failed to find files"  # .squawk.toml excludes all of them


def squawk(directory: Path, migrations: Mapping[Path, bool]) -> dict[str, list[Finding]]:
    """Return the findings of squawk, by file name.

    `-- squawk-ignore rule` accepts a finding; `.squawk.toml` next to the folder excludes rules. Raises MigrationError.

    :param migrations: the path of each migration, and whether it is a transaction
    """
    found: dict[str, list[Finding]] = {}
    for transactional in set(migrations.values()):
        paths = [path for path, is_transaction in migrations.items() if is_transaction == transactional]
        for each in _run(directory.parent, paths, transactional=transactional):
            path, rule = Path(each["file"]), each["rule_name"]
            if rule not in COVERED_RULES:
                sentence = f"{each['message'].replace('`', '').rstrip('.')} ({rule})"
                # squawk counts lines from 0.
                finding = Finding(f"{directory.name}/{path.name}", each["line"] + 1, sentence, "squawk")
                found.setdefault(path.name, []).append(finding)
    return found


def _run(root: Path, paths: list[Path], *, transactional: bool) -> list[dict[str, Any]]:
    program = shutil.which("squawk", path=str(Path(sys.executable).parent)) or shutil.which("squawk")
    if not program:
        raise ModuleNotFoundError(name="squawk")
    settings = root / ".squawk.toml"
    config = ["--config", str(settings)] if settings.exists() else []
    transaction = "--assume-in-transaction" if transactional else "--no-assume-in-transaction"
    command = [program, "--reporter=json", *config, transaction, *map(str, paths)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)  # noqa: S603 - a fixed command, and paths of migrations
    message = done.stderr.decode(errors="replace").strip()
    if message.startswith(NO_FILES):
        return []
    try:
        reported: list[dict[str, Any]] = json.loads(done.stdout)
    except ValueError:
        raise MigrationError(f"squawk failed: {message.partition(chr(10))[0]}") from None
    return reported
