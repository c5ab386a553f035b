-- Data for `sql check --scale`: 100,000 users, each with a session. Each feature adds its own rows and arguments in
-- sql/<feature>/dev/scale.sql.
insert into user_model (email, email_key, hashed_password)
select 'user' || n || '@example.com', 'user' || n || '@example.com', '$argon2id$' || n
from generate_series(1, 100000) as n;

insert into login_session (user_id, expires_at, user_agent, ip)
select id, now() + interval '28 days', 'browser', '127.0.0.1'
from user_model;

-- The caller of the queries.
create table caller as
select user_model.id as user_id, user_model.email, user_model.hashed_password, login_session.id as session_id
from user_model
inner join login_session on login_session.user_id = user_model.id
where user_model.email = 'user50000@example.com';

-- The arguments of the queries, by parameter name; `feature.name` and `feature.query.name` apply to one feature or
-- one query only.
create table argument (parameter text primary key, value text);

insert into argument
select given.parameter, given.value
from
    caller,
    lateral (
        values
        ('session', caller.session_id::text),
        ('id', caller.session_id::text),
        ('user', caller.user_id::text),
        ('user_id', caller.user_id::text),
        ('users.id', caller.user_id::text),
        ('email', caller.email),
        ('email_key', caller.email),
        ('hashed_password', caller.hashed_password),
        ('upgraded', 'x'),
        ('generation', '1'),
        ('lifetime', '28 days'),
        ('size', '101'),
        ('network', '127.0.0.0/24'),
        ('key', 'key'),
        ('most', '100'),
        ('most_by_both', '10'),
        ('most_by_network', '100'),
        ('most_by_account', '100'),
        ('period', '15 minutes'),
        ('users.register_user.email', 'new@example.com'),
        ('users.ensure_user.email', 'new@example.com'),
        ('users.register_user.email_key', 'new@example.com'),
        ('users.ensure_user.email_key', 'new@example.com'),
        ('users.after', '00000000-0000-0000-0000-000000000000'),
        ('ids', '{}'),
        ('email_keys', '{}')
    ) as given (parameter, value);
