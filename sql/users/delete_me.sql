-- users.delete_me: removes the caller's account; sessions and pets go with it
-- $1 session      uuid   the caller's login session
-- $2 user         uuid   the caller
-- $3 current_hash text?  the hash that the current password was checked against; null: it was not asked for
-- returns: maybe User  (none: the session has ended; a row of nulls: it ended meanwhile, or the hash was replaced)
with /* users.delete_me */ account as materialized (
    select user_model.id
    from live_session as caller
    inner join user_model on user_model.id = caller.user_id
    where caller.session_id = $1 and caller.user_id = $2
    for update of user_model
),

gone as (
    delete from user_model
    using account
    where
        user_model.id = account.id and still_live($1)
        and ($3::text is null or user_model.hashed_password = $3)
    returning user_model.id, user_model.email
)

select gone.id, gone.email
from account
left join gone on true;
