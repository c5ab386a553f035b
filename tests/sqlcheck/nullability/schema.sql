-- What the statements beside this file read.
create table maker (id integer primary key, name text not null, note text, made date, tags text[] not null default '{}');
create table late (note text);
create table toy (id integer primary key, maker integer references maker, price numeric not null, data jsonb not null default '{}');
create table box (id integer not null, size integer not null, label text, primary key (id, size)) partition by list (size);
create table box_small partition of box for values in (1);
create table box_large partition of box for values in (2);
create table parent (id integer, code text not null no inherit);
create table child () inherits (parent);
create view priced as select id, price from toy;
create view made_toy as select toy.id, maker.name from toy left join maker on maker.id = toy.maker;
create materialized view kept as select id from toy;
create domain code as text not null;
create table coded (code code);
create function rank(text) returns text language sql immutable as $$ select nullif($1, 'a') $$;
create function twice(n integer) returns integer language sql immutable as $$ select n * 2 $$;
create function strict_twice(n integer) returns integer language sql immutable strict begin atomic select n * 2; end;
create function first_toy() returns integer language sql stable as $$ select id from toy limit 1 $$;
create function toys_of(of integer) returns table (id integer, price numeric, note text) language sql stable as $$ select toy.id, toy.price, maker.note from toy inner join maker on maker.id = toy.maker where maker.id = of $$;
create function pair(out a integer, out b text) language sql as $$ select 1, null::text $$;
create function truncated() returns integer language sql as $$ truncate late; select 1 $$;
create function opaque() returns integer language plpgsql as $$ begin return null; end $$;
create function again(n integer) returns integer language plpgsql as $$ begin return n; end $$;
create or replace function again(n integer) returns integer language sql as $$ select (select again(n)) + again(n) $$;
create function broken(n integer) returns integer language sql as $$ select 1 $$;
create function some_default(n integer default null) returns integer language sql as $$ select 1 $$;
create operator @#@ (function = rank, rightarg = text);
alter table late add constraint late_note not null note not valid;
create unique index toy_data_key on toy (lower(data ->> 'name')) where price > 0;
create unique index maker_name_key on maker (name);
create table pair (left_id integer not null, right_id integer not null, note text, primary key (left_id, right_id));
create table filled (id integer primary key, name text not null, note text check (note in ('a', 'b')));
create function fill() returns trigger language plpgsql as $$ begin new.name = 'a'; return new; end $$;
create trigger fill before insert on filled for each row execute function fill();
create function maker_of(session integer) returns table (id integer, name text) language sql stable as $$ select id, name from maker where id = session $$;
create table owner (maker integer not null references maker, id integer primary key);
create function lives(session integer) returns boolean language sql stable as $$ select session > 0 $$;
create view live as select owner.id, owner.maker from owner where owner.id > 0;
create domain size as text check (value in ('small', 'large'));
create table pet (
    id integer primary key, size size not null, at timestamp not null, name text not null check (name <> ''),
    kind text not null check (kind in ('cat', 'dog')),
    code varchar(3) not null check (length(code) > 0 and (code in ('a', 'b') or code = 'c')),
    either text not null check (either = 'a' or length(either) > 3),
    padded char(3) not null check (padded in ('a', 'b')),
    small text not null check (lower(small) = 'a'),
    gap text not null check (gap in ('a', null)),
    number text not null check (number::integer::text in ('1', '2')),
    written text not null check (written = any ('{a,b}'::text[])),
    barred text check (not (barred = 'a')), far text check (far is distinct from 'a'), loud text check (loud = upper('a')),
    open text check (open is not null or open in ('a', 'b')),
    mood text check (mood is null or mood in ('glad', 'sad')),
    other text check (nullif(other, 'a') is null or other in ('b', 'c'))
);
create table doubled (id integer primary key, twice integer generated always as (id * 2) stored);
create view a_pet as select id, kind from pet;

create view constant as select 42 as number;
create trigger fill before update on child for each row execute function fill();
create function first_of(a integer, b integer) returns integer language sql immutable as $$ select a $$;
create function plus(n integer, more integer default 2) returns integer language sql immutable as $$ select n + more $$;
create function strict_or_null(n integer, more integer default null) returns integer language sql immutable strict as $$ select n $$;
create function name_of(of maker) returns text language sql immutable as $$ select of.note $$;
create function strict_pair(n integer, out a integer, out b text) language sql immutable strict as $$ select n, 'a' $$;
create table computed (
    id integer primary key, price integer not null, tax integer, total integer generated always as (price + tax) stored,
    twice integer generated always as (price * 2) stored, sure integer generated always as (coalesce(tax, 0)) stored,
    known integer not null generated always as (nullif(price, 0)) stored
);
create table general (id integer, sure integer generated always as (coalesce(id, 0)) stored);
create table special (sure integer generated always as (nullif(id, 1)) stored) inherits (general);
create type two as (a integer, b text);
create function whole_pair() returns two language sql as $$ select row(null, 'a')::two $$;
create function whole_toys() returns setof toy language sql stable as $$ select toy from toy $$;
create table hidden (id integer primary key);
alter table hidden enable row level security;
create table shown (hidden integer not null references hidden);
create table rented (maker integer not null references maker);
create table leased () inherits (rented);
create table word (word varchar(9) primary key);
create table part (id integer, note text);
create unique index part_key on part (id) include (note);
create table ruled (id integer primary key, name text not null);
create rule logged as on insert to ruled do instead insert into late values (null) returning 1, late.note;
create rule kept as on update to ruled do instead update late set note = null returning 1, late.note;
create rule emptied as on delete to ruled do instead update late set note = null returning 1, late.note;
create table rate (product int4range, during daterange, primary key (product, during without overlaps));
create table sold (product int4range not null, during daterange not null, foreign key (product, period during) references rate);
create function made_toys() returns setof integer language sql begin atomic insert into toy (id, price) values (1, 2); select id from toy; end;
create schema audit;
create table audit.maker (id integer, name text);
create function audited() returns table (id integer, name text) language sql stable set search_path = audit as 'select id, name from maker';
create function ten(n integer) returns integer language sql immutable as 'select 10';
create function same_word(text, text) returns boolean language sql immutable strict as $$ select lower($1) = lower($2) $$;
create function compare_words(text, text) returns integer language sql immutable strict as $$ select bttextcmp(lower($1), lower($2)) $$;
create operator === (function = same_word, leftarg = text, rightarg = text, commutator = ===);
create operator class word_ops for type text using btree as operator 3 ===, function 1 compare_words(text, text);
create table brand (code text primary key, name text not null, rank integer unique);
create unique index brand_name_key on brand (name word_ops);
create table label (brand text not null references brand (name));
create view seen as select id from hidden;
create table nowhere (id integer primary key);
create rule nothing as on insert to nowhere do instead nothing;
create rule told as on delete to nowhere do instead notify told;
create function jitter(n integer, m integer) returns integer language sql volatile as $$ select n + (random() * m)::integer $$;
create operator +? (function = jitter, leftarg = integer, rightarg = integer);
create table gone (made date not null, note text, id integer primary key);
alter table gone drop column made;
create function gones() returns setof gone language sql stable as 'select note, id from gone';
create function first_gone() returns gone language sql stable as $$ select null::text, 1 $$;
create function gone_of(of integer) returns gone language sql stable as 'select note, id from gone where id = of';
create domain two_of as two;
create domain ids as integer[];
create function paired(ids) returns integer[] language sql immutable as 'select array[$1::integer[], $1::integer[]]';
create function two_of() returns two_of language sql as $$ select row(null, 'a')::two_of $$;
create function keep_none(integer, integer, integer, integer) returns integer language sql immutable as 'select null::integer';
create aggregate unlike_lag(integer, integer, integer) (sfunc = keep_none, stype = integer);
create function done() returns void language sql as 'select 1';
create function strict_ones(n integer) returns setof integer language sql immutable strict as 'select 1';
create view filled_view as select id, name from filled;
create table moved (id integer not null, note text) partition by list (id);
create table moved_there partition of moved default;
create trigger fill before insert on moved_there for each row execute function fill();
create table stated (id integer primary key, state text default 'new');
create table watched (id integer primary key, name text);
create trigger fill before update on watched for each row execute function fill();
create table skipped (id integer primary key);
create function skip() returns trigger language plpgsql as $$ begin if new.id > 9 then return null; end if; return new; end $$;
create trigger skip before insert on skipped for each row execute function skip();
create table unset (id integer primary key);
create function unset() returns trigger language plpgsql as $$ begin New := null; return new; end $$;
create trigger unset before insert on unset for each row execute function unset();
create table reread (id integer primary key);
create function reread() returns trigger language plpgsql as $$ begin select * into new from reread where id = new.id; return new; end $$;
create trigger reread before insert on reread for each row execute function reread();
create table alike (id integer primary key);
create trigger alike before update on alike for each row execute function suppress_redundant_updates_trigger();
create table spaced (id integer, word bpchar);
create table product (id bigint generated always as identity primary key, product_name varchar(255) not null unique, price numeric(12, 2) not null);
create index product_price_idx on product (price, id);
create function second_of(out a integer, b integer, c integer) language sql immutable as 'select b';
create view ruled_view as select id, name from ruled;
create table boxed (id integer not null, size integer not null, foreign key (id, size) references box);
create operator @@@ (function = strict_ones, rightarg = integer);
create view told_toy as select id, price from toy;
create trigger told instead of update on told_toy for each row execute function fill();
create table fan (maker integer primary key references maker);
create function may_equal(text, text) returns boolean language sql immutable as $$ select coalesce($1 = $2, true) $$;
create operator =? (function = may_equal, leftarg = text, rightarg = text);
create function other_of(a integer, b integer) returns integer language sql as 'select case when a is not null then (select b) else 1 end';
create view any_toy as select id from toy limit 1;
create view owned as select owner.id, (select name from maker where id = owner.maker) as name from owner;
create table hour (at timestamp primary key);
create table only_one (id boolean primary key check (id), name text not null);
create table setting (name text primary key check ('all' = name), value integer not null, check (tableoid > 0::oid));
create schema archive;
create table archive.only_one (id integer primary key);
create table setting_of (name text primary key check (name = 'all'), value integer not null);
create table setting_too () inherits (setting_of);
create table mostly_one (
    code integer unique check (code = 1), empty text not null unique check (empty = null),
    few integer not null unique check (few = any ('{1,2}')), fixed integer not null check (fixed = 1),
    made date not null unique check (made = current_date), id integer not null unique check (id = 1 or id = 2)
);
create unique index mostly_one_key on mostly_one (fixed) where code > 0;
create table assured (
    told integer check (told is not null), "Doubted" integer, "Mine" integer check (told is not null or "Mine" is not null),
    few integer check (few > 0 or few is not null)
);
alter table assured add check ("Doubted" is not null) not valid;
create table loose (told integer check (told is not null) no inherit);
create table looser () inherits (loose);
create table noted (id integer not null, note text, amount numeric);
create unique index noted_note_key on noted (id, lower(note));
create unique index noted_amount_key on noted (id, scale(amount));
create unique index noted_nullif_key on noted (nullif(note, 'x'));
create type mood as enum ('glad', 'sad');
create table felt (id integer primary key, mood mood not null, maker integer);
create function array_position(date[], date) returns integer language sql immutable as 'select null::integer';
create table listed (
    id integer primary key, tags text[] not null check (array_position(tags, null) is null),
    words varchar(9)[] check (array_position(words, null) is null), late text[] check (array_position(late, null, 2) is null),
    either text[] check (array_position(either, null) is null or id > 1), other text[] check (array_position(tags, null) is null),
    days date[] check (array_position(days, null) is null),
    short text[] not null check (cardinality(short) < 9 and array_position(short, null) is null),
    full_ text[] not null check (array_position(full_, null) is null and full_ <> '{}' and id > 0),
    loose text[] check (id > 1 or cardinality(loose) < 9 and array_position(loose, null) is null),
    months date[] check (cardinality(months) < 9 and array_position(months, null) is null),
    first integer, last integer, another integer check (another is null or (id > 1 and another is not null)),
    check (first is not null and id > 0 and last is not null),
    check (not (id < 0 and another is not null)), check ((first is not null and id > 0) is not false)
);
create table leader (is_one boolean not null unique check (is_one is true), node integer not null);
create table voter (is_one boolean not null unique check ((not is_one) is true), node integer not null);
create table latest (is_one boolean unique check (is_one is true), node integer not null);
create table plain (tags text[] not null check (array_position(tags, null) is null) no inherit);
create table plainer () inherits (plain);
