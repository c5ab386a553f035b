-- Indexes for the new primary key of login_session, built while requests go on.
-- depends: 0002_create_login_session
-- transactional: false
drop index concurrently if exists login_session_user_id_id_key;
-- squawk-ignore prefer-robust-stmts, ban-concurrent-index-creation-in-transaction
create unique index concurrently login_session_user_id_id_key on login_session (user_id, id);

-- Serves tokens that name no user: those that releases before this one issued, and those that they are shown.
drop index concurrently if exists login_session_id_idx;
-- squawk-ignore prefer-robust-stmts, ban-concurrent-index-creation-in-transaction
create index concurrently login_session_id_idx on login_session (id);
comment on index login_session_id_idx is 'Tokens of earlier releases, which name no user.';
