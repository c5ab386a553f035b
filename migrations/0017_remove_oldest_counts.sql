-- Expired counts are found by their index, oldest first. Without an order, PostgreSQL can read the table until it has
-- found enough: all of it, at each failed log-in, if its statistics are older than the removal of many.
-- depends: 0016_mark_old_functions
create or replace function remove_expired_counts(most bigint)
returns boolean
language sql volatile
as $$
    delete from login_throttle
    where ctid in (
        select expired.ctid
        from login_throttle as expired
        where expired.ends_at <= now()
        order by expired.ends_at
        limit most
        for update skip locked
    );
    select true
$$;
