-- Functions in from, and own ones, which may share a name with PostgreSQL's. Above each statement: when its columns are null.

-- who knows, who knows, never, never, itself, who knows, who knows, who knows, never
select rank(name), @#@ name, twice(id), strict_twice(id), strict_twice(length(note)), first_toy(), opaque(), again(1), some_default() from maker;

-- never, never, itself
select t.id, t.price, t.note from toys_of(1) as t;

-- never, itself
select p.a, p.b from pair() as p;

-- never
select t from twice(1) as t;

-- never
select number from generate_series(1, 2) as number;

-- never, never
select n.number, n.at from unnest(array[1, 2]) with ordinality as n (number, at);

-- who knows, who knows, never
select a, b, at from unnest(array[1], array[2, 3]) with ordinality as t (a, b, at);

-- never
select generate_series(1, 2);

-- who knows, who knows
select generate_series(1, 2), generate_series(1, 3);

-- never, never
select generate_series(1, 2), (select count(*) from generate_series(1, 3));

-- who knows, who knows
select generate_series(1, 2), @@@ 1;

-- never
select today from current_date as today;

-- never, who knows
select e.key, e.value from toy cross join jsonb_each_text(toy.data) as e (key, value);

-- itself, itself, never, who knows
select format(note, 1), string_to_array(note, ','), concat_ws(',', note), format(name, variadic tags) from maker;

-- who knows
select date_part(note, made) from maker;

-- who knows
select truncated();

-- never, itself, itself
select (whole_pair()).b, (whole_pair()).a, name_of(maker) from maker;

-- itself, itself, never
select (strict_pair(length(note))).a, pair.b, named.b from maker cross join lateral strict_pair(null) as pair cross join strict_pair(2) as named;

-- never, itself, never, itself
select plus(1), plus(1, null), plus(more => 1, n => 2), strict_or_null(1) from maker;

-- itself, never
select first_of(b => 1, a => null), first_of(b => null, a => 1);

-- itself, never
select w.a, w.b from whole_pair() as w;

-- never
select w.id from whole_toys() as w;

-- never
select r from unnest('{[1,2)}'::int4multirange) as r;

-- itself, itself
select id, name from audited();

-- itself, never
select note, id from gones();

-- who knows, who knows
select found.id, (gone_of(1)).id from gone_of(1) as found;

-- itself, never, itself
select first.note, first.id, (first_gone()).note from first_gone() as first;

-- who knows, who knows, never
select m.id, m.note, m.place from unnest(array(select maker from maker)) with ordinality as m (id, name, note, made, tags, place);

-- who knows, who knows
select t.a, u.a from two_of() as t cross join coalesce(row(null, 'a')::two) as u;

-- who knows, who knows
select done(), d from done() as d;

-- itself, never
select second_of(null, 1), second_of(1, null);

-- itself
select other_of(1, null);
