-- A token names its session and its user; so does every statement, and a database that is distributed by user asks one
-- shard. The function live_session() and its two companions stay for the release before this one.
-- depends: 0006_index_login_session_by_user 0004_create_login_throttle
-- The new key is unique, too, and nobody refers to the old one; dropping the small index is brief.
alter table login_session
-- squawk-ignore ban-drop-constraint
drop constraint login_session_pkey,
add constraint login_session_pkey primary key using index login_session_user_id_id_key;
-- squawk-ignore require-concurrent-index-deletion
drop index login_session_user_id_idx;

-- Every authenticated statement starts from this view:
--     from live_session as caller where caller.session_id = $1 and caller.user_id = $2
create view live_session as
select
    s.id as session_id,
    s.user_id
from login_session as s
where s.ended_at is null and s.expires_at > now();

comment on view live_session is 'Sessions that have neither ended nor expired, each with its user.';
