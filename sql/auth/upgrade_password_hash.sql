-- auth.upgrade_password_hash: replaces a hash by one of the same password with today's parameters
-- $1 user_id         uuid  the user whose password was right
-- $2 hashed_password text  the hash that it was checked against
-- $3 upgraded        text  argon2id
-- returns: count
update /* auth.upgrade_password_hash */ user_model
set hashed_password = $3, updated_at = now()
where id = $1 and hashed_password = $2;
