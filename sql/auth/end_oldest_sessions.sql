-- auth.end_oldest_sessions: ends the oldest sessions of an account that has too many
-- $1 user_id uuid    whose
-- $2 most    bigint  how many sessions may go on
-- returns: count
-- It looks at the newest 2,000, so that it takes bounded time whatever was there before.
update /* auth.end_oldest_sessions */ login_session set ended_at = now()
where
    user_id = $1 and ended_at is null
    and id in (
        select newest.id
        from (
            select s.id, s.created_at, s.expires_at
            from login_session as s
            where s.user_id = $1 and s.ended_at is null
            order by s.created_at desc
            limit 2000
        ) as newest
        where newest.expires_at > now()
        order by newest.created_at desc
        offset $2
    );
