do $$
begin
    alter table login_session alter column user_id reset (n_distinct);
exception when feature_not_supported then
    null;
end $$;
