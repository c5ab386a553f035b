"""A small tree for the book, with rare schema features and text that tries to be HTML."""

HOSTILE = "<script>alert('it & that')</script>"
FILES = {
    "migrations/0001_create_shelves.sql": """\
-- Shelves `hold` things, HOSTILE.
create type mood as enum ('glad', 'it''s "sad"');
create table shelves (
    id bigint generated always as identity,
    "Size <b>" integer not null default 3,
    feeling mood,
    inner_id bigint,
    constraint shelves_pkey primary key (id),
    constraint shelves_inner_id_fkey foreign key (inner_id) references shelves (id) on delete cascade
);
create index shelves_inner_id_idx on shelves (inner_id);
create table "Odd name/<i>" (
    shelf_id bigint not null,
    label text collate "C" not null,
    constraint "Odd name_pkey" primary key (shelf_id, label),
    constraint "Odd name_shelf_id_fkey" foreign key (shelf_id) references shelves (id) on delete cascade
);
create view wide_shelves as select id from shelves where "Size <b>" > 10;
create schema apart;
create table apart.notes (note text);
create function shelf_of(shelf bigint) returns bigint language sql stable
as $$ select id from shelves where id = shelf $$;
comment on table shelves is 'HOSTILE_QUOTED';
comment on column shelves.feeling is 'See `mood`.';
comment on function shelf_of(bigint) is 'The shelf.';
""",
    "migrations/0001_create_shelves.rollback.sql": """\
drop schema apart cascade;
drop view wide_shelves;
drop function shelf_of(bigint);
drop table "Odd name/<i>";
drop table shelves;
drop type mood;
""",
    "sql/shelves/find_shelf.sql": """\
-- shelves.find_shelf: a shelf, HOSTILE
-- $1 id bigint  the `shelf`
-- returns: maybe Shelf
select /* shelves.find_shelf */ id, feeling, '</script>' as "text"
from shelves where id = shelf_of($1);
""",
    "sql/shelves/add_shelf.sql": """\
-- shelves.add_shelf: adds a shelf
-- $1 feeling mood?
-- $2 size    integer
-- returns: value bigint
insert /* shelves.add_shelf */ into shelves (feeling, "Size <b>") values ($1, $2)
returning id;
""",
    "sql/shelves/lose_shelf.sql": """\
-- shelves.lose_shelf: of a table that is not there
-- returns: count
delete /* shelves.lose_shelf */ from lost;
""",
    "sql/review/shelf_sizes.sql": """\
-- How `large` each shelf is, HOSTILE.
-- The largest first.
select /* review.shelf_sizes */ "Size <b>", feeling, '</script>' as "text"
from shelves order by 1 desc;
""",
    "sql/review/statements.sql": """\
-- Needs an extension.
select /* review.statements */ calls from pg_stat_statements;
""",
    "sql/dev/scale.sql": """\
insert into shelves default values;
create table argument (parameter text primary key, value text);
insert into argument values ('id', '1'), ('size', '2');
analyze;
""",
    "service/shelves.py": '''\
"""Shelves."""
import attrs
from litestar import Controller, get, post
from service.sql import count, maybe, value

@attrs.frozen
class Shelf:
    id: int
    feeling: str | None
    text: str

FIND_SHELF = maybe("shelves.find_shelf", Shelf)
LOSE_SHELF = count("shelves.lose_shelf")

class ShelvesController(Controller):
    path = "/shelves"

    @get("/{shelf_id:int}")
    async def show_shelf(self, shelf_id: int) -> Shelf:
        """Show <b>one</b> shelf."""
        return await self.db.maybe(FIND_SHELF, shelf_id)

    @post("/")
    async def add_shelf(self) -> int:
        return await self.db.value(value("shelves.add_shelf", int))
''',
}
