-- users.reset_password: sets the caller's password; auth.end_my_other_sessions belongs to the same transaction
-- $1 id              uuid   the caller
-- $2 hashed_password text   argon2id
-- $3 current_hash    text?  the hash that the current password was checked against; null: it was not asked for
-- returns: maybe User  (none: the account is gone, or the password was changed meanwhile)
update /* users.reset_password */ user_model
set hashed_password = $2, updated_at = now()
where id = $1 and ($3::text is null or hashed_password = $3)
returning id, email;
