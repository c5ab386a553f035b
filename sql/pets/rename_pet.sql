-- pets.rename_pet: gives one of the caller's pets another name
-- $1 session  uuid        the caller's login session
-- $2 id       bigint      the pet
-- $3 pet_name text        1 to 50 characters
-- $4 versions integer[]?  the versions that may be changed; null: any
-- returns: maybe RenamedPet  (none: the session has ended; a row of nulls: the caller has no such pet;
--    a null version: the pet has another one than those)
with /* pets.rename_pet */ caller as (
    select user_id from live_session($1)
),

renamed as (
    update pets set pet_name = $3, version = version + 1
    from caller
    where pets.user_id = caller.user_id and pets.id = $2 and ($4::integer[] is null or pets.version = any($4))
    returning pets.id, pets.version
)

select pets.id, $3 as pet_name, pets.user_id, renamed.version
from caller
left join pets on pets.user_id = caller.user_id and pets.id = $2
left join renamed on renamed.id = pets.id;
