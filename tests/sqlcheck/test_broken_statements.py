"""Statements with one mistake: each is found by its check, at its file and line."""

import pytest

from service.sqlcheck.findings import as_text
from tests.support.checkouts import Broken, Connection, Copy, line_of
from tests.support.processes import ROOT

pytestmark = pytest.mark.slow  # processes or complete schemas: seconds each

DELETE = "sql/kites/delete_kite.sql"
FIND = "sql/kites/find_kite.sql"
CREATE = "sql/kites/create_kite.sql"
CHANGE = "sql/kites/change_kite.sql"
SESSIONS = "sql/auth/list_my_sessions.sql"
SHOW_ME = "sql/users/show_me.sql"
END = "sql/auth/end_session.sql"
END_SESSION = (ROOT / END).read_text()
# From its parameter on.
WHOLE = END_SESSION[END_SESSION.index("-- $1") :]
COUNT = "-- returns: count\n"
ENSURE_USER = "service/users/first_user.py"
END_OF_ENSURE_USER = line_of(ENSURE_USER, "passwords.close()")
LAST_LINE = "        passwords.close()\n"

LIST_MIGRATIONS = """-- unlimited: ok one row per migration
select /* system.list_applied_migrations */ migration_id, sha256
from migration_checksum
"""

BROKEN = [
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


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.name)
def test_each_broken_statement_is_found(tree: Copy, checked: Connection, broken: Broken) -> None:
    assert as_text(tree.check_broken(broken, checked)) == broken.finding


def test_unbroken_tree_has_no_findings(tree: Copy, checked: Connection) -> None:
    assert tree.check(checked) == []
