-- A function, because Citus refuses a CTE that deletes by ctid.
-- depends: 0013_count_in_one_order
create function remove_expired_counts(most bigint)
returns boolean
language sql volatile
as $$
    delete from login_throttle
    where ctid in (
        select expired.ctid
        from login_throttle as expired
        where expired.ends_at <= now()
        limit most
        for update skip locked
    );
    select true
$$;

comment on function remove_expired_counts(bigint) is 'Removes up to so many counts that have expired and that nobody holds; true.';
