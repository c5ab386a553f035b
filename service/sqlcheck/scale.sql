-- What the scale gate of `sql check --scale` runs on: 100,000 users, each with a session and ten pets.
insert into user_model (email, hashed_password)
select 'user' || n || '@example.com', '$argon2id$' || n
from generate_series(1, 100000) as n;

insert into login_session (user_id, expires_at, user_agent, ip)
select id, now() + interval '28 days', 'browser', '127.0.0.1'
from user_model;

insert into pets (user_id, pet_name)
select id, 'Pet ' || n
from user_model
cross join generate_series(1, 10) as n;

-- The queries are run with these, found by the parameter's name; where one is not enough, by feature or query and name.
create table argument (parameter text primary key, value text);

insert into argument
with someone as (
    select user_model.id, user_model.email, user_model.hashed_password, login_session.id as session_id
    from user_model
    inner join login_session on login_session.user_id = user_model.id
    where user_model.email = 'user50000@example.com'
)

select parameter, value
from
    someone,
    lateral (
        values
        ('session', session_id::text),
        ('id', session_id::text),
        ('user_id', id::text),
        ('email', email),
        ('hashed_password', hashed_password),
        ('upgraded', 'x'),
        ('pet_name', 'Tadeusz'),
        ('pet_names', '{Ada,Max}'),
        ('generation', '1'),
        ('lifetime', '28 days'),
        ('after_name', ''),
        ('after_id', '0'),
        ('size', '101'),
        ('network', '127.0.0.0/24'),
        ('key', 'key'),
        ('most', '100'),
        ('most_by_both', '10'),
        ('most_by_network', '100'),
        ('most_by_account', '100'),
        ('period', '15 minutes'),
        ('pets.id', (select min(pets.id)::text from pets where pets.user_id = someone.id)),
        ('users.register_user.email', 'new@example.com'),
        ('users.ensure_user.email', 'new@example.com'),
        ('dev.add_demo_data.email', 'new@example.com')
    ) as given (parameter, value);

analyze;
