-- pets.delete_pet: deletes one of the caller's pets
-- $1 session  uuid        the caller's login session
-- $2 user     uuid        the caller
-- $3 id       bigint      the pet
-- $4 versions integer[]?  the pet's version must be one of these; null: any
-- returns: maybe DeletedPet  (no row: the session has ended; a null id: the caller has no such pet)
with /* pets.delete_pet */ caller as (
    select user_id from live_session
    where session_id = $1 and user_id = $2
),

deleted as (
    delete from pets using caller
    where pets.user_id = $2 and pets.id = $3 and ($4::integer[] is null or pets.version = any($4))
    returning pets.id
)

select pets.id, deleted.id is not null as deleted
from caller
left join pets on pets.user_id = $2 and pets.id = $3
left join deleted on deleted.id = pets.id;
