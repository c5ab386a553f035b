-- system.clean_login_throttle: deletes 1,000 expired counts of failed log-ins
-- returns: count  (0: no more are left)
delete /* system.clean_login_throttle */ from login_throttle
where ctid in (
    select ctid
    from login_throttle
    where ends_at <= now()
    order by ends_at
    limit 1000
    for update skip locked
);
