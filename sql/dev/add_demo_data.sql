-- dev.add_demo_data: adds the demo user and some pets, unless the user is there already
-- $1 email           text
-- $2 hashed_password text    argon2id
-- $3 pet_names       text[]
-- returns: count  (the pets that were added)
with /* dev.add_demo_data */ demo as (
    insert into user_model (email, hashed_password) values ($1, $2)
    on conflict (lower(email)) do nothing
    returning id
)

insert into pets (user_id, pet_name)
select demo.id, pet_name
from demo
cross join unnest($3::text[]) as pet_name;
