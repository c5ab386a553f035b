"""Parameters, rows and classes that do not fit: each is found by its check, at its file and line."""

import pytest

from service.sqlcheck.findings import as_text
from tests.support.checkouts import Broken, Connection, Copy

pytestmark = pytest.mark.slow  # processes or complete schemas: seconds each

DELETE = "sql/kites/delete_kite.sql"
FIND = "sql/kites/find_kite.sql"
CHANGE = "sql/kites/change_kite.sql"
SESSIONS = "sql/auth/list_my_sessions.sql"
SHOW_ME = "sql/users/show_me.sql"
KITES = "service/kites/controllers.py"
MODELS = "service/kites/models.py"
END = "sql/auth/end_session.sql"

BROKEN = [
    Broken(
        "a parameter of another type",
        f"{FIND}:4: $3 is bigint in the statement, but the header says integer [parameter-type]",
        FIND,
        "id      bigint",
        "id      integer",
    ),
    Broken(
        "a parameter of a type that there is not",
        f"{FIND}:4: $3: PostgreSQL has no type 'bigserial' [parameter-type]",
        FIND,
        "id      bigint",
        "id      bigserial",
    ),
    Broken(
        "an array for a single value",
        f"{CHANGE}:6: $5 is integer[] in the statement, but the header says integer [parameter-type]",
        CHANGE,
        "integer[]?",
        "integer?",
    ),
    Broken(
        "swapped columns",
        f"{FIND}:8: column 1 is kite_name, but field 1 of VersionedKite is id "
        "[column-name]\n"
        f"{FIND}:9: column 2 is id, but field 2 of VersionedKite is kite_name "
        "[column-name]",
        FIND,
        "kites.id,\n    kites.kite_name",
        "kites.kite_name,\n    kites.id",
    ),
    Broken(
        "a column cast to another type",
        f"{FIND}:10: column 3 is text, VersionedKite.version says int [column-type]",
        FIND,
        "kites.version\n",
        "kites.version::text as version\n",
    ),
    Broken(
        "a moment without a time zone",
        f"{SESSIONS}:24: column 2 is timestamp without time zone, which leaves the zone unknown: use timestamptz "
        "[naive-timestamp]",
        SESSIONS,
        "    created_at,\n",
        "    created_at at time zone 'UTC' as created_at,\n",
    ),
    Broken(
        "an object for a column that is no JSON",
        f"{DELETE}:21: column 2 is boolean, DeletedKite.deleted says Kite; a class is read from json or jsonb "
        "[column-type]",
        MODELS,
        "deleted: bool",
        "deleted: Kite",
    ),
    Broken(
        "a column too few",
        f"{FIND}:5: returns 2 columns, VersionedKite has 3: id, kite_name, version [column-count]",
        FIND,
        ",\n    kites.version\n",
        "\n",
    ),
    Broken(
        "a field of another type",
        f"{DELETE}:21: column 2 is boolean, DeletedKite.deleted says int [column-type]",
        MODELS,
        "deleted: bool",
        "deleted: int",
    ),
    Broken(
        "a field too many",
        f"{DELETE}:6: returns 2 columns, DeletedKite has 3: id, deleted, colour [column-count]",
        MODELS,
        "deleted: bool",
        "deleted: bool\n    colour: str",
    ),
    Broken(
        "a query by another class",
        f"{FIND}:5: returns 'maybe VersionedKite', but {KITES}:31 "
        "reads 'maybe Kite' [returns]\n"
        f"{FIND}:5: returns 3 columns, Kite has 2: id, kite_name [column-count]",
        KITES,
        'maybe("kites.find_kite", VersionedKite)',
        'maybe("kites.find_kite", Kite)',
    ),
    Broken(
        "a query in another number",
        f"{FIND}:5: returns 'maybe VersionedKite', but {KITES}:31 reads 'one VersionedKite' [returns]",
        KITES,
        'maybe("kites.find_kite", VersionedKite)',
        'one("kites.find_kite", VersionedKite)',
    ),
    Broken(
        "a name without a file",
        f"{KITES}:31: sql/kites/find_cat.sql does not exist [no-file]\n"
        f"{FIND}:1: no code uses this query: remove the file, or use it [unused]",
        KITES,
        "kites.find_kite",
        "kites.find_cat",
    ),
    Broken(
        "a name that is put together",
        f"{KITES}:31: write the name of the query here, as a string literal: other "
        "names cannot be checked [no-file]\n"
        f"{FIND}:1: no code uses this query: remove the file, or use it [unused]",
        KITES,
        'maybe("kites.find_kite"',
        'maybe("kites." + "find_kite"',
    ),
    Broken(
        "a column that is counted, not read",
        f"{END}:7: returns 1 column, but the header says count, which reads none [column-count]",
        END,
        "expires_at > now();",
        "expires_at > now()\nreturning id;",
    ),
    Broken(
        "a null from an outer join",
        f"{SHOW_ME}:5: column 1 can be null (an outer join makes it so), but User.id does not "
        "allow None [nullability]\n"
        f"{SHOW_ME}:5: column 2 can be null (an outer join makes it so), but User.email does not "
        "allow None [nullability]",
        SHOW_ME,
        "inner join user_model on",
        "left join user_model on user_model.email <> '' and",
    ),
    Broken(
        "a null beside a row",
        f"{CHANGE}:33: column 3 can be null (an outer join makes it so), "
        "but ChangedKite.version does not allow None [nullability]",
        MODELS,
        "version: int | None",
        "version: int",
    ),
    Broken(
        "a null from the table",
        f"{SESSIONS}:27: column 5 can be null (login_session.user_agent allows it), "
        "but LoginSession.user_agent does not allow None [nullability]",
        "service/auth/models.py",
        "        ]\n        | None\n    )\n    ip",
        "        ]\n    )\n    ip",
    ),
    Broken(
        "a null from what a function is given",
        f"{SESSIONS}:28: column 6 can be null (login_session.ip allows it), "
        "but LoginSession.ip does not allow None [nullability]",
        "service/auth/models.py",
        'examples=["192.0.2.7"])] | None',
        'examples=["192.0.2.7"])]',
    ),
]


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.name)
def test_each_broken_row_is_found(tree: Copy, checked: Connection, broken: Broken) -> None:
    assert as_text(tree.check_broken(broken, checked)) == broken.finding
