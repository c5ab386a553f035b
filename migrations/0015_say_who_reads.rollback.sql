comment on column user_model.updated_at is 'When the password was last set or rehashed.';
