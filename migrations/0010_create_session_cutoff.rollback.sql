create or replace function end_other_sessions(of_user uuid, except_session uuid)
returns void
language sql volatile
as $$
    update login_session set ended_at = now()
    where user_id = of_user and id <> except_session and ended_at is null and expires_at > now()
$$;

create or replace function live_session(session uuid)
returns table (session_id uuid, user_id uuid)
language sql stable
as $$
    select s.id, s.user_id
    from login_session as s
    where s.id = session and s.ended_at is null and s.expires_at > now()
$$;

create or replace view live_session as
select
    s.id as session_id,
    s.user_id
from login_session as s
where s.ended_at is null and s.expires_at > now();

-- What a row of session_cutoff says, each session now says itself.
update login_session set ended_at = now()
from session_cutoff as cutoff
where
    cutoff.user_id = login_session.user_id and cutoff.created_before >= login_session.created_at
    and cutoff.kept_session <> login_session.id and login_session.ended_at is null;

drop table session_cutoff;
