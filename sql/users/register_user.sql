-- users.register_user: adds an account, unless the address has one already (user_model_email_key)
-- $1 email           text  as its owner wrote it
-- $2 hashed_password text  argon2id
-- returns: one User
insert /* users.register_user */ into user_model (email, hashed_password)
values ($1, $2)
returning id, email;
