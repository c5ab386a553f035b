-- users.ensure_user: adds an account, unless its mailbox has one
-- $1 email           text  as its owner wrote it
-- $2 email_key       text  the same for every spelling of this mailbox
-- $3 hashed_password text  argon2id
-- returns: count  (0: the mailbox has an account)
insert /* users.ensure_user */ into user_model (email, email_key, hashed_password)
values ($1, $2, $3)
on conflict do nothing;
