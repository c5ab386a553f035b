-- What tables and views declare. Above each statement: when its columns are null.

-- itself, never
select m.name, m.id from maker as m (id, b, name);

-- never, never, itself
select id, size, label from box;

-- itself, itself
select p.id, p.code from parent as p;

-- itself
select c.code from coded as c;

-- itself
select note from late;

-- who knows
select k.id from kept as k;

-- never, never
select p.id, p.price from priced as p;

-- never, never, never, never
select xmax = 0, tableoid::regclass, ctid, toy from toy;

-- who knows
select t.n from json_table('[1]', '$[*]' columns (n integer path '$')) as t;

-- never
select number from constant;

-- never, itself, never, itself
select computed.twice, total, computed.sure, general.sure from computed inner join general on general.id = computed.id;

-- never, itself
select total, tax from (select total, tax from computed where tax is not null) as taxed union all select 1, null;

-- join, never
select computed.sure, case when computed.tax is not null then total else 0 end from toy left join computed on computed.id = toy.id;

-- never
select known from computed;

-- never, itself, itself, itself
select told, "Doubted", "Mine", few from assured;

-- itself
select told from loose;

-- never, never, itself
select l.first, l.last, l.another from listed as l;
