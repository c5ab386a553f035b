-- users.register_user: adds an account; one per mailbox (user_model_email_key_key, user_model_email_key)
-- $1 email           text  the address as entered
-- $2 email_key       text  the address, normalized: the same for every spelling of the mailbox
-- $3 hashed_password text  argon2id hash
-- returns: one User
insert /* users.register_user */ into user_model (email, email_key, hashed_password)
values ($1, $2, $3)
returning id, email;
