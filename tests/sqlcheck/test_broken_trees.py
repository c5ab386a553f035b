"""Trees with one mistake: each is found by its check, with the right file and line."""

import attrs
import pytest

from service.sqlcheck.findings import as_text
from tests.support.checkouts import CREATE_KITES, Connection, Copy, line_of
from tests.support.processes import ROOT

pytestmark = pytest.mark.slow  # processes or complete schemas: seconds each

DELETE, FIND, CREATE = "sql/kites/delete_kite.sql", "sql/kites/find_kite.sql", "sql/kites/create_kite.sql"
CHANGE, SESSIONS, OPEN = "sql/kites/change_kite.sql", "sql/auth/list_my_sessions.sql", "sql/auth/open_session.sql"
SHOW_ME = "sql/users/show_me.sql"
KITES, MODELS = "service/kites/controllers.py", "service/kites/models.py"
TABLE = f"migrations/{CREATE_KITES}.sql"
END = "sql/auth/end_session.sql"
END_SESSION = (ROOT / END).read_text()
# From its parameter on.
WHOLE = END_SESSION[END_SESSION.index("-- $1") :]
COUNT = "-- returns: count\n"
ENSURE_USER = "service/users/first_user.py"
END_OF_ENSURE_USER = line_of(ENSURE_USER, "passwords.close()")
LAST_COMMENT = "comment on column kites.version is 'Number of changes, from 1; the ETag of the kite.';\n"
LAST_LINE = "        passwords.close()\n"


@attrs.frozen
class Broken:
    """An edit, and the findings about it."""

    name: str
    finding: str
    path: str
    old: str
    new: str


LIST_MIGRATIONS = """-- unlimited: ok one row per migration
select /* system.list_applied_migrations */ migration_id, sha256
from migration_checksum
"""

QUERIES = [
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
        "a table that there is not",
        f'{FIND}:12: PostgreSQL says: relation "dogs" does not exist [refused]',
        FIND,
        "left join kites on",
        "left join dogs as kites on",
    ),
    Broken(
        "a column that only PostgreSQL may fill",
        f'{CREATE}:14: PostgreSQL says: cannot insert a non-DEFAULT value into column "id" [refused]',
        CREATE,
        "    kite_name\n)\nselect\n    user_id,\n    $3\n",
        "    kite_name,\n    id\n)\nselect\n    user_id,\n    $3,\n    1\n",
    ),
    Broken(
        "a column that there is not",
        f"{FIND}:10: PostgreSQL says: column kites.colour does not exist [refused]",
        FIND,
        "kites.version\n",
        "kites.colour\n",
    ),
    Broken(
        "an accepted scan that is none",
        f"{FIND}:7: 'seqscan: ok' accepts no finding: remove it [marker]",
        FIND,
        "select /*",
        "-- seqscan: ok there are few kites\nselect /*",
    ),
    Broken(
        "a read of a replica that is neither maybe nor many",
        f"{SHOW_ME}:5: 'replica: ok' is for maybe and many, but this returns one [replica]",
        SHOW_ME,
        "select /*",
        "-- replica: ok\nselect /*",
    ),
    Broken(
        "a read of a replica that writes",
        f"{DELETE}:9: 'replica: ok' is for queries that only read, but delete writes [replica]",
        DELETE,
        "with /*",
        "-- replica: ok\nwith /*",
    ),
    Broken(
        "a read of a replica that locks rows",
        f"{SESSIONS}:8: 'replica: ok' is for queries that only read, but a row lock is a write [replica]",
        SESSIONS,
        "id asc;",
        "id asc for share;",
    ),
    Broken(
        "a read of a replica that calls what may write",
        f"{SESSIONS}:11: 'replica: ok' is for queries that only read, but still_live() is volatile [replica]",
        SESSIONS,
        "expires_at > now()",
        "expires_at > now() and still_live($1)",
    ),
    Broken(
        "a gap in the parameters",
        f"{FIND}:4: $4 stands where $3 is expected [header]",
        FIND,
        "-- $3 id",
        "-- $4 id",
    ),
    Broken(
        "a statement without a header",
        f"{FIND}:1: malformed header: the first line is '-- kites.find_kite: what the query does' [header]",
        FIND,
        "-- kites.find_kite: finds one of the caller's kites\n",
        "",
    ),
    Broken(
        "a second statement",
        f"{FIND}:14: a second statement; a file holds one query [header]",
        FIND,
        "caller.user_id = $2;\n",
        "caller.user_id = $2;\nselect 1;\n",
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
        "a star",
        "sql/system/list_applied_migrations.sql:5: name the columns: `*` changes with the table while code runs [star]",
        "sql/system/list_applied_migrations.sql",
        "migration_id, sha256\n",
        "*\n",
    ),
    Broken(
        "a session setting",
        f"{END}:6: set_config() outlives the statement on a connection that other requests use [session-state]",
        END,
        "and id = $1 and",
        "and id = $1 and set_config('work_mem', '1GB', false) <> '' and",
    ),
    Broken(
        "a session's advisory lock",
        f"{END}:6: pg_try_advisory_lock() outlives the statement on a connection that "
        "other requests use [session-state]",
        END,
        "and id = $1 and",
        "and id = $1 and pg_try_advisory_lock(1) and",
    ),
    Broken(
        "SET",
        "sql/auth/end_session.sql:3: SET outlives the statement on a connection that other requests use "
        "[session-state]",
        END,
        WHOLE,
        COUNT + "set /* auth.end_session */ work_mem = '1GB';",
    ),
    Broken(
        "LISTEN",
        "sql/auth/end_session.sql:3: LISTEN outlives the statement on a connection that other requests use "
        "[session-state]",
        END,
        WHOLE,
        COUNT + "listen /* auth.end_session */ ended;",
    ),
    Broken(
        "a temporary table",
        "sql/auth/end_session.sql:3: a query is a select, insert, update, delete or merge; schema changes are "
        "migrations [not-a-query]\n"
        "sql/auth/end_session.sql:3: a temporary table outlives the statement on a connection that other requests "
        "use [session-state]",
        END,
        WHOLE,
        COUNT + "create /* auth.end_session */ temporary table ended (id uuid);",
    ),
    Broken(
        "a cursor WITH HOLD",
        "sql/auth/end_session.sql:3: DECLARE CURSOR outlives the statement on a connection that other requests use "
        "[session-state]",
        END,
        WHOLE,
        COUNT + "declare /* auth.end_session */ kept cursor with hold for select 1;",
    ),
    Broken(
        "a table that a query makes",
        "sql/auth/end_session.sql:3: a query is a select, insert, update, delete or merge; schema changes are "
        "migrations [not-a-query]",
        END,
        WHOLE,
        COUNT + "select /* auth.end_session */ 1 as a into ended;",
    ),
    Broken(
        "SET LOCAL",
        "sql/auth/end_session.sql:3: a query is a select, insert, update, delete or merge; schema changes are "
        "migrations [not-a-query]",
        END,
        WHOLE,
        COUNT + "set /* auth.end_session */ local work_mem = '1GB';",
    ),
    Broken(
        "a lock in a DO block",
        "sql/auth/end_session.sql:3: a query is a select, insert, update, delete or merge; schema changes are "
        "migrations [not-a-query]",
        END,
        WHOLE,
        COUNT + "do /* auth.end_session */ $$ begin perform pg_advisory_lock(1); end $$;",
    ),
    Broken(
        "a star of what a function returns",
        f"{SHOW_ME}:4: returns 6 columns, User has 2: id, email [column-count]\n"
        f"{SHOW_ME}:5: name the columns: `*` changes with the table while code runs [star]",
        SHOW_ME,
        "user_model.id, user_model.email",
        "(user_model).*",
    ),
    Broken(
        "an index that is read from one end to the other",
        "sql/system/list_applied_migrations.sql:5: index scan of migration_checksum: no index for "
        "(migration_checksum.sha256 <> ''::text) [seqscan]",
        "sql/system/list_applied_migrations.sql",
        f"-- seqscan: ok returns the whole table\n{LIST_MIGRATIONS}order by",
        f"{LIST_MIGRATIONS}where sha256 <> ''\norder by",
    ),
    Broken(
        "SQL built from strings",
        f"{ENSURE_USER}:{END_OF_ENSURE_USER + 1}: SQL is built from strings: move it to a file in sql/ with $n "
        "for each value [built-sql]",
        ENSURE_USER,
        LAST_LINE,
        LAST_LINE + "def f(db, x): return db.fetch(f'select {x}')\n",
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
    Broken(
        "a marker that is needless",
        f"{SESSIONS}:8: 'not null: current' is unnecessary: PostgreSQL guarantees it [marker]",
        SESSIONS,
        "with /*",
        "-- not null: current\nwith /*",
    ),
    Broken(
        "a marker that is wrong",
        f"{CHANGE}:10: 'not null: version' is wrong: an outer join makes it null [marker]",
        CHANGE,
        "with /*",
        "-- not null: version\nwith /*",
    ),
    Broken(
        "a marker of no column",
        f"{SESSIONS}:8: 'not null' names colour, which is no column [marker]",
        SESSIONS,
        "with /*",
        "-- not null: colour (they all have one)\nwith /*",
    ),
]
MIGRATIONS = [
    Broken(
        "a dropped column that is still read",
        f"{CHANGE}:23: PostgreSQL says: column kites.version does not exist [refused]\n"
        f"  the same: {CREATE}:22, {DELETE}:17, {FIND}:10",
        TABLE,
        LAST_COMMENT,
        LAST_COMMENT + "alter table kites drop column version;\n",
    ),
    Broken(
        "a renamed column",
        f'{SESSIONS}:27: PostgreSQL says: column "user_agent" does not exist [refused]\n'
        f'{OPEN}:27: PostgreSQL says: column "user_agent" of relation "login_session" '
        "does not exist [refused]",
        TABLE,
        LAST_COMMENT,
        LAST_COMMENT + "alter table login_session rename column user_agent to browser;\n",
    ),
    Broken(
        "a missing index",
        "sql/system/clean_login_sessions.sql:7: seq scan of login_session: no index for "
        "(login_session_1.expires_at <= (now() - '30 days'::interval)) [seqscan]",
        TABLE,
        LAST_COMMENT,
        LAST_COMMENT + "drop index login_session_expires_at_idx, login_session_id_idx;\n",
    ),
    Broken(
        "a column that may be null",
        f"{CREATE}:22: column 3 can be null (kites.version allows it), "
        "but VersionedKite.version does not allow None [nullability]\n"
        f"{FIND}:10: column 3 can be null (kites.version allows it), "
        "but VersionedKite.version does not allow None [nullability]",
        TABLE,
        "version   integer        not null default 1",
        "version   integer        default 1",
    ),
    Broken(
        "a column of another type",
        "sql/auth/rotate_session.sql:4: $3 is bigint in the statement, but the header says integer [parameter-type]",
        TABLE,
        LAST_COMMENT,
        LAST_COMMENT + "alter table login_session alter column generation type bigint;\n",
    ),
    Broken(
        "a directive that yoyo ignores",
        f"{TABLE}:2: is a directive that yoyo ignores: write it as '-- depends: …', in lower case, "
        "among the first '--' lines of the migration (not of its rollback) [migration]",
        TABLE,
        "-- depends:",
        "-- Depends:",
    ),
    Broken(
        "a migration that PostgreSQL refuses",
        f'{TABLE}:5: type "biggint" does not exist; nothing of this file has taken effect [migration]',
        TABLE,
        "bigint         not null generated",
        "biggint        not null generated",
    ),
]


@pytest.mark.parametrize("broken", QUERIES, ids=lambda broken: broken.name)
def test_each_broken_tree_is_caught(tree: Copy, checked: Connection, broken: Broken) -> None:
    tree.edit(broken.path, broken.old, broken.new)

    # A wrong header also makes the stub stale, which has its own test.
    found = [finding for finding in tree.check(checked) if finding.check != "stub"]
    assert as_text(found) == broken.finding


@pytest.mark.parametrize("broken", MIGRATIONS, ids=lambda broken: broken.name)
def test_each_broken_migration_is_caught(tree: Copy, empty_database_url: str, broken: Broken) -> None:
    tree.edit(broken.path, broken.old, broken.new)

    assert as_text(tree.check_all(empty_database_url)) == broken.finding


def test_unbroken_tree_has_no_findings(tree: Copy, checked: Connection) -> None:
    assert tree.check(checked) == []
