-- Accounts: whoever may log in, with an address and a password hash.
create table user_model (
    id              uuid         not null default gen_random_uuid(),
    -- 254 characters: the longest address that SMTP can carry (RFC 5321, erratum 1690).
    email           varchar(254) not null,
    hashed_password varchar(255) not null,
    created_at      timestamptz  not null default now(),
    updated_at      timestamptz  not null default now(),
    constraint user_model_pkey primary key (id)
);

-- An address is kept as its owner wrote it, and is one account in whatever case it comes.
create unique index user_model_email_key on user_model (lower(email));

comment on table user_model is 'Accounts. Rows are deleted by their owners; sessions and pets go with them.';
comment on column user_model.id is 'Opaque to clients; the sub of access tokens.';
comment on column user_model.email is 'As the owner wrote it at registration; unique whatever its case.';
comment on column user_model.hashed_password is 'argon2id in the PHC string format; never a password.';
comment on column user_model.created_at is 'When the account was registered.';
comment on column user_model.updated_at is 'When the password was last set or rehashed.';
comment on index user_model_email_key is 'One account an address, whatever its case.';
