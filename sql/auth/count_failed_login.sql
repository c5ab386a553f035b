-- auth.count_failed_login: counts a wrong password, and decides whether its answer may still tell so
-- $1 email            text      as it was typed
-- $2 network          cidr      where it came from
-- $3 most_by_both     integer   how many may fail, of one network on one account
-- $4 most_by_network  integer   … of one network on all accounts
-- $5 most_by_account  integer   … on one account, of all networks from which nobody has logged in to it before
-- $6 period           interval  within this time
-- returns: one LoginFailure
-- What one count refuses does not reach the next: a single network cannot exhaust an account's own count.
with /* auth.count_failed_login */ network as materialized (
    select remaining, ends_at from count_login_failure('\x', $2, $4, $6)
),

both_of_them as materialized (
    select counted.remaining, counted.ends_at
    from network, count_login_failure(login_account($1), $2, $3, $6) as counted
    where network.remaining >= 0
),

account as materialized (
    select counted.remaining, counted.ends_at
    from both_of_them, count_login_failure(login_account($1), '0.0.0.0/0', $5, $6) as counted
    where both_of_them.remaining >= 0 and not logged_in_before($1, $2)
)

select
    least(network.remaining, both_of_them.remaining, account.remaining) as remaining,
    ceil(extract(epoch from coalesce(account.ends_at, both_of_them.ends_at, network.ends_at) - now()))::integer as wait
from network
left join both_of_them on true
left join account on true;
