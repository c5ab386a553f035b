-- What counts failed log-ins, in a form that Citus runs too: it refuses `on conflict do update` with functions that are
-- not immutable, and SQL functions that read distributed tables.
-- depends: 0007_name_session_and_user
create or replace function logged_in_before(of_email text, of_network cidr)
returns boolean
language plpgsql stable
as $$
declare
    account constant uuid := (select u.id from user_model as u where lower(u.email) = lower(of_email));
begin
    return exists (
        select
        from login_session as s
        where s.user_id = account and s.ip <<= of_network
    );
end
$$;

create or replace function login_wait(email text, of_network cidr)
returns integer
language plpgsql stable strict
as $$
declare
    from_here timestamptz;
    from_anywhere timestamptz;
begin
    select
        max(t.ends_at) filter (where t.network = of_network),
        max(t.ends_at) filter (where t.network = '0.0.0.0/0')
    into from_here, from_anywhere
    from login_throttle as t
    where
        t.failures >= t.allowed and t.ends_at > now()
        and (
            (t.account = '\x' and t.network = of_network)
            or (t.account = login_account(login_wait.email) and t.network in (of_network, '0.0.0.0/0'))
        );
    if from_anywhere is not null and logged_in_before(login_wait.email, of_network) then
        from_anywhere := null;
    end if;
    return ceil(extract(epoch from greatest(from_here, from_anywhere) - now()));
end
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
        failures = case when excluded.ends_at - t.ends_at < period then least(t.failures, most) + 1 else 1 end,
        allowed = most,
        ends_at = case when excluded.ends_at - t.ends_at < period then t.ends_at else excluded.ends_at end
    returning most - t.failures, t.ends_at
$$;

-- A function, because Citus refuses a statement that changes both a local and a distributed table.
create function forget_login_failures(of_email text, of_network cidr)
returns void
language sql volatile
as $$
    delete from login_throttle
    where account = login_account(of_email) and network = of_network
$$;

comment on function forget_login_failures(text, cidr) is 'Forgets an account''s wrong passwords from a network.';
