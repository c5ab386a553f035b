-- Pets belong to exactly one user and go when the user goes.
-- depends: 0001_create_user_model
create table pets (
    user_id  uuid        not null,
    id       bigint      not null generated always as identity,
    -- Collation "C": the same order on every host, and an index that survives an upgrade of its libc.
    pet_name varchar(50) collate "C" not null,
    version  integer     not null default 1,
    -- user_id leads: a user's pets lie together, and the table can be distributed by it.
    constraint pets_pkey primary key (user_id, id),
    constraint pets_user_id_fkey foreign key (user_id) references user_model (id) on delete cascade,
    constraint pets_pet_name_check check (pet_name <> '')
);

-- Serves a user's pets in the order in which they are listed, page after page.
create index pets_user_id_pet_name_id_idx on pets (user_id, pet_name, id);

comment on table pets is 'A user''s pets.';
comment on column pets.user_id is 'Whose pet it is.';
comment on column pets.id is 'Unique over all users; opaque to clients.';
comment on column pets.pet_name is 'What its owner calls it, 1 to 50 characters.';
comment on column pets.version is 'Counts the changes; the ETag of the pet.';
comment on index pets_user_id_pet_name_id_idx is 'A user''s pets by name, then id, page after page.';
