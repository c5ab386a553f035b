-- Wrong passwords are counted here, so that guessing is slow however many processes serve.
-- depends: 0002_create_login_session
create table login_throttle (
    account  bytea       not null,
    network  cidr        not null,
    failures integer     not null,
    allowed  integer     not null,
    ends_at  timestamptz not null,
    -- Three counts a failure: one network on any account (account '\x'), one network on one account,
    -- and anybody on one account (network 0.0.0.0/0).
    constraint login_throttle_pkey primary key (account, network),
    constraint login_throttle_failures_check check (failures > 0)
);

-- Serves the removal of counts that are over.
create index login_throttle_ends_at_idx on login_throttle (ends_at);

comment on table login_throttle is 'Failed log-ins: by network, by account, and by both. To let somebody in at once, delete their rows.';
comment on column login_throttle.account is 'login_account() of the address that was typed, whether it has an account or not; empty: any.';
comment on column login_throttle.network is 'Where the log-ins came from: an IPv4 address, or 64 bits of an IPv6 one; 0.0.0.0/0: anywhere.';
comment on column login_throttle.failures is 'How many failed since the first one that counts; one more than allowed, however many came.';
comment on column login_throttle.allowed is 'How many may fail until ends_at; then no log-in is tried any more.';
comment on column login_throttle.ends_at is 'The count is over from then on.';
comment on index login_throttle_ends_at_idx is 'Removal of counts that are over.';

-- A digest: people type passwords where the address belongs, and what is typed has no limit.
create function login_account(email text)
returns bytea
language sql stable
as $$
    select sha256(convert_to(lower(email), 'UTF8'))
$$;

comment on function login_account(text) is 'What stands for an email address in login_throttle, in whatever case it was typed.';

-- Whoever guesses from many networks exhausts the count of an account; its owner is not to notice.
create function logged_in_before(of_email text, of_network cidr)
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

comment on function logged_in_before(text, cidr) is 'Whether this account was ever logged in to from there.';

create function login_wait(email text, of_network cidr)
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

comment on function login_wait(text, cidr) is 'Seconds until a log-in may be tried again; null: it may be tried now.';

-- Counts and decides in one statement, under the lock of its row: exact, however many ask at once. Being volatile, it
-- sees what others have committed meanwhile.
create function count_login_failure(of_account bytea, of_network cidr, most integer, period interval)
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

comment on function count_login_failure(bytea, cidr, integer, interval) is 'Counts a failure; how many more may follow, less than 0: this was one too many.';
