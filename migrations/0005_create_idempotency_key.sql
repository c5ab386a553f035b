-- A client whose answer was lost asks again with the same key, and gets that answer instead of a second thing.
-- depends: 0003_create_pets
create table idempotency_key (
    user_id        uuid         not null,
    key            varchar(255) collate "C" not null,
    request_sha256 bytea        not null,
    -- No foreign key: the answer stays the same when the resource has gone.
    resource_id    bigint       not null,
    created_at     timestamptz  not null default now(),
    -- user_id leads: nobody meets another user's keys.
    constraint idempotency_key_pkey primary key (user_id, key),
    constraint idempotency_key_user_id_fkey foreign key (user_id) references user_model (id) on delete cascade,
    constraint idempotency_key_key_check check (key ~ '^[!-~]+$')
);

-- Serves the removal of keys that are over.
create index idempotency_key_created_at_idx on idempotency_key (created_at);

comment on table idempotency_key is 'What was created under an Idempotency-Key; good for 24 hours, then removed by system.clean_idempotency_keys.';
comment on column idempotency_key.user_id is 'Whose key it is.';
comment on column idempotency_key.key is 'Chosen by the client, 1 to 255 visible ASCII characters.';
comment on column idempotency_key.request_sha256 is 'Digest of the query''s name and of what it was to create: the same key may not stand for something else.';
comment on column idempotency_key.resource_id is 'What was created; with the request it makes the first answer again.';
comment on column idempotency_key.created_at is 'When the key was first used.';
comment on index idempotency_key_created_at_idx is 'Removal of keys that are over.';
