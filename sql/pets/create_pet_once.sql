-- pets.create_pet_once: creates a pet for the caller, once per Idempotency-Key
-- $1 session  uuid  the caller's login session
-- $2 user     uuid  the caller
-- $3 pet_name text  1 to 50 characters
-- $4 key      text  the Idempotency-Key, 1 to 255 visible ASCII characters
-- returns: maybe PetOnce  (no row: the session has ended; a null id: a request with this key is in progress)
-- The lock is held until the first request has committed. So the next holder finds that request's row committed, and
-- `on conflict do update` sees it even if it is newer than this statement's snapshot.
with /* pets.create_pet_once */ caller as materialized (
    select user_id from live_session
    where session_id = $1 and user_id = $2
),

request as (
    select
        user_id,
        pg_try_advisory_xact_lock(hashtextextended(user_id || ' ' || $4, 0)) as is_alone,
        sha256(convert_to('pets.create_pet_once ' || $3, 'UTF8')) as sha256,
        nextval('pets_id_seq') as pet_id
    from caller
),

known as (
    insert into idempotency_key as was (user_id, key, request_sha256, resource_id)
    select user_id, $4, sha256, pet_id from request
    where is_alone
    on conflict (user_id, key) do update
        set
            request_sha256 = case
                when excluded.created_at - was.created_at < interval '24 hours' then was.request_sha256
                else excluded.request_sha256
            end,
            resource_id = case
                when excluded.created_at - was.created_at < interval '24 hours' then was.resource_id
                else excluded.resource_id
            end,
            created_at = case
                when excluded.created_at - was.created_at < interval '24 hours' then was.created_at
                else excluded.created_at
            end
    returning request_sha256, resource_id
),

created as (
    insert into pets (user_id, id, pet_name) overriding system value
    select request.user_id, request.pet_id, $3
    from request
    inner join known on known.resource_id = request.pet_id
)

select
    known.resource_id as id,
    $3 as pet_name,
    request.user_id,
    1 as version, -- of a new pet
    known.request_sha256 = request.sha256 as is_same_request
from request
left join known on true;
