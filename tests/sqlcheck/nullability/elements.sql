-- Elements of arrays. Above each statement: when its columns elements are null.

-- never, never, never, never, never
select array_agg(id), array_agg(note) filter (where note is not null), array_remove(array_agg(note), null), coalesce(array_agg(name), '{}'), string_to_array('a,b', ',') from maker;

-- who knows, who knows, who knows, who knows, never, who knows
select tags, tags || array['a'], array_append(tags, 'a'), array_replace(tags, 'a', 'b'), array(select id from toy), array_cat(null, tags) from maker;

-- never, who knows, who knows
with recursive down as (select id, array[id] as path, tags from maker union all select toy.id, 0 || path || toy.id, tags || 'a'::text from down inner join toy on toy.maker = down.id) select path, tags || 'a'::text, tags from down;

-- never, who knows, who knows, never, who knows
select array_agg(id) over (), array_agg(note) over (), array_agg(array[note]) over (), ('{1,2}'::integer[])[1:2], tags[1:2] from maker;

-- never, who knows, who knows, never
select array[array[id], array[1]], array[array[note]], array_agg(tags), array(select array[toy.id] from toy) from maker group by id;

-- never, who knows, who knows, who knows
select array_replace(array['a'], 'a', 'b'), array_replace(array['a'], 'a', null), 'a'::text::text[], array[name] || note from maker;

-- never, never, who knows, never
select array[1]::text[], array['a']::varchar[], array(select now())::time[], array[]::text[] from maker;

-- who knows
select case when note is not null then array_agg(note) over (order by id) else '{}' end from maker;

-- never, never
select case when id > 1 then array[id] end, (select array_agg(id) from toy group by maker limit 1) from maker;

-- never, never, who knows, who knows
select percentile_cont(array[0.5, 0.9]) within group (order by id), percentile_disc('{0.5}'::float8[]) within group (order by name), percentile_cont(array[0.5, null]) within group (order by id), percentile_disc(0.5) within group (order by tags) from maker group by note;

-- never
select page.ids from (select array_agg(id) as ids from maker group by name) as page where page.ids <> '{}';

-- who knows, never
select array(select array(select note from maker)), array(select (select array[toy.id]) from toy);

-- never, never, who knows, who knows, who knows, who knows
select tags, words, late, either, other, days from listed;

-- never, never, who knows, who knows
select short, full_, loose, months from listed;

-- who knows
select tags from plain;

-- never, who knows
update listed set words = array[null]::varchar[], either = array[null]::text[] returning words, either;

-- never, who knows
insert into maker (id, name, tags) values (1, 'a', array['a']) returning new.tags, old.tags;

-- who knows
insert into maker (id, name, tags) values (1, 'a', '{}') on conflict (id) do update set note = 'a' returning tags;
