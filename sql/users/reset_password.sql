-- users.reset_password: sets the caller's password and ends every other session of theirs
-- $1 session         uuid   the caller's login session, which goes on
-- $2 user            uuid   the caller
-- $3 hashed_password text   argon2id
-- $4 current_hash    text?  the hash that the current password was checked against; null: it was not asked for
-- returns: maybe User  (none: the session has ended; a row of nulls: it ended meanwhile, or the hash was replaced)
-- still_live() is asked after the lock: of two resets at once, the second one finds its session ended.
with /* users.reset_password */ account as materialized (
    select user_model.id
    from live_session as caller
    inner join user_model on user_model.id = caller.user_id
    where caller.session_id = $1 and caller.user_id = $2
    for no key update of user_model
),

changed as (
    update user_model set hashed_password = $3, updated_at = now()
    from account
    where
        user_model.id = account.id and still_live($1)
        and ($4::text is null or user_model.hashed_password = $4)
    returning user_model.id, user_model.email
),

alone as (
    select changed.id, changed.email
    from changed
    inner join end_other_sessions(changed.id, $1) on true
)

select alone.id, alone.email
from account
left join alone on true;
