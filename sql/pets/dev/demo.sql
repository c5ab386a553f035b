-- Adds pets to the demo user that `make dev` has just created.
-- $1 email text
insert into pets (user_id, pet_name)
select user_model.id, demo.pet_name
from user_model
cross join unnest(array['Ada', 'Bello', 'Minka', 'Tadeusz']) as demo (pet_name)
where user_model.email = $1;
