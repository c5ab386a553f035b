-- users.reset_password: sets the caller's password and ends every other session of theirs
-- $1 session         uuid   the caller's login session, which goes on
-- $2 user            uuid   the caller
-- $3 hashed_password text   argon2id
-- $4 current_hash    text?  the hash that the current password was checked against; null: it was not asked for
-- returns: one User  (none: the session has ended, or the password was changed meanwhile)
-- cardinality: ok a password that was changed meanwhile ends the session's request with a 401, too
with /* users.reset_password */ account as (
    update user_model set hashed_password = $3, updated_at = now()
    from live_session as caller
    where
        caller.session_id = $1 and caller.user_id = $2
        and user_model.id = $2 and still_live($1)
        and ($4::text is null or user_model.hashed_password = $4)
    returning user_model.id, user_model.email
)

select account.id, account.email
from account
inner join end_other_sessions(account.id, $1) on true;
