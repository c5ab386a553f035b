-- Subqueries, set operations and common table expressions. Above each statement: when its columns are null.

-- never
select toy.id from maker left join toy on toy.maker = maker.id where toy.id in (select id from box);

-- join
select toy.id from maker left join toy on toy.maker = maker.id where exists (select from box where box.id = toy.id);

-- never, who knows, never, never
select exists (select from toy), (select min(id) from toy), (select count(*) from toy), array(select note from maker);

-- never, itself, never, never
select 1 = any (select id from toy), 1 = any (select maker from toy), 1 <> all (select id from toy), (1, 2) in (select id, id from toy);

-- never, who knows, who knows, who knows
select (select 1), (select 1 where random() > 2), (select id from toy limit 1), (select count(*) from toy having count(*) > 1);

-- never
select page.id from (select id from maker order by name limit 3) as page where page.id > 1;

-- never, itself
select m.id, page.id from maker as m cross join (select 1 as id union all select maker from toy) as page;

-- never
select id from maker union select id from toy;

-- itself
select id from maker union all select maker from toy order by 1;

-- never, itself
select id, note from maker except select maker, 'a' from toy;

-- never, never
select id, note from maker intersect select maker, 'a' from toy;

-- never, itself
values (1, 'a'), (2, null);

-- never, itself
select v.n, v.t from (values (1, 'a'), (2, null)) as v (n, t);

-- never, itself
with made as (insert into maker (id, name) values (1, 'a') returning id, note) select made.id, made.note from made;

-- never, join
with made as materialized (select maker.id, price from maker left join toy on maker = maker.id) select * from made;

-- itself, never
with made (id, note) as (select note, id from maker) select id, note from made;

-- never, itself, never
with recursive down as (select id, note, 1 as depth from maker union all select toy.id, down.note, depth + 1 from down inner join toy on toy.maker = down.id) select id, note, depth from down;

-- never, never, itself
with recursive down as (select id, name, null::integer as up from maker union all select toy.id, down.name, down.id from down inner join toy on toy.maker = down.id) select id, name, up from down;

-- itself, itself
with recursive down as (select 1 as a, 2 as b union all select b, null::integer from down) select a, b from down;

-- never, who knows
with recursive down as (select id from maker union all select id from down) search depth first by id set place select id, place from down;

-- never, never
select lateral_toy.price, lateral_toy.note from maker cross join lateral (select toy.price, maker.note from toy where toy.maker = maker.id) as lateral_toy where maker.note is not null;

-- itself, never
select (select maker.note), (select maker.name) from maker;

-- never
select age from (select 1 as age) as a natural join (select 1 as age) as b;

-- who knows, itself
with recursive r (id, n) as (select 1, 1 union all select case when r.id = 1 then 2 end, s.n from r left join lateral strict_ones(r.id) as s (n) on true) select id, n from r;

-- never
with "a b" as (select note from maker), "c d" as (select id from maker) select id from "c d";

-- itself
select page.note from toy cross join maker cross join lateral (select m.note from toy as t cross join maker as m where maker.note is not null) as page;
