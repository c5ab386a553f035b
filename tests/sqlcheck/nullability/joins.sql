-- Outer joins, and conditions that turn them into inner ones. Above each statement: when its columns are null.

-- never, join
select maker.id, toy.id from maker left join toy on toy.maker = maker.id;

-- never, join
select maker.id, toy.id from toy right join maker on toy.maker = maker.id;

-- join, join, join
select maker.id, toy.id, coalesce(toy.maker, maker.id) from maker full join toy on toy.maker = maker.id;

-- never
select id from maker full join toy using (id);

-- join, never, itself
select maker.id, toy.id, toy.maker from maker full join toy on toy.maker = maker.id where toy.price > 1;

-- never
select toy.id from maker left join toy on toy.maker = maker.id where toy.price > 1;

-- join
select toy.id from maker left join toy on toy.maker = maker.id where toy.price > 1 or toy.id in (1, 2);

-- join
select toy.id from maker left join toy on toy.maker = maker.id where toy.price > 1 or maker.id = 1;

-- never
select toy.id from maker left join toy on toy.maker = maker.id where toy.id is not null;

-- never
select toy.id from maker left join toy on toy.maker = maker.id where not (toy.price > 1);

-- never
select toy.id from maker left join toy on toy.maker = maker.id where (toy.price > 1) is true;

-- join
select toy.id from maker left join toy on toy.maker = maker.id where (toy.price > 1) is not true;

-- never
select toy.id from maker left join toy on toy.maker = maker.id where abs(toy.price) = any (array[1, 2]);

-- join
select toy.id from maker left join toy on toy.maker = maker.id where rank(toy.price::text) = 'a';

-- never
select toy.id from maker left join toy on toy.maker = maker.id where strict_twice(toy.id) = 2;

-- never, never
select toy.id, box.id from maker left join toy on toy.maker = maker.id left join box on box.id = toy.id where box.size = 1;

-- never, never
select toy.id, box.id from maker left join toy on toy.maker = maker.id inner join box on box.id = toy.id;

-- never, never
select toy.id, m.note from toy inner join (maker as m left join box on box.id = m.id) on m.id = toy.maker where m.note <> '';

-- never, never
select toy.maker, toy.id from toy where maker is not null;

-- never, join, never
select toy.id is null, toy.price * 2, coalesce(toy.price, 0) from maker left join toy on toy.maker = maker.id;

-- who knows
select tag from maker cross join unnest(maker.tags) as tag;

-- never
select j.value from toy cross join jsonb_array_elements(toy.data) as j;

-- join, join
select toy.xmax = 0, toy from maker left join toy on toy.maker = maker.id;

-- never, itself
select j.id, j.note from (maker left join toy using (id)) as j;

-- never, never
select owner.id, maker.name from owner left join maker on maker.id = owner.maker;

-- never
select maker.name from toy left join maker on maker.id = toy.maker where toy.maker is not null;

-- join, join
select owner.id, maker.id from toy left join owner on owner.id = toy.id left join maker on maker.id = owner.maker;

-- never
select maker.id from toy left join owner on owner.id = toy.id left join maker on maker.id = owner.maker where owner.id > 0;

-- never
select maker.name from maker right join owner on maker.id = owner.maker;

-- join
select maker.name from owner left join maker on maker.id = owner.maker and maker.id > 1;

-- join
select maker.name from owner left join maker on maker.id = owner.maker and owner.id > 1;

-- join
select maker.name from owner left join maker on maker.id = owner.id;

-- join
select maker.name from owner left join maker on true;

-- join
select page.id from owner left join (select id from maker) as page on page.id = owner.maker;

-- never, who knows
select data ->> 'a', data ->> 'b' from toy where data ->> 'a' is not null;

-- who knows
select opaque() from toy where opaque() is not null;

-- never
select coalesce(maker.note, toy.data ->> 'a') from toy left join maker on maker.id = toy.maker where coalesce(maker.note, toy.data ->> 'a') is not null;

-- join
select hidden.id from shown left join hidden on hidden.id = shown.hidden;

-- join
select maker.name from rented left join maker on maker.id = rented.maker;

-- join
select maker.name from owner left join maker tablesample bernoulli (1) on maker.id = owner.maker;

-- join
select p.id from parent as c left join only parent as p on p.id = c.id where c.id is not null;

-- never, who knows
select page.number, page.price from maker left join lateral (select count(*) as number, max(price) as price from toy where toy.maker = maker.id) as page on true;

-- never, never
select page.maker, page.name from (select maker.id as maker, maker.name from toy left join maker on maker.id = toy.maker) as page where page.name <> '';

-- never, join
select page.a, page.b from (select m.name as a, n.name as b from made_toy as m cross join made_toy as n) as page where page.a <> '';

-- never, join
with made as (select maker.name from toy left join maker on maker.id = toy.maker) select page.a, page.b from (select m.name as a, n.name as b from made as m cross join made as n) as page where page.a <> '';

-- never, itself
select note, made from maker where note not in ('a', null) and made <> all ('{}'::date[]);

-- never, itself
select made, note from maker where (made, note) < ('2020-01-01', 'a');

-- never, never, itself
select note, made, null::text from maker where not (note is null or made is null);

-- itself, itself
select note, made from maker where not (note is null and made is null);

-- never, never, itself
select note, data, null::text from (select maker.note, toy.data, toy.price from maker left join toy on toy.maker = maker.id) as page where coalesce(note, '') <> '' and 0 < coalesce(price, 0);

-- itself, itself
select note, made from maker where coalesce(note, 'a') <> '' and coalesce(made, current_date) >= current_date;

-- never
select note from maker where nullif(trim(note), '') is not null;

-- never, join
select sold.product, rate.product from sold left join rate on rate.product = sold.product and rate.during = sold.during;

-- never, join
select made, toy.id from made_toys() as made left join toy on toy.id = made;

-- never, join
select owner.id, maker.id from owner left join maker on maker.id = owner.maker for update of owner;

-- never, join
with owner as (select id, maker from owner for update) select owner.id, maker.id from owner left join maker on maker.id = owner.maker;

-- never, join
select box.id, box_small.id from boxed inner join box on box.id = boxed.id and box.size = boxed.size left join box_small on box_small.id = boxed.id and box_small.size = boxed.size;

-- join
select brand.name from label left join brand on brand.name = label.brand;

-- never
select brand.name from label left join brand on brand.name === label.brand;

-- never, join
select seen.id, hidden.id from seen left join hidden on hidden.id = seen.id;

-- never, join, never
select maker.id, n.n, m.m from maker left join lateral strict_ones(length(maker.note)) as n (n) on true left join lateral strict_ones(maker.id) as m (m) on true;

-- never, never
select m.name, (select maker.name from maker where maker.id = owner.maker) from owner left join lateral (select name from maker where id = owner.maker) as m on true;

-- who knows, who knows
select (select name from maker where id = toy.maker), (select name from maker where id = owner.maker and id > 1) from toy cross join owner;

-- who knows
select (select name from maker where id = owner.maker) from owner for update of owner;

-- who knows
select name from owned for update;

-- never
select name from owned;

-- join, join
select c.id, p.left_id from maker as a cross join maker as b left join maker as c on c.id = a.id and c.name = b.name left join pair as p on p.left_id = a.id and p.right_id = b.id;

-- join
select maker.id from owner as a cross join owner as b left join maker on maker.id = a.maker and maker.id = b.maker;

-- join
select pair.left_id from (select a.left_id, b.right_id from pair as a cross join pair as b) as mixed left join pair on pair.left_id = mixed.left_id and pair.right_id = mixed.right_id;

-- join, never
with both_sides as (select maker.id as a, toy.id as b from maker full join toy on toy.maker = maker.id) select coalesce(one.a, two.b), coalesce(one.a, one.b) from both_sides as one cross join both_sides as two;

-- join
with both_sides as (select maker.id as a, toy.id as b from maker full join toy on toy.maker = maker.id) select a from both_sides intersect select b from both_sides;

-- itself
with recursive up (a, b) as (select 1, 1 union select coalesce(up.b, maker.id), toy.id from up cross join (maker full join toy on toy.maker = maker.id)) select a from up;

-- join, join, never
select coalesce(lag(maker.id, 1, maker.id) over (), toy.id), coalesce(first_value(maker.id) over (), toy.id), coalesce(max(maker.id) over (), toy.id) from maker full join toy on toy.maker = maker.id;

-- join
select page.id from (select owner.id, maker.name from owner full join maker on maker.id = owner.maker) as page where page.name <> '';

-- join
select b.id from owner as a left join owner as b on b.id = a.maker;

-- join
select m.name from owner as a cross join toy as t left join maker as m on t.id = a.maker;

-- join
select l.name from toy cross join maker as z cross join lateral (select m.name from owner as b left join maker as m on z.id = b.maker) as l;

-- itself, itself, itself
select maker.note, a.note, b.note from maker cross join maker as a cross join maker as b where maker.note is null and a.note =? 'a' and b.note =? any (array['a']);

-- itself, itself
select a.note, b.note from maker as a cross join maker as b where a.note <> all (select label from box) and coalesce(b.note, opaque()::text) <> opaque()::text;

-- never, never
select upper(note), tags[1] from maker where upper(note) <> '' and tags[1] = 'a';

-- join
select j.data from (maker left join toy on toy.maker = maker.id) as j where j = j;

-- join
select maker.id from (select maker from owner union all select 1) as page left join maker on maker.id = page.maker;

-- join
select page.id from (select maker.id, maker.name from toy left join maker on maker.id = toy.maker) as page cross join box where box.size > 1;

-- join
select name from (select name, case when price > 1 then name else '' end as shown from toy left join maker on maker.id = toy.maker) as page where shown <> 'a';

-- never, who knows, join
select a.n, b.most, toy.id from (select count(*) as n from maker) as a full join (select max(id) as most, 1 as one from toy) as b on true full join toy on true;

-- join, join
select a.n, b.n from (select 1 as n) as a full join (select 2 as n) as b on a.n = b.n;
