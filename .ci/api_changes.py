"""List the changes of the OpenAPI document since a git revision, each as breaking or harmless for callers.

    python .ci/api_changes.py [REVISION [--github]]

The default revision is the last release: the newest tag or, without one, the previous commit. A change is breaking if
a client generated from the older document can fail: the service refuses what it sends, or omits what it expects.
Descriptions, examples and order do not count. The exit status is 0 for any change, because a breaking one can be
intended, but must not go unnoticed; it is 1 if the documents cannot be compared. Other tools for OpenAPI 3.1 are not on
PyPI or npm.
"""

import contextlib
import io
import json
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from typing_extensions import override

ROOT = Path(__file__).parent.parent
Json = Mapping[str, Any]
NOTHING: Json = {}
# Keywords of limits: 1 if a larger value allows more, -1 if it allows less.
LIMITS = {
    **dict.fromkeys(("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"), 1),
    **dict.fromkeys(("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties", "uniqueItems"), -1),
}


@dataclass(frozen=True)
class Change:
    """A difference, and whether it breaks callers."""

    place: str
    sentence: str
    breaking: bool

    @override
    def __str__(self) -> str:
        return f"{'breaking' if self.breaking else 'harmless'}  {self.place}: {self.sentence}"


@dataclass(frozen=True)
class Schemas:
    """A schema before and after: of a request (`sent`) or of a response."""

    documents: tuple[Json, Json]
    place: str
    sent: bool
    seen: frozenset[tuple[str, str]] = frozenset()

    def change(self, sentence: str, *, narrower: bool) -> Change:
        """Return a change. A narrower request schema is breaking, and so is a wider response schema."""
        return Change(self.place, sentence, breaking=narrower == self.sent)

    def compare(self, old: Json, new: Json) -> Iterator[Change]:
        """Compare two schemas, including nested ones."""
        if "$ref" in old or "$ref" in new:
            names = str(old.get("$ref")), str(new.get("$ref"))
            if names in self.seen:
                return
            seen = replace(self, seen=self.seen | {names})
            yield from seen.compare(_resolved(self.documents[0], old), _resolved(self.documents[1], new))
            return
        yield from self._kinds(old, new)
        yield from self._rules(old, new)
        yield from self._fields(old, new)
        if "items" in old and "items" in new:
            yield from replace(self, place=f"{self.place}, each").compare(old["items"], new["items"])
        yield from self._alternatives(old, new)

    def _kinds(self, old: Json, new: Json) -> Iterator[Change]:
        for keyword in ("type", "enum", "const"):
            before, after = _values(old, keyword), _values(new, keyword)
            if before == after:
                continue
            if before is not None and (after is None or before < after):
                yield self.change(f"can be more than {_listed(before)}: {_listed(after)}", narrower=False)
            elif after is not None and (before is None or after < before):
                yield self.change(f"is {_listed(after)} only, was {_listed(before)}", narrower=True)
            else:
                yield Change(self.place, f"is {_listed(after)}, was {_listed(before)}", breaking=True)

    def _rules(self, old: Json, new: Json) -> Iterator[Change]:
        for limit, sign in LIMITS.items():
            before, after = old.get(limit), new.get(limit)
            if before == after:
                continue
            narrower = before is None or (after is not None and sign * after < sign * before)
            # Clients do not refuse a response that exceeds an earlier limit.
            yield Change(self.place, f"{limit} is {after}, was {before}", breaking=narrower and self.sent)
        for rule in ("format", "pattern", "multipleOf"):
            if old.get(rule) != new.get(rule):
                sentence = f"{rule} is {new.get(rule)}, was {old.get(rule)}"
                yield Change(self.place, sentence, breaking=rule in (new if self.sent else old))

    def _fields(self, old: Json, new: Json) -> Iterator[Change]:
        before, after = old.get("properties", NOTHING), new.get("properties", NOTHING)
        was_required, is_required = set(old.get("required", ())), set(new.get("required", ()))
        for name in before.keys() - after.keys():
            yield Change(self.place, f"{name} is gone", breaking=True)
        for name in after.keys() - before.keys():
            needed = self.sent and name in is_required
            yield Change(self.place, f"{name} is new, {'and required' if needed else 'and optional'}", breaking=needed)
        for name in before.keys() & after.keys():
            at = replace(self, place=f"{self.place}, {name}")
            if name in is_required - was_required:
                yield at.change("is required now", narrower=True)
            if name in was_required - is_required:
                yield at.change("is optional now", narrower=False)
            yield from at.compare(before[name], after[name])

    def _alternatives(self, old: Json, new: Json) -> Iterator[Change]:
        before, after = ({json.dumps(each, sort_keys=True) for each in of.get("oneOf", ())} for of in (old, new))
        for gone in sorted(before - after):
            yield self.change(f"is no longer {gone}", narrower=True)
        for more in sorted(after - before):
            yield self.change(f"can also be {more}", narrower=False)


def compare(old: Json, new: Json) -> list[Change]:
    """Return the changes from one document to another, breaking ones first."""
    before, after = _operations(old), _operations(new)
    changes = [Change(name, "is gone", breaking=True) for name in before.keys() - after.keys()]
    changes += [Change(name, "is new", breaking=False) for name in after.keys() - before.keys()]
    for name in before.keys() & after.keys():
        changes += _compare_operations(name, (old, new), before[name], after[name])
    return sorted(set(changes), key=lambda change: (not change.breaking, change.place, change.sentence))


def _operations(document: Json) -> dict[str, Json]:
    return {
        f"{method.upper()} {path}": operation
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }


def _compare_operations(name: str, documents: tuple[Json, Json], old: Json, new: Json) -> Iterator[Change]:
    if old["operationId"] != new["operationId"]:
        sentence = f"is called {new['operationId']}, was {old['operationId']}: so are the functions of clients"
        yield Change(name, sentence, breaking=True)
    if bool(old.get("security")) != bool(new.get("security")):
        needed = bool(new.get("security"))
        yield Change(name, "needs a token now" if needed else "no longer needs a token", breaking=needed)
    # Parameters count as fields of the request, headers as fields of the response.
    sent = Schemas(documents, f"{name}, parameters", sent=True)
    yield from sent.compare(_as_object(old.get("parameters", ())), _as_object(new.get("parameters", ())))
    body = replace(sent, place=f"{name}, body")
    was_required, is_required = (bool(each.get("requestBody", NOTHING).get("required")) for each in (old, new))
    if was_required != is_required:
        yield body.change(f"is {'required' if is_required else 'optional'} now", narrower=is_required)
    yield from _contents(body, old.get("requestBody"), new.get("requestBody"))
    for status in old["responses"].keys() | new["responses"].keys():
        got = Schemas(documents, f"{name}, {status}", sent=False)
        before, after = old["responses"].get(status), new["responses"].get(status)
        if before is None or after is None:
            # Errors can change: clients treat all statuses from 400 on alike.
            gone = "is no longer returned" if after is None else "is a new response"
            yield Change(got.place, gone, breaking=status < "400")
            continue
        yield from replace(got, place=f"{got.place}, headers").compare(
            {"properties": dict.fromkeys(before.get("headers", ()), NOTHING)},
            {"properties": dict.fromkeys(after.get("headers", ()), NOTHING)},
        )
        yield from _contents(got, before, after)


def _as_object(parameters: list[Json]) -> Json:
    named = {f"{each['name']} ({each['in']})": each for each in parameters}
    return {
        "properties": {name: each["schema"] for name, each in named.items()},
        "required": [name for name, each in named.items() if each.get("required")],
    }


def _contents(at: Schemas, old: Json | None, new: Json | None) -> Iterator[Change]:
    before, after = (old or NOTHING).get("content", NOTHING), (new or NOTHING).get("content", NOTHING)
    for kind in before.keys() - after.keys():
        yield Change(at.place, f"{kind} is gone", breaking=True)
    for kind in after.keys() - before.keys():
        # Clients need not send a new body: one that is required is another change.
        yield Change(at.place, f"{kind} is new", breaking=not before and not at.sent)
    for kind in before.keys() & after.keys():
        yield from at.compare(before[kind]["schema"], after[kind]["schema"])


def _resolved(document: Json, schema: Json) -> Json:
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema


def _values(schema: Json, keyword: str) -> set[str] | None:
    given = schema.get(keyword)
    if given is None:
        return None
    return {str(each) for each in given} if isinstance(given, list) else {str(given)}


def _listed(values: set[str] | None) -> str:
    return "anything" if values is None else ", ".join(sorted(values))


def document_of(root: Path) -> Json:
    """Return the OpenAPI document of a tree. Raises SystemExit if the command fails."""
    package = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["importlinter"]["root_package"]
    command = [sys.executable, "-m", package, "openapi"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"The OpenAPI document cannot be generated: {done.stderr.strip().splitlines()[-1]}")
    document: Json = json.loads(done.stdout)
    return document


def document_at(revision: str, root: Path = ROOT) -> Json:
    """Return the OpenAPI document of a git revision. Raises SystemExit."""
    done = subprocess.run(["git", "-C", root, "archive", revision], capture_output=True, check=False)
    if done.returncode:
        raise SystemExit(f"git cannot read {revision!r}: {done.stderr.decode(errors='replace').strip()}")
    with tempfile.TemporaryDirectory(prefix="api-changes-") as folder:
        with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
            archive.extraction_filter = getattr(tarfile, "data_filter", None)  # Debian 12's Python, 3.11.2, has none
            archive.extractall(folder)  # noqa: S202 - an archive of this repository
        return document_of(Path(folder))


def last_release(root: Path = ROOT) -> str:
    """Return the newest tag before this commit, else the previous commit, else an empty string."""
    with contextlib.suppress(FileNotFoundError):
        for command in (["describe", "--tags", "--abbrev=0", "HEAD^"], ["rev-parse", "--verify", "--quiet", "HEAD^"]):
            done = subprocess.run(["git", "-C", root, *command], capture_output=True, text=True, check=False)
            if done.returncode == 0:
                return done.stdout.strip()
    return ""


def main(revision: str = "", github: Literal["--github", ""] = "") -> None:
    """Print the changes since a revision; with --github, also print breaking ones as annotations."""
    revision = revision or last_release()
    if not revision:
        print("There is no earlier revision to compare the API with.")
        return
    changes = compare(document_at(revision), document_of(ROOT))
    for change in changes:
        print(change)
        if github and change.breaking:
            print(f"::warning title=The API breaks::{change.place}: {change.sentence}")
    breaking = sum(change.breaking for change in changes)
    print(f"{breaking} breaking, {len(changes) - breaking} harmless changes to the API since {revision}")


if __name__ == "__main__":
    main(*sys.argv[1:])  # type: ignore[arg-type]  # the traceback shows a wrong argument
