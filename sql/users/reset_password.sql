-- users.reset_password: sets the caller's password; run auth.end_my_other_sessions in the same transaction
-- $1 id              uuid   the caller
-- $2 hashed_password text   argon2id hash
-- $3 current_hash    text?  the hash that the current password was checked against; null: it was not required
-- returns: maybe User  (no row: the account is gone, or the password has changed)
update /* users.reset_password */ user_model
set hashed_password = $2, updated_at = now()
where id = $1 and ($3::text is null or hashed_password = $3)
returning id, email;
