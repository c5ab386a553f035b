drop function count_login_failure(bytea, cidr, integer, interval);
drop function login_wait(text, cidr);
drop function logged_in_before(text, cidr);
drop function login_account(text);
drop table login_throttle;
