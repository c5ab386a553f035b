drop table user_model;
