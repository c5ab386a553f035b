-- pets.rename_pet: renames one of the caller's pets
-- $1 session  uuid        the caller's login session
-- $2 user     uuid        the caller
-- $3 id       bigint      the pet
-- $4 pet_name text        1 to 50 characters
-- $5 versions integer[]?  the pet's version must be one of these; null: any
-- returns: maybe RenamedPet  (no row: the session has ended; a null id: the caller has no such pet;
--    a null version: the pet has another version)
with /* pets.rename_pet */ caller as (
    select user_id from live_session
    where session_id = $1 and user_id = $2
),

renamed as (
    update pets set pet_name = $4, version = version + 1
    from caller
    where pets.user_id = $2 and pets.id = $3 and ($5::integer[] is null or pets.version = any($5))
    returning pets.id, pets.version
)

select pets.id, $4 as pet_name, pets.user_id, renamed.version
from caller
left join pets on pets.user_id = $2 and pets.id = $3
left join renamed on renamed.id = pets.id;
