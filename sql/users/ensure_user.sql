-- users.ensure_user: adds an account unless the mailbox has one
-- $1 email           text  the address as entered
-- $2 email_key       text  the address, normalized: the same for every spelling of the mailbox
-- $3 hashed_password text  argon2id hash
-- returns: count  (0: the mailbox has an account)
insert /* users.ensure_user */ into user_model (email, email_key, hashed_password)
values ($1, $2, $3)
on conflict do nothing;
