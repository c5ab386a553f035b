-- users.delete_me: deletes the caller's account with all its data
-- $1 id           uuid   the caller, whose session was checked in the same transaction
-- $2 current_hash text?  the hash that the current password was checked against; null: it was not required
-- returns: count  (0: the password has changed)
delete /* users.delete_me */ from user_model
where id = $1 and ($2::text is null or hashed_password = $2);
