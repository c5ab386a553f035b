-- A login makes a session; every token names one, and is dead once the session has ended.
-- depends: 0001_create_user_model
create table login_session (
    id           uuid          not null default gen_random_uuid(),
    user_id      uuid          not null,
    -- Refresh tokens are not stored: each is (id, generation) under a MAC, and good only while
    -- its generation is the current one.
    generation   integer       not null default 1,
    created_at   timestamptz   not null default now(),
    last_used_at timestamptz   not null default now(),
    expires_at   timestamptz   not null,
    ended_at     timestamptz,
    user_agent   varchar(255),
    ip           inet,
    constraint login_session_pkey primary key (id),
    constraint login_session_user_id_fkey foreign key (user_id) references user_model (id) on delete cascade,
    constraint login_session_generation_check check (generation > 0)
);

-- Serves the list of a user's sessions, and the cascade when the user goes.
create index login_session_user_id_idx on login_session (user_id);
-- Serves the removal of sessions that are over.
create index login_session_expires_at_idx on login_session (expires_at);

comment on table login_session is 'Log-ins. A token is good only while its session is live: see live_session().';
comment on column login_session.id is 'The sid of access tokens.';
comment on column login_session.user_id is 'Whose session it is.';
comment on column login_session.generation is 'Number of the only refresh token that is still good; an older one shown again ends the session.';
comment on column login_session.created_at is 'When the user logged in.';
comment on column login_session.last_used_at is 'When the session was last refreshed (at first: its login).';
comment on column login_session.expires_at is 'The session is over from then on, however often it was refreshed.';
comment on column login_session.ended_at is 'When it was ended early: by logout, by a password reset, or because a spent refresh token came back. Null: not ended.';
comment on column login_session.user_agent is 'User-Agent of the login, cut to 255 characters, so that its owner recognises it.';
comment on column login_session.ip is 'Address that the login came from.';
comment on index login_session_user_id_idx is 'A user''s sessions; deletion of a user.';
comment on index login_session_expires_at_idx is 'Removal of sessions that are over.';

-- Every authenticated statement starts from this function. PostgreSQL inlines it (single select,
-- stable, not strict, not security definer), so it costs one look-up in login_session_pkey.
create function live_session(session uuid)
returns table (session_id uuid, user_id uuid)
language sql stable
as $$
    select s.id, s.user_id
    from login_session as s
    where s.id = session and s.ended_at is null and s.expires_at > now()
$$;

comment on function live_session(uuid) is 'The session and its user while it is live; no row once it has ended.';

-- For statements that may wait for the account's row. live_session() is looked up once, as of the statement's start;
-- this, being volatile, is asked again and sees what was committed meanwhile, when the row was found changed: by a
-- password reset, say, that ended the session.
create function still_live(session uuid)
returns boolean
language sql volatile
as $$
    select exists (select from live_session(session))
$$;

comment on function still_live(uuid) is 'Whether the session is live even now, after the statement has waited for a lock.';

-- A function, and volatile, because each statement in one sees what was committed until it began. A password reset
-- first locks the account, which waits for a log-in under way, and then ends that log-in's session too; in the
-- reset's own statement, begun before, that session could not be seen.
create function end_other_sessions(of_user uuid, except_session uuid)
returns void
language sql volatile
as $$
    update login_session set ended_at = now()
    where user_id = of_user and id <> except_session and ended_at is null and expires_at > now()
$$;

comment on function end_other_sessions(uuid, uuid) is 'Ends every live session of a user but the one given.';
