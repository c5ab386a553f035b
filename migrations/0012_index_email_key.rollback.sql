drop index concurrently if exists user_model_email_key_key;
