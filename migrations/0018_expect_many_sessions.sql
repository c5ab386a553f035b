-- PostgreSQL expects 100 sessions per account (the default of MAX_SESSIONS), instead of the average, a few. So it finds
-- given sessions by the whole primary key. By the user alone, as it otherwise would, an account with 200,000 sessions
-- took half a second to list its sessions, and too long to end them.
-- depends: 0017_remove_oldest_counts
do $$
begin
    alter table login_session alter column user_id set (n_distinct = -0.01);
exception when feature_not_supported then
    null; -- a table that Citus has distributed
end $$;
analyze login_session;
