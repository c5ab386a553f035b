-- Operators, functions and aggregates of PostgreSQL's. Above each statement: when its columns are null.

-- never, who knows, itself
select coalesce(note, name), coalesce(note, made::text), coalesce(note) from maker;

-- never, itself, itself, never, never
select name = 'a' and id > 1, note = 'a', name || note, note is distinct from name, -id from maker;

-- never, who knows, never, never, never
select id in (1, 2), id = any (array[1, null]), name like 'a%', id between 1 and 2, (id, name) < (1, 'a') from maker;

-- never, who knows, who knows
select id = any ('{1,2}'), id = any ('{1,null}'), name = any (tags) from maker;

-- never, who knows
select case when id > 1 then name else 'a' end, case when id > 1 then name end from maker;

-- never, never
select case when note is not null then note else 'a' end, case when note is null or made is null then 'a' else note end from maker;

-- itself, itself
select case note when 'a' then note else 'a' end, case when note = 'a' then 'b' else note end from maker;

-- never, who knows, never
select count(*), max(id), count(*) filter (where id > 1) from maker;

-- never, never, itself, who knows, never, never
select name, max(id), max(note), sum(id) filter (where id > 1), string_agg(name, ','), array_agg(note) from maker group by name;

-- never, who knows, who knows, who knows, who knows
select array_agg(t.id) filter (where t.price is not null), array_agg(t.id) filter (where m.id is not null), sum(t.id) filter (where t is not null), array_agg(t.id) filter (where t.id is null), max(t.id) filter (where t.price is not null and t.id > 1) from toy as t left join maker as m on m.id = t.maker group by t.maker;

-- who knows
select array_agg(id) filter (where id is not null) from toy;

-- never, never
select note, min(note) from maker group by note having note is not null and count(*) > 1;

-- never, never, never
select toy.price + maker.id, maker.id, array_agg(maker.name) from toy left join maker on maker.id = toy.maker group by toy.price, maker.id having toy.price > 0 and maker.id > 0;

-- never, who knows, who knows, who knows, who knows
select (array_agg(id order by made))[1], (array_agg(note))[1], (array_agg(id))[2], (array_agg(array[id]))[1], (string_to_array(name, ','))[1] from maker group by name;

-- who knows
select (array_agg(id))[1] from maker;

-- who knows, never, never
select id, count(*), grouping(id) from maker group by grouping sets ((id), ());

-- never, never, who knows, never, never
select row_number() over (), rank() over (order by id), lag(id) over (), lag(id, 1, 0) over (), ntile(2) over () from maker;

-- never, who knows, never, who knows, who knows
select sum(id) over (order by id), sum(id) over (rows between 1 following and 2 following), first_value(name) over (), sum(id) filter (where id > 1) over (), unlike_lag(id, 1, 0) over () from maker;

-- never, itself, never, never, never, never, who knows, never
select 1, null::text, 'a'::text, array[1], now(), current_date, current_schema, row(1, null);

-- never, who knows, who knows, who knows, never
select greatest(id, null), least(note, note), nullif(id, 1), coalesce(opaque(), opaque()), (note = 'a') is true from maker;

-- never, never, never, never
select name collate "C", name::varchar(3), id::text, id::bigint from maker;

-- never, itself, never, who knows, who knows, never
select lower(name), upper(note), substring(name from 1 for 2), substring(name from 'b+'), array_length(tags, 1), cardinality(tags) from maker;

-- itself, never, never, never, who knows
select extract(year from made), extract(day from current_date), extract(day from now()), date_trunc('day', now()), to_char(now(), 'YYYY') from maker;

-- never, never, never, never, never, never
select concat(note, 'a'), concat(variadic tags), json_build_object('a', note), jsonb_build_array(note), to_jsonb(name), json_object('a': note) from maker;

-- who knows, who knows, who knows, never, never, never
select data -> 'a', data ->> 'a', (data -> 'a')::integer, jsonb_typeof(data), data || '{}', data ? 'a' from toy;

-- never, join
select m.id, m.name from made_toy as m;

-- never, never
select jsonb_agg(id), json_agg(note) from maker group by name;

-- never, who knows
select (maker).name, (maker.tags)[1] from maker;

-- never, itself
select case when maker.note is not null then shown.note else 'a' end, shown.note from maker cross join lateral (select maker.note) as shown (note);

-- never, itself
select case when toy.maker is not null then doubled.id else 1 end, doubled.id from toy cross join lateral (select twice(toy.maker)) as doubled (id);

-- never, join
select case when toy.maker is not null then maker.name else 'a' end, maker.name from toy left join maker on maker.id = toy.maker;

-- who knows
select case when id > 1 then 'a' else null::varchar::text end from maker;

-- never
select case when note is not null then note else 'a' end from maker group by note;

-- who knows
select (id, 2) < (select 1, null::integer) from maker;

-- never, never, who knows, who knows
select avg(id) over (order by id rows between 2 preceding and current row), last_value(name) over (rows between unbounded preceding and unbounded following exclude ties), sum(id) over (rows between 2 preceding and 1 preceding), max(id) over (rows between unbounded preceding and unbounded following exclude current row) from maker;

-- never, never, who knows, never, never
select name, coalesce(note, 'all'), note, count(*), row_number() over (order by name) from maker where note is not null group by name, rollup (note);

-- who knows, who knows, never
select name as first, name as second, count(*) from maker group by first, rollup (second);

-- never, itself, itself, never
select percentile_cont(0.5) within group (order by id), mode() within group (order by note), percentile_disc(null) within group (order by id), percentile_disc(0.5) within group (order by id) from maker group by name;

-- never, never
select json_arrayagg(id), rank() over (order by count(*)) from maker group by name;

-- never, never, never, itself, who knows
select json_arrayagg(note), json_objectagg(name : note absent on null), json_scalar(count(*)), json_scalar(note), json_array(select id from toy) from maker group by name, note;

-- never, never, who knows
select data -> 'a', data ->> 'b', data ->> 'c' from toy where jsonb_typeof(data -> 'a') = 'number' and (data ->> 'b')::integer > 1;

-- never, itself, never, never
select tags[2:], tags[1:length(note)], name is json, json(name) from maker;

-- never, never, never, never
select array_agg(note) over (order by id), json_agg(note) over (), max(name) over (), array_agg(id) over () from maker;

-- never, never
select case when note is not null then note else 'a' end, case when name is not null then name else 'a' end from maker group by cube (note, name);

-- itself
select note from maker where note <> all (array[array[]::text[]]);

-- itself, itself, never
select case when note is not null then lag(note, 1, 'a') over (order by id) else 'a' end, case when note is not null then first_value(note) over (order by id) else 'a' end, case when note is not null then max(id) over () else 1 end from maker;

-- never, never, itself
select name, max(note), max(made) from maker group by name having max(note) > 'a' and count(*) > 1;

-- never, never
select sum(id), count(*) from maker having sum(id) > 1;

-- itself, itself
select max(note), max(made) from maker group by name having max(note) > 'a' or max(made) is not null;

-- itself
select case when note is not null then 'a' else note end from maker;

-- never, who knows
select (two).a, (two).b from (select null::two as two from maker) as t where (two).a > 1;
