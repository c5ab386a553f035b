-- pets.create_pet: creates a pet for the caller
-- $1 session  uuid  the caller's login session
-- $2 user     uuid  the caller
-- $3 pet_name text  1 to 50 characters
-- returns: one VersionedPet  (no row: the session has ended)
with /* pets.create_pet */ caller as materialized (
    select user_id from live_session
    where session_id = $1 and user_id = $2
)

insert into pets (user_id, pet_name)
select user_id, $3 from caller
returning id, pet_name, user_id, version;
