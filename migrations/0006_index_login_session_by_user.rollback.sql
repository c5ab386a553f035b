drop index concurrently if exists login_session_id_idx;
drop index concurrently if exists login_session_user_id_id_key;
