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

-- never, itself, never, never
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

-- itself, itself
update maker set note = null returning case when old.note is not null then new.note else 'a' end, case when new.note is not null then old.note else 'a' end;

-- itself
update maker set note = null returning case when old.note is null or old.made is null then 'a' else new.note end;

-- itself, never
delete from maker returning case when old.name is not null then new.name else 'a' end, case when old.note is not null then old.note else 'a' end;

-- itself
delete from maker where note is not null returning new.note;

-- itself, never
merge into maker using toy on toy.maker = maker.id when matched then delete when not matched then insert (id, name) values (toy.id, 'a') returning case when old.name is not null then new.name else 'a' end, case when new.id is not null then new.name else 'a' end;

-- itself
merge into maker using (toy inner join owner on owner.maker = toy.maker) on owner.id = maker.id when matched then delete when not matched by source then delete returning toy.maker;

-- itself, never
insert into maker (id, name) values (1, 'a') on conflict (id) do update set note = 'b' returning case when new.name is not null then old.name else 'a' end, case when old.id is not null then old.name else 'a' end;

-- itself
update maker set name = 'a', note = note || 'a' returning case when note is not null then note else made::text end;

-- itself
update maker set note = 'a', made = note::date returning case when note is not null then made else current_date end;

-- itself
with changed as (update maker set note = null where note is not null returning note) update maker as other set note = changed.note from changed returning other.note;

-- never, who knows
update maker set (name, note) = (select 'a', null) where id = 1 returning name, note;

-- never
update maker set name = 'a' where note is not null returning note;

-- itself
update parent set id = 1 where id > 1 returning id;

-- itself
update parent set code = 'a' where id > 1 returning id;

-- never, never, itself
merge into maker using toy on toy.maker = maker.id when matched then update set name = 'a' when not matched then insert (id, name) values (toy.id, 'a') returning merge_action(), new.name, old.name;

-- never, itself, never, never
update computed set tax = null where tax is not null returning twice, total, sure, id;

-- never, itself, itself
insert into computed (id, price, tax) values (1, 2, null) on conflict (id) do update set tax = excluded.sure returning twice, total, tax;

-- who knows, who knows
insert into ruled (id, name) values (1, 'a') returning id, name;

-- who knows, who knows
update ruled set name = 'a' where id = 1 returning id, name;

-- who knows
update ruled set name = 'a' where name = 'b' returning old.name;

-- who knows
update ruled_view set name = 'a' where name = 'b' returning old.name;

-- itself
update moved set id = 2 where note is not null returning note;

-- never
update stated set id = 2 where state = 'old' returning state;

-- who knows
insert into owner (maker, id) values (1, 2) returning (select name from maker where maker.id = owner.maker);

-- itself
update maker set note = null where upper(note) <> '' returning upper(note);

-- never
insert into watched (id, name) values (1, 'a') returning name;

-- never
update filled set note = 'a' where id = 1 returning note;

-- never
insert into box (id, size, label) values (1, 1, 'a') returning label;

-- itself
update maker set note = 'a' from maker as other returning other.note;

-- never
insert into maker (id, name, note) values (1, 'a', 'b') on conflict do nothing returning note;

-- itself
insert into maker (id, name) values (1, 'a') on conflict (id) do update set note = 'b' returning note;

-- never
insert into maker (id, name, note, made) values (1, 'a', 'b', null) on conflict (id) do update set note = excluded.note returning note;

-- itself
insert into maker (id, name, note) values (1, 'a', 'b') on conflict (id) do update set note = excluded.made::text returning note;

-- itself
update maker set note = 'a' where id = 1 returning old.note;
