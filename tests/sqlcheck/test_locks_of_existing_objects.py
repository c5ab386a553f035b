"""Findings about the locks of a migration that depend on what earlier migrations made."""

import pytest

from service.sqlcheck.findings import as_text
from tests.sqlcheck.test_lock_findings import FUNCTION, NAME, PLACE, SCAN, findings
from tests.support.checkouts import CREATE_KITES, Copy

pytestmark = pytest.mark.slow  # processes or complete schemas: seconds each

READ = "are read while it is locked"
BUILT = "is created without CONCURRENTLY: writers wait"
FORCED = "is forced: rows vanish for the previous release, unless a policy shows them"


def test_each_migration_begins_with_the_lock_timeout_of_migrate(tree: Copy, empty_database_url: str) -> None:
    tree.write_migration(
        "9998_prepare_kites",
        f"-- depends: {CREATE_KITES}\n-- locks: ok this one is only the past\nset lock_timeout = 0;",
    )

    [finding] = findings(tree, empty_database_url, "set lock_timeout = 0;")

    assert finding.check == "lock-timeout"


def test_objects_of_earlier_migrations_are_checked(tree: Copy, empty_database_url: str) -> None:
    """Triggers, domains, other schemas, and constraints that are validated in another migration."""
    tree.write_migration(
        "9998_prepare_kites",
        f"-- depends: {CREATE_KITES}\n-- locks: ok this one is only the past\n{FUNCTION}"
        "create trigger t before insert on kites for each row execute function t();\n"
        'create table "Oar" (id bigint);\n'
        "create domain shade as text;\ncreate schema other;\ncreate table other.toys (shade shade);\n"
        "create domain pale as shade;\ncreate table other.pots (shade pale);\n"
        "create domain dark as text;\ncreate table other.tools (shade dark);\n"
        "alter domain dark add constraint dark_check check (value <> '') not valid;\n"
        "alter table login_session enable row level security;\n"
        "create table days (day date) partition by list (day);\ncreate table other_days partition of days default;\n"
        "create table weeks (week date primary key) partition by list (week);\n"
        "create table visits (week date references weeks);\n"
        "alter table kites add constraint kites_name_there check (kite_name <> '') not valid;\n"
        "alter table login_session add constraint agent_there check (user_agent is not null);",
    )
    tree.write_migration(
        NAME,
        "-- depends: 9998_prepare_kites\nalter domain shade set not null;\nalter table kites disable trigger t;"
        " alter table kites enable trigger t;\n"
        "drop trigger t on kites;\nalter table other.toys add constraint red check (shade = 'red');\n"
        "alter table kites validate constraint kites_name_there;\n"
        "alter table login_session alter user_agent set not null;\n"
        "create table first_days partition of days for values in ('2020-01-01');\n"
        "alter domain dark validate constraint dark_check;\nalter table login_session force row level security;\n"
        'alter table "Oar" add check (id > 0);\ndelete from "Oar";\n'
        "create index on only days (day);\ncreate index on days (day, day);\n"
        "create table first_weeks partition of weeks for values in ('2020-01-01');\ndelete from other.pots;\n"
        "set search_path = other;\nlock table toys;",
    )

    last = tree.review_newest_migration(empty_database_url)

    assert as_text(last.findings) == "\n".join(
        f"{PLACE}:{line}"
        for line in (
            "2: all rows of other.pots are read while it is locked, to check the domain: use a table CHECK [scan]",
            "2: all rows of other.toys are read while it is locked, to check the domain: use a table CHECK [scan]",
            "3: trigger t of kites is disabled: writers wait, and the previous release is affected [trigger]",
            "3: trigger t of kites is enabled: writers wait, and the previous release is affected [trigger]",
            "4: trigger t of kites is dropped: writers wait, and the previous release is affected [trigger]",
            f"5: {SCAN.replace('kites', 'other.toys')} [scan]",
            f"6: {SCAN} [scan]",
            f"8: all rows of other_days {READ}: a validated CHECK can exclude the new bounds [scan]",
            "9: all rows of other.tools are read while it is locked, to check the domain: use a table CHECK [scan]",
            f"10: row level security of login_session {FORCED} [row-security]",
            '11: all rows of "Oar"' + SCAN.removeprefix("all rows of kites") + " [scan]",
            '12: delete of "Oar" while "Oar" is locked, for readers too: use another migration [whole-table]',
            f"14: an index of other_days {BUILT} [index-not-concurrent]",
            '16: delete of other.pots while "Oar" is locked, for readers too: use another migration [whole-table]',
            "18: other.toys is locked until the migration ends [lock-table]",
        )
    )


def test_change_of_a_trigger_says_what_changes(tree: Copy, empty_database_url: str) -> None:
    tree.write_migration(
        "9998_prepare_kites",
        f"-- depends: {CREATE_KITES}\n-- locks: ok this one is only the past\n{FUNCTION}"
        "create trigger t before insert on kites for each row execute function t();\n"
        "create rule gone as on delete to kites do instead nothing;\nalter table login_session disable trigger all;",
    )
    tree.write_migration(
        NAME,
        "-- depends: 9998_prepare_kites\n"
        "create or replace trigger t after update on kites for each row execute function t();\n"
        "create or replace rule gone as on delete to kites where old.version = 1 do instead nothing;\n"
        "alter table login_session enable trigger all;\nalter table login_session disable trigger all;\n"
        "set search_path = '';",
    )

    last = tree.review_newest_migration(empty_database_url)

    affects = "writers wait, and the previous release is affected [trigger]"
    assert as_text(sorted({*last.findings})) == "\n".join(
        f"{PLACE}:{line}: {affects}"
        for line in (
            "2: trigger t of kites is changed",
            "3: rule gone of kites is changed",
            "4: constraint login_session_user_id_fkey of login_session is enabled",
            "5: constraint login_session_user_id_fkey of login_session is disabled",
        )
    )


def test_last_step_of_a_safe_change_has_no_finding(tree: Copy, empty_database_url: str) -> None:
    tree.write_migration(
        "9998_prepare_kites",
        f"-- depends: {CREATE_KITES}\n-- locks: ok this one is only the past\n{FUNCTION}"
        "create table toys (id bigint primary key);\n"
        "create trigger t before insert on toys for each row execute function t();\n"
        "create table days (day date not null) partition by list (day);\n"
        "create table other_days partition of days (check (day <> '2020-01-01')) default;\n"
        "alter table kites add constraint kites_again_fkey foreign key (user_id) references user_model not valid,\n"
        "    add constraint kites_there check (kite_name <> '') not valid;\n"
        "alter table login_session add constraint agent_there not null user_agent not valid;",
    )
    tree.write_migration(
        NAME,
        "-- depends: 9998_prepare_kites\nalter table kites validate constraint kites_again_fkey;\n"
        "alter table kites validate constraint kites_there;\n"
        "alter table login_session validate constraint agent_there;\n"
        "-- squawk-ignore ban-drop-table\ndrop table toys;\n"
        "create table first_days partition of days for values in ('2020-01-01');",
    )

    assert tree.review_newest_migration(empty_database_url).findings == []


def test_invalid_index_is_found(tree: Copy, empty_database_url: str) -> None:
    sql = "update pg_index set indisvalid = false where indexrelid = 'user_model_email_key'::regclass;"

    found = findings(tree, empty_database_url, sql)

    assert as_text(found) == (
        f"{PLACE}:3: user_model_email_key is invalid: drop it (concurrently), and create it again [invalid-index]"
    )
