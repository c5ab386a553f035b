-- auth.upgrade_password_hash: replaces a password hash with one that uses the current parameters
-- $1 user_id         uuid  the user logging in
-- $2 hashed_password text  the hash that the password was checked against
-- $3 upgraded        text  the new argon2id hash
-- returns: count
update /* auth.upgrade_password_hash */ user_model
set hashed_password = $3, updated_at = now()
where id = $1 and hashed_password = $2;
