"""Run every linter and type check except the named ones (`make check`), and print the output of those that fail."""

import contextlib
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent
WORKFLOWS = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob(".github/workflows/*.yml"))


def release_before() -> list[str]:
    """Return the option that checks compatibility with the commit at which this branch left main.

    It is empty on main, without git, and if the package had another name there.
    """
    head = git("rev-parse", "HEAD")
    bases = [git("merge-base", main, "HEAD") for main in ("origin/main", "main")]
    base = next((base for base in bases if base not in {"", head}), None)
    return ["--compatible-with", base] if base and git("ls-tree", "--name-only", base, "service") else []


def git(*arguments: str) -> str:
    """Return git's output, or an empty string if it fails."""
    with contextlib.suppress(OSError):
        return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
    return ""


CHECKS = {
    "mypy": ["python", "-m", "mypy"],
    "sql check": ["python", "-m", "service", "sql", "check", "--rollbacks", *release_before()],
    "sqlfluff": ["python", "-m", "sqlfluff", "lint", "--nocolor", "sql", "migrations"],
    "lint-imports": ["python", f"{BIN}/lint-imports", "--no-logo"],
    "ruff check": ["ruff", "check"],
    "ruff format": ["ruff", "format", "--diff"],
    "hadolint": ["hadolint", "--no-color", "Dockerfile"],
    "actionlint": ["actionlint", *WORKFLOWS],
    "zizmor": ["zizmor", "--offline", "--quiet", "--pedantic", "--strict-collection", *WORKFLOWS],
    # The installed packages satisfy pyproject.toml: nothing would have to change.
    "lock": [
        *("uv", "pip", "install", "--offline", "--dry-run", "--python", f"{BIN}/python"),
        *("--requirement", "pyproject.toml", "--group", "dev"),
    ],
}
# They have no wheels for some platforms; see pyproject.toml.
OPTIONAL = {"actionlint", "hadolint"}


def check(name: str) -> str:
    """Run one check, print its result, and return passed, failed or skipped."""
    tool, *arguments = CHECKS[name]
    if tool in OPTIONAL and not (BIN / tool).exists():
        outcome = "failed" if os.environ.get("CI") == "true" else "skipped"  # CI's platform has all wheels
        print(f"{outcome:8} {name}: has no wheel for this platform", flush=True)
        return outcome
    began = time.monotonic()
    done = subprocess.run(
        [BIN / tool, *arguments],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    outcome = "failed" if done.returncode else "passed"
    complaint = f"\n{done.stdout.strip()}\n" if done.returncode else ""
    print(f"{outcome:8} {name} ({time.monotonic() - began:.1f} s){complaint}", flush=True)
    return outcome


def main() -> int:
    """Run the checks, one per core at a time; return the exit status."""
    if {"-h", "--help"} & {*sys.argv[1:]}:
        print(f"Usage: python .ci/check.py [CHECK]...\n\n{__doc__}\n\nChecks: {', '.join(CHECKS)}")
        return 0
    began = time.monotonic()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        outcomes = list(pool.map(check, [name for name in CHECKS if name not in sys.argv[1:]]))
    passed, failed, skipped = (outcomes.count(outcome) for outcome in ("passed", "failed", "skipped"))
    print(f"{passed} passed, {failed} failed, {skipped} skipped in {time.monotonic() - began:.1f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
