-- Serves an account's sessions, newest first: their list, their limit, and their end.
-- depends: 0007_name_session_and_user
-- transactional: false
set lock_timeout = '10min';
drop index concurrently if exists login_session_user_id_created_at_idx;
-- squawk-ignore prefer-robust-stmts, ban-concurrent-index-creation-in-transaction
create index concurrently login_session_user_id_created_at_idx
on login_session (user_id, created_at desc) where ended_at is null;
comment on index login_session_user_id_created_at_idx is 'A user''s sessions that were not ended, newest first.';
