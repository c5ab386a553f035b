-- users.ensure_user: adds an account where the address has none, and leaves the one that it has as it is
-- $1 email           text  as its owner wrote it
-- $2 hashed_password text  argon2id
-- returns: count  (0: the address has an account)
insert /* users.ensure_user */ into user_model (email, hashed_password)
values ($1, $2)
on conflict (lower(email)) do nothing;
