-- pets.delete_pet: removes one of the caller's pets
-- $1 session  uuid        the caller's login session
-- $2 id       bigint      the pet
-- $3 versions integer[]?  the versions that may be removed; null: any
-- returns: maybe DeletedPet  (none: the session has ended; a row of nulls: the caller has no such pet)
with /* pets.delete_pet */ caller as (
    select user_id from live_session($1)
),

deleted as (
    delete from pets using caller
    where pets.user_id = caller.user_id and pets.id = $2 and ($3::integer[] is null or pets.version = any($3))
    returning pets.id
)

select pets.id, deleted.id is not null as deleted
from caller
left join pets on pets.user_id = caller.user_id and pets.id = $2
left join deleted on deleted.id = pets.id;
