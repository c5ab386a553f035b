-- Ending an account's other sessions takes bounded time, however many there are: the newest 1,000 are marked one by
-- one, and all older ones by a single row of session_cutoff. Accounts that never had so many have no such row.
-- depends: 0009_index_live_sessions
create table session_cutoff (
    user_id        uuid        not null,
    created_before timestamptz not null,
    kept_session   uuid        not null,
    constraint session_cutoff_pkey primary key (user_id),
    constraint session_cutoff_user_id_fkey foreign key (user_id) references user_model (id) on delete cascade
);

comment on table session_cutoff is 'Users who ended more sessions at once than can be marked one by one.';
comment on column session_cutoff.user_id is 'Whose sessions have ended.';
comment on column session_cutoff.created_before is 'Sessions created until then have ended, whatever their own row says.';
comment on column session_cutoff.kept_session is 'The only one of them that goes on.';

create or replace view live_session as
select
    s.id as session_id,
    s.user_id
from login_session as s
where
    s.ended_at is null and s.expires_at > now()
    and not exists (
        select
        from session_cutoff as cutoff
        where
            cutoff.user_id = s.user_id and cutoff.created_before >= s.created_at
            and cutoff.kept_session <> s.id
    );

comment on view live_session is 'Sessions that have neither ended nor expired, each with its user.';

-- For the release before 0007, and for still_live().
create or replace function live_session(session uuid)
returns table (session_id uuid, user_id uuid)
language sql stable
as $$
    select live.session_id, live.user_id
    from live_session as live
    where live.session_id = session
$$;

-- Rows are locked in the order of the index, the same for all who end several sessions.
create or replace function end_other_sessions(of_user uuid, except_session uuid)
returns void
language sql volatile
as $$
    with newest as (
        select s.id
        from login_session as s
        where s.user_id = of_user and s.id <> except_session and s.ended_at is null and s.expires_at > now()
        order by s.created_at desc
        limit 1000
        for no key update
    ),

    older as (
        insert into session_cutoff (user_id, created_before, kept_session)
        select of_user, now(), except_session
        where (select count(*) from newest) = 1000
        on conflict (user_id) do update set
            created_before = excluded.created_before, kept_session = excluded.kept_session
    )

    update login_session set ended_at = now()
    from newest
    where login_session.user_id = of_user and login_session.id = newest.id
$$;
