-- users.fill_email_keys: fills unique email keys, and returns the accounts whose key is not unique
-- $1 ids        uuid[]  the accounts
-- $2 email_keys text[]  their keys, in the same order
-- returns: many Collision
-- not null: id, email_key (the arguments contain no nulls)
-- An account that is neither filled nor returned was deleted, or filled by another run, since it was listed.
with /* users.fill_email_keys */ wanted as (
    select
        wanted.id,
        wanted.email_key,
        count(*) over (partition by wanted.email_key) as accounts
    from unnest($1::uuid[], $2::text[]) as wanted (id, email_key)
),

taken as (
    select user_model.email_key
    from user_model
    inner join wanted on wanted.email_key = user_model.email_key and wanted.id <> user_model.id
),

filled as (
    update user_model set email_key = wanted.email_key
    from wanted
    left join taken on taken.email_key = wanted.email_key
    where
        user_model.id = wanted.id and user_model.email_key is null and wanted.accounts = 1
        and taken.email_key is null
)

select wanted.id, wanted.email_key
from wanted
where wanted.accounts > 1 or wanted.email_key in (select taken.email_key from taken);
