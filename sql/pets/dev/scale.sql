-- Ten pets for each user of sql/dev/scale.sql, and the arguments of the queries.
insert into pets (user_id, pet_name)
select id, 'Pet ' || n
from user_model
cross join generate_series(1, 10) as n;

insert into argument
select 'pets.id', min(pets.id)::text
from caller
inner join pets on pets.user_id = caller.user_id;

insert into argument values ('pet_name', 'Tadeusz'), ('after_name', ''), ('after_id', '0');
