-- users.register_user: adds an account, unless its mailbox has one (user_model_email_key_key, user_model_email_key)
-- $1 email           text  as its owner wrote it
-- $2 email_key       text  the same for every spelling of this mailbox
-- $3 hashed_password text  argon2id
-- returns: one User
insert /* users.register_user */ into user_model (email, email_key, hashed_password)
values ($1, $2, $3)
returning id, email;
