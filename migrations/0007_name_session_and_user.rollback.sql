drop view live_session;
create index login_session_user_id_idx on login_session (user_id);
comment on index login_session_user_id_idx is 'A user''s sessions; deletion of a user.';
create unique index login_session_id_key on login_session (id);
create unique index login_session_user_id_id_key on login_session (user_id, id);
alter table login_session
drop constraint login_session_pkey,
add constraint login_session_pkey primary key using index login_session_id_key;
