drop function forget_login_failures(text, cidr);

create or replace function logged_in_before(of_email text, of_network cidr)
returns boolean
language sql stable
as $$
    select exists (
        select
        from user_model as u
        inner join login_session as s on s.user_id = u.id
        where lower(u.email) = lower(of_email) and s.ip <<= of_network
    )
$$;

create or replace function login_wait(email text, of_network cidr)
returns integer
language sql stable strict
as $$
    select ceil(extract(epoch from max(t.ends_at) - now()))::integer
    from login_throttle as t
    where
        t.failures >= t.allowed and t.ends_at > now()
        and (
            (t.account = '\x' and t.network = of_network)
            or (t.account = login_account(email) and t.network = of_network)
            or (t.account = login_account(email) and t.network = '0.0.0.0/0' and not logged_in_before(email, of_network))
        )
$$;

create or replace function count_login_failure(of_account bytea, of_network cidr, most integer, period interval)
returns table (remaining integer, ends_at timestamptz)
language sql volatile
as $$
    delete from login_throttle
    where ctid in (
        select over.ctid from login_throttle as over
        where over.ends_at <= now()
        limit 10
        for update skip locked
    );

    insert into login_throttle as t (account, network, failures, allowed, ends_at)
    values (of_account, of_network, 1, most, now() + period)
    on conflict (account, network) do update set
        failures = case when t.ends_at > now() then least(t.failures, most) + 1 else 1 end,
        allowed = most,
        ends_at = case when t.ends_at > now() then t.ends_at else now() + period end
    returning most - t.failures, t.ends_at
$$;
