"""A violated foreign key says what is missing or what still refers, and ends no session of its own accord."""

from collections.abc import Iterator

import asyncpg
import pytest

from service.http.database_problems import problem_from_postgres
from service.problems import PROBLEM_BY_CONSTRAINT, PROBLEM_BY_REFERENCE, InternalError, Problem, SessionEnded

ALBUM_KEY, COVER_KEY = "songs_album_id_fkey", "songs_cover_id_fkey"
TABLES = """
create temporary table user_model (id integer primary key);
create temporary table albums (id integer primary key);
create temporary table songs (
    album_id integer constraint songs_album_id_fkey references albums (id),
    cover_id integer constraint songs_cover_id_fkey references albums (id) on delete restrict,
    user_id integer constraint songs_user_id_fkey references user_model (id),
    singer_user_id integer constraint songs_singer_user_id_fkey references user_model (id)
);
insert into user_model values (1);
insert into albums values (1), (2);
insert into songs values (1, 2, 1, null);
"""
CITUS = """do $$ begin
raise 'on "albums_102041" violates "songs_album_id_fkey_102041" on table "songs_102041"' using errcode = '23503';
end $$"""
RAISE = "do $$ begin raise '{}' using errcode = '23503', table = 'songs', constraint = 'songs_album_id_fkey'; end $$"


@pytest.fixture
def kinds() -> Iterator[dict[str, type[Problem]]]:
    """Return two problems, of a missing album and of one in use, registered for this test."""

    class AlbumMissing(Problem):
        status, type, title = 422, "/problems/album-missing", "There is no such album"
        constraints = (ALBUM_KEY,)

    class AlbumInUse(Problem):
        status, type, title = 409, "/problems/album-in-use", "Songs refer to this album"
        still_referenced = (ALBUM_KEY, COVER_KEY)

    yield {"missing": AlbumMissing, "in use": AlbumInUse, "session ended": SessionEnded, "bug": InternalError}
    del PROBLEM_BY_CONSTRAINT[ALBUM_KEY], PROBLEM_BY_REFERENCE[ALBUM_KEY], PROBLEM_BY_REFERENCE[COVER_KEY]


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("insert into songs values (7)", "missing"),
        ("update songs set album_id = 7", "missing"),
        ("delete from albums where id = 1", "in use"),
        ("update albums set id = 7 where id = 1", "in use"),
        ("delete from albums where id = 2", "in use"),  # on delete restrict: an error of its own in PostgreSQL 18
        ("insert into songs (cover_id) values (7)", "bug"),  # listed for the other way only
        ("insert into songs (user_id) values (7)", "session ended"),
        ("insert into songs (singer_user_id) values (7)", "bug"),  # a user, but not the caller
        ("delete from user_model", "bug"),  # a user with rows, not a user that is gone
        (RAISE.format("Einfügen in Tabelle »songs« verletzt »songs_album_id_fkey«"), "missing"),
        (RAISE.format("Löschen in Tabelle »albums« verletzt »songs_album_id_fkey« von Tabelle »songs«"), "in use"),
        (CITUS, "in use"),
        # A trigger's own rule, whose message quotes three names.
        (RAISE.format('"a" is neither "b" nor "c"').replace("23503", "23514"), "missing"),
    ],
)
async def test_violated_foreign_key_becomes_the_problem_of_its_direction(
    connection: asyncpg.Connection, kinds: dict[str, type[Problem]], statement: str, kind: str
) -> None:
    await connection.execute(TABLES)

    with pytest.raises(asyncpg.IntegrityConstraintViolationError) as error:
        await connection.execute(statement)

    assert type(problem_from_postgres(error.value)) is kinds[kind]
