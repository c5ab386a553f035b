-- What changes return. Above each statement: when its columns are null.

-- never, itself, itself, never
insert into maker (id, name) values (1, 'a') returning id, note, old.id, new.id;

-- itself, never
insert into maker (id, name) values (1, 'a') on conflict (id) do update set name = excluded.name returning old.name, new.name;

-- itself, never, never
update maker set note = null where note is not null returning note, old.note, new.name;

-- never, never
update maker set name = toy.price::text from toy where toy.maker = maker.id returning toy.price, toy.maker;

-- never, never, itself
delete from maker where note is not null returning note, old.name, new.name;

-- never, itself, never, itself
merge into maker using toy on toy.maker = maker.id when matched then delete when not matched by source then delete returning merge_action(), toy.id, maker.id, old.id;

-- never, never
merge into maker using toy on toy.maker = maker.id when matched then delete returning toy.id, maker.id;

-- who knows
insert into priced (id, price) values (1, 2) returning id;

-- never, itself
insert into maker (id, name, note) values (1, 'a', 'b') returning note, made;

-- itself
insert into maker (id, name, note) values (1, 'a', null) returning note;

-- never, itself
insert into maker (id, name, note) values (1, 'a', 'b') on conflict (id) do update set note = excluded.note, made = excluded.made returning note, made;

-- itself
insert into maker (id, name, note) values (1, 'a', 'b') on conflict (id) do update set name = 'c' returning note;

-- never, itself
update maker set note = coalesce(note, 'a'), made = made + 1 returning note, made;

-- never
update maker set note = note || 'a' where note is not null returning note;

-- itself
insert into filled (id, note) values (1, 'a') returning note;

-- never, who knows
update maker set (name, note) = (select 'a', null) where id = 1 returning name, note;
