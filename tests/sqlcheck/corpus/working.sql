-- Half of the corpus: what the checks were made with. The name of each query, and how many rows it says to return.

-- country_by_code: maybe
select code, name, continent from country where code = $1;
-- countries: many
select code, name from country order by name;
-- continents: many
select distinct continent from country;
-- countries_by_continent: many
select continent, count(*) as countries, min(name) as first from country group by continent;
-- currency_symbol: many
select code, coalesce(symbol, code) as symbol, digits from currency;
-- currency_digits: many
select code, digits + 1 as more, power(10, digits) as factor, -digits as less from currency;
-- warehouse_open: many
select id, name from warehouse where closed_on is null;
-- warehouse_closed: many
select id, name, closed_on from warehouse where closed_on is not null order by closed_on;
-- warehouse_with_country: many
select w.id, w.name, c.name as country, c.continent from warehouse as w inner join country as c on c.code = w.country;
-- warehouse_by_name: maybe
select id, country from warehouse where name = $1;
-- supplier_country: many
select s.id, s.name, c.name as country from supplier as s left join country as c on c.code = s.country;
-- supplier_country_known: many
select s.id, s.country, c.name as country_name from supplier as s left join country as c on c.code = s.country where s.country is not null;
-- supplier_of_continent: many
select s.id, c.code, c.continent from supplier as s left join country as c on c.code = s.country where c.continent = $1;
-- supplier_contact: many
select id, name || ' <' || email || '>' as contact, lower(email) as address from supplier;
-- supplier_contact_always: many
select id, concat(name, ' <', email, '>') as contact from supplier;
-- supplier_rating: many
select name, round(rating) as rating, rating > 3 as good, coalesce(rating, 0) as stars from supplier;
-- supplier_best: many
select id, name, rating from supplier where rating >= $1 order by rating desc limit 10;
-- supplier_products: many
select s.id, s.name, ps.product_id, ps.lead_days from supplier as s left join product_supplier as ps on ps.supplier_id = s.id;
-- supplier_product_names: many
select s.name, p.name as product, ps.price from supplier as s inner join product_supplier as ps on ps.supplier_id = s.id inner join product as p on p.id = ps.product_id;
-- supplier_without: many
select s.id, s.name from supplier as s where not exists (select from product_supplier as ps where ps.supplier_id = s.id);
-- supplier_count: many
select s.id, count(ps.product_id) as products, avg(ps.price) as average from supplier as s left join product_supplier as ps on ps.supplier_id = s.id group by s.id;
-- category_root: many
select id, name from category where parent_id is null;
-- category_parent: many
select c.id, c.name, p.name as parent from category as c left join category as p on p.id = c.parent_id;
-- category_grandparent: many
select c.id, p.id as parent, g.id as grandparent from category as c left join category as p on p.id = c.parent_id left join category as g on g.id = p.parent_id;
-- category_grandparent_known: many
select c.id, p.id as parent, g.id as grandparent from category as c left join category as p on p.id = c.parent_id left join category as g on g.id = p.parent_id where g.name = $1;
-- category_tree: many
with recursive tree as (select id, name, 1 as depth from category where parent_id is null union all select c.id, c.name, tree.depth + 1 from category as c inner join tree on tree.id = c.parent_id where tree.depth < 9) select id, name, depth from tree;
-- category_ancestors: many
with recursive up as (select id, parent_id, name from category where id = $1 union select c.id, c.parent_id, c.name from category as c inner join up on up.parent_id = c.id) select id, parent_id, name from up;
-- category_path: many
select id, path, cardinality(path) as depth, array_length(path, 1) as length, path[1] as first from category;
-- category_path_text: many
select id, array_to_string(path, '/') as path, 'a' = any (path) as has_a from category;
-- category_products: many
select c.name, array_agg(p.name) as products from category as c inner join product as p on p.category_id = c.id group by c.id, c.name;
-- category_products_maybe: many
select c.name, array_agg(p.name) as products, array_remove(array_agg(p.sku), null) as skus from category as c left join product as p on p.category_id = c.id group by c.id, c.name;
-- category_products_filtered: many
select c.name, coalesce(array_agg(p.name) filter (where p.name is not null), '{}') as products from category as c left join product as p on p.category_id = c.id group by c.id, c.name;
-- product_by_sku: maybe
select id, name, price from product where sku = $1;
-- product_price: maybe
select price, cost, price - cost as margin from product where id = $1;
-- product_margin: many
select id, case when cost is null then null else price - cost end as margin, case when cost is null then price else price - cost end as gain from product;
-- product_margin_known: many
select id, price - cost as margin from product where cost is not null;
-- product_cost_positive: many
select id, cost, cost * 2 as double from product where cost > 0;
-- product_weight_or: many
select id, weight from product where weight > 10 or weight < 5;
-- product_cost_or_weight: many
select id, cost, weight from product where cost > 1 or weight > 1;
-- product_search: many
select id, name from product where name ilike '%' || $1 || '%' order by name limit 20;
-- product_tags: many
select id, tags, $1 = any (tags) as tagged, tags || array['x'] as more from product;
-- product_tag: many
select p.id, tag from product as p cross join unnest(p.tags) as tag;
-- product_tag_place: many
select p.id, t.tag, t.place from product as p cross join unnest(p.tags) with ordinality as t (tag, place);
-- product_attribute: many
select id, attributes -> 'colour' as colour, attributes ->> 'size' as size, attributes ? 'colour' as has_colour from product;
-- product_attribute_number: many
select id, (attributes -> 'size')::integer as size from product where attributes ->> 'size' is null;
-- product_attribute_keys: many
select p.id, k from product as p cross join jsonb_object_keys(p.attributes) as k;
-- product_attribute_each: many
select p.id, e.key, e.value from product as p cross join jsonb_each(p.attributes) as e (key, value);
-- product_attribute_text: many
select p.id, e.key, e.value from product as p cross join jsonb_each_text(p.attributes) as e (key, value);
-- product_json: many
select jsonb_build_object('id', id, 'name', name) as product, to_jsonb(name) as name, to_jsonb(cost) as cost from product;
-- product_category: many
select p.id, c.name as category, c.parent_id from product as p left join category as c on c.id = p.category_id;
-- product_category_inner: many
select p.id, p.category_id, c.name as category from product as p inner join category as c on c.id = p.category_id;
-- product_uncategorised: many
select p.id, c.id as category from product as p left join category as c on c.id = p.category_id where c.id is null;
-- product_suppliers: many
select p.id, (select count(*) from product_supplier as ps where ps.product_id = p.id) as suppliers, (select min(ps.price) from product_supplier as ps where ps.product_id = p.id) as cheapest from product as p;
-- product_cheapest: many
select p.id, s.supplier_id, s.price from product as p left join lateral (select ps.supplier_id, ps.price from product_supplier as ps where ps.product_id = p.id order by ps.price limit 1) as s on true;
-- product_cheapest_inner: many
select p.id, s.supplier_id, s.price from product as p cross join lateral (select ps.supplier_id, ps.price from product_supplier as ps where ps.product_id = p.id order by ps.price limit 1) as s;
-- product_supplier_ids: many
select p.id, array(select ps.supplier_id from product_supplier as ps where ps.product_id = p.id) as suppliers, array(select ps.lead_days from product_supplier as ps where ps.product_id = p.id) as days from product as p;
-- product_stock: many
select id, name, quantity, places from product_stock;
-- product_stocked: many
select id, name, quantity from product_stock where quantity > 0;
-- product_never_reviewed: many
select p.id from product as p left join review as r on r.product_id = p.id where r.stars is null;
-- product_stars: many
select p.id, avg(r.stars) as stars, count(r.stars) as reviews, max(r.body) as some from product as p left join review as r on r.product_id = p.id group by p.id;
-- product_stars_inner: many
select r.product_id, avg(r.stars) as stars, min(r.stars) as worst, max(r.body) as some from review as r group by r.product_id;
-- product_rank: many
select id, row_number() over (order by price) as place, rank() over (partition by category_id order by price) as in_category, lag(price) over (order by price) as cheaper, lead(price, 1, price) over (order by price) as dearer from product;
-- product_running: many
select id, sum(price) over (order by id) as running, sum(cost) over (order by id) as costs, first_value(name) over (order by id) as first, nth_value(name, 2) over (order by id) as second from product;
-- product_frame: many
select id, avg(price) over (order by id rows between 1 preceding and 1 preceding) as before, percent_rank() over (order by price) as percent from product;
-- product_discontinued: many
select id, discontinued_at::date as day, extract(year from discontinued_at) as year, date_trunc('month', discontinued_at) as month from product where discontinued_at < now();
-- product_state: many
select id, case when discontinued_at is null then 'sold' else 'gone' end as state, discontinued_at is null as sold, coalesce(discontinued_at, now()) as until from product;
-- product_band: many
select id, case when price < 10 then 'cheap' when price < 100 then 'fair' end as band, width_bucket(price, 0, 100, 10) as bucket, greatest(price, cost) as most, least(cost, weight) as least from product;
-- product_null_if: many
select id, nullif(name, '') as name, nullif(price, 0) is null as free from product;
-- product_union: many
select id, name from product union all select id, name from supplier order by id;
-- product_union_nullable: many
select id, name from product union select id, full_name from customer;
-- product_intersect: many
select category_id from product intersect select id from category;
-- product_except: many
select id from product except select product_id from stock;
-- product_values: many
select p.id, v.label from product as p inner join (values (1::bigint, 'one'), (2, 'two')) as v (id, label) on v.id = p.id;
-- product_values_null: many
select v.id, v.label from (values (1, 'one'), (2, null)) as v (id, label);
-- product_of_ids: many
select id, name from product where id = any ($1::bigint[]);
-- product_in: many
select id, price in (1, 2, 3) as odd, name in ('a', 'b') as known, cost in (1, 2) as cheap from product;
-- product_not_in: many
select id, category_id not in (1, 2) as other from product;
-- product_exists: many
select p.id, exists (select from stock as s where s.product_id = p.id) as stocked, p.id in (select product_id from review) as reviewed, p.category_id in (select id from category) as filed from product as p;
-- product_between: many
select id, price between 1 and 10 as fair, cost between 1 and 10 as known, name like 'a%' as with_a, name ~ '^a' as matches from product;
-- product_distinct: many
select id, cost is distinct from price as differs, (cost > price) is true as loses, cost is null as unknown from product;
-- product_strings: many
select id, upper(name) as upper, length(sku) as length, left(name, 3) as short, replace(name, 'a', 'b') as other, split_part(sku, '-', 1) as part, md5(name) as digest, position('a' in name) as place from product;
-- product_substring: many
select id, substring(name from 1 for 2) as start, substring(name from 'a+') as letters, regexp_replace(name, 'a', 'b') as replaced, (regexp_match(name, 'a'))[1] as matched from product;
-- product_format: many
select id, format('%s: %s', sku, name) as label, sku || ': ' || coalesce(cost::text, '?') as line, to_char(price, '990.00') as shown from product;
-- product_casts: many
select id, price::text as price, price::integer as rounded, id::text as key, cost::integer as cost, name::varchar(3) as name from product;
-- product_own_rank: many
select product_id, rank(stars::integer) as word, initials(body) as letter from review;
-- product_initials: many
select id, initials(name) as letter from product;
-- product_best: many
select id, best_price(id) as best, coalesce(best_price(id), price) as price from product;
-- stock_by_key: maybe
select quantity, reserved, counted_at from stock where product_id = $1 and warehouse_id = $2;
-- stock_free: many
select product_id, warehouse_id, quantity - reserved as free from stock where quantity > reserved;
-- stock_names: many
select p.name as product, w.name as warehouse, s.quantity from stock as s inner join product as p on p.id = s.product_id inner join warehouse as w on w.id = s.warehouse_id;
-- stock_matrix: many
select p.id, w.id as warehouse, s.quantity, coalesce(s.quantity, 0) as known from product as p cross join warehouse as w left join stock as s on s.product_id = p.id and s.warehouse_id = w.id;
-- stock_total: one
select count(*) as places, sum(quantity) as quantity, coalesce(sum(reserved), 0) as reserved, bool_or(quantity > 0) as any from stock;
-- stock_grouping: many
select product_id, warehouse_id, sum(quantity) as quantity from stock group by rollup (product_id, warehouse_id);
-- stock_grouping_flag: many
select warehouse_id, grouping(warehouse_id) as all_of_them, count(*) as lines from stock group by grouping sets ((warehouse_id), ());
-- stock_having: many
select product_id, sum(quantity) as quantity from stock group by product_id having sum(quantity) > 0;
-- stock_counted: many
select product_id, max(counted_at) as counted, count(counted_at) as times, string_agg(warehouse_id::text, ',') as places from stock group by product_id;
-- stock_full: many
select s.product_id, ps.supplier_id, coalesce(s.product_id, ps.product_id) as product from stock as s full join product_supplier as ps on ps.product_id = s.product_id;
-- stock_full_using: many
select product_id, s.quantity, ps.lead_days from stock as s full join product_supplier as ps using (product_id);
-- stock_full_filtered: many
select s.product_id, s.quantity, ps.price from stock as s full join product_supplier as ps using (product_id) where s.quantity >= 0;
-- customer_by_id: maybe
select id, email, full_name, created_at from customer where id = $1;
-- customer_by_email: maybe
select id, full_name from customer where lower(email) = lower($1);
-- customer_name: many
select id, coalesce(full_name, email) as name, initials(full_name) as letter from customer;
-- customer_living: many
select id, email from customer where deleted_at is null and birth_date > $1;
-- customer_age: many
select id, age(birth_date) as age, extract(year from age(birth_date)) as years, birth_date + 1 as day_after from customer;
-- customer_born: many
select id, birth_date, to_char(birth_date, 'YYYY') as year from customer where birth_date is not null;
-- customer_preferences: many
select id, preferences ->> 'language' as language, coalesce(preferences, '{}') as preferences, jsonb_typeof(preferences) as kind from customer;
-- customer_preference_known: many
select id, preferences from customer where preferences @> '{"news": true}';
-- customer_days: many
select id, now() - created_at as since, created_at::date as day, extract(epoch from created_at) as seconds from customer;
-- customer_default_address: maybe
select id, line, extra from address where customer_id = $1 and kind = 'billing' and is_default;
-- customer_addresses: many
select c.id, a.line, a.city, a.postcode from customer as c left join address as a on a.customer_id = c.id;
-- customer_addresses_country: many
select c.id, a.city, co.name as country from customer as c left join address as a on a.customer_id = c.id left join country as co on co.code = a.country;
-- customer_addresses_nested: many
select c.id, a.city, co.name as country, co.continent from customer as c left join (address as a inner join country as co on co.code = a.country) on a.customer_id = c.id;
-- customer_addresses_some: many
select c.id, a.city, co.name as country from customer as c left join address as a on a.customer_id = c.id inner join country as co on co.code = a.country;
-- customer_wishlist: many
select c.id, w.title, i.product_id from customer as c left join wishlist as w on w.customer_id = c.id left join wishlist_item as i on i.wishlist_id = w.id;
-- customer_wishlist_one: maybe
select w.id, w.title, c.email from wishlist as w inner join customer as c on c.id = w.customer_id where w.customer_id = $1;
-- customer_sales: many
select c.id, count(s.id) as sales, coalesce(sum(s.total), 0) as total, max(s.placed_at) as last from customer as c left join sale as s on s.customer_id = c.id group by c.id;
-- customer_devices: many
select customer_id, token, last_seen, host(last_seen) as address, family(last_seen) as family from device;
-- customer_device: maybe
select last_seen from device where customer_id = $1 and token = $2;
-- sale_by_id: maybe
select id, status, total, note from sale where id = $1;
-- sale_customer: many
select s.id, c.email, c.full_name from sale as s left join customer as c on c.id = s.customer_id;
-- sale_customer_inner: many
select s.id, s.customer_id, c.email from sale as s inner join customer as c on c.id = s.customer_id;
-- sale_open: many
select id, customer_id, email, total from open_sale;
-- sale_open_known: many
select id, customer_id, email from open_sale where email is not null;
-- sale_status: many
select status, count(*) as number, sum(total) as total from sale group by status;
-- sale_status_text: many
select id, status::text as status, status = 'open' as is_open, status in ('paid', 'sent') as is_paid from sale;
-- sale_total: many
select id, sale_total(id) as total, total = sale_total(id) as matches from sale;
-- sale_lines: many
select s.id, l.line_no, l.quantity, l.discount, l.quantity * l.unit_price as amount from sale as s left join sale_line as l on l.sale_id = s.id;
-- sale_line_amount: many
select sale_id, line_no, quantity * unit_price as amount, quantity * unit_price * (1 - discount / 100) as net, quantity * unit_price * (1 - coalesce(discount, 0) / 100) as paid from sale_line;
-- sale_lines_function: many
select l.line_no, l.product, l.discount from lines_of($1) as l;
-- sale_lines_lateral: many
select s.id, l.line_no, l.product from sale as s cross join lateral lines_of(s.id) as l;
-- sale_lines_lateral_left: many
select s.id, l.line_no, l.product from sale as s left join lateral lines_of(s.id) as l on true;
-- sale_json_lines: many
select s.id, (select jsonb_agg(jsonb_build_object('no', l.line_no)) from sale_line as l where l.sale_id = s.id) as lines from sale as s;
-- sale_json_lines_some: many
select l.sale_id, jsonb_agg(l.product_id order by l.line_no) as products, json_object_agg(l.line_no, l.product_id) as by_number from sale_line as l group by l.sale_id;
-- sale_paid: many
select s.id, p.amount, p.paid_at, p.reference from sale as s inner join payment as p on p.sale_id = s.id where p.paid_at is not null;
-- sale_unpaid: many
select s.id, s.total from sale as s where not exists (select from payment as p where p.sale_id = s.id);
-- sale_balance: many
select s.id, s.total - coalesce(sum(p.amount), 0) as due, s.total - sum(p.amount) as unknown from sale as s left join payment as p on p.sale_id = s.id group by s.id, s.total;
-- sale_latest: many
select distinct on (customer_id) customer_id, id, placed_at from sale order by customer_id, placed_at desc;
-- sale_page: many
select id, placed_at from sale where (placed_at, id) < ($1, $2) order by placed_at desc, id desc limit 20;
-- sale_page_first: many
select page.id, page.total, page.note from (select id, total, note from sale order by id limit 10) as page;
-- sale_cte: many
with recent as (select id, customer_id from sale where placed_at > now() - interval '1 day') select recent.id, c.email from recent left join customer as c on c.id = recent.customer_id;
-- sale_cte_count: one
with n as (select count(*) as sales from sale) select sales, (select count(*) from payment) as payments from n;
-- sale_cte_materialized: many
with big as materialized (select id, total, note from sale where total > $1) select id, total, note from big;
-- sale_cte_renamed: many
with s (a, b) as (select note, id from sale) select a, b from s;
-- sale_currency: many
select s.id, c.symbol, c.digits, round(s.total, c.digits) as rounded from sale as s inner join currency as c on c.code = s.currency;
-- sale_coupons: many
select s.id, c.code, c.percent, c.amount from sale as s left join sale_coupon as sc on sc.sale_id = s.id left join coupon as c on c.code = sc.coupon_code;
-- coupon_valid: many
select code, lower(valid) as begins, upper(valid) as ends, valid @> current_date as now, isempty(valid) as never from coupon;
-- coupon_use: maybe
update coupon set uses = uses + 1 where code = $1 and (max_uses is null or uses < max_uses) returning code, uses, max_uses;
-- coupon_left: many
select code, max_uses - uses as remaining, uses >= max_uses as spent from coupon where max_uses is not null;
-- payment_refunds: many
select p.id, r.amount, r.reason from payment as p left join refund as r on r.payment_id = p.id;
-- payment_by_reference: maybe
select id, amount, method from payment where reference = $1;
-- payment_methods: many
select method, count(*) as payments, array_agg(distinct amount) as amounts, max(paid_at) as last from payment group by method;
-- payment_refunded: many
select p.id, sum(r.amount) as refunded, bool_and(r.reason is not null) as explained from payment as p inner join refund as r on r.payment_id = p.id group by p.id;
-- shipment_carrier: many
select s.id, c.name as carrier, c.homepage, s.tracking from shipment as s left join carrier as c on c.id = s.carrier_id;
-- shipment_duration: many
select id, delivered_at - shipped_at as took, delivered_at is not null as delivered from shipment;
-- shipment_delivered: many
select id, shipped_at, delivered_at from shipment where delivered_at > shipped_at;
-- shipment_lines: many
select l.shipment_id, l.quantity, o.quantity as ordered, p.name from shipment_line as l inner join sale_line as o on o.sale_id = l.sale_id and o.line_no = l.line_no inner join product as p on p.id = o.product_id;
-- employee_staff: many
select id, name, manager, warehouse from staff;
-- employee_managed: many
select id, name, manager from staff where manager is not null;
-- employee_manager: many
select e.id, m.id as manager, m.salary from employee as e inner join employee as m on m.id = e.manager_id;
-- employee_salary: many
select id, salary, salary > 100 as rich, coalesce(salary, 0) * 12 as year from employee where left_on is null;
-- employee_top: maybe
select id, name from employee where salary is not null order by salary desc limit 1;
-- employee_chain: many
with recursive chain as (select id, manager_id, array[id] as path from employee where id = $1 union all select e.id, e.manager_id, chain.path || e.id from employee as e inner join chain on chain.manager_id = e.id where not e.id = any (chain.path)) select id, manager_id, path from chain;
-- shift_times: many
select id, lower(during) as begins, upper(during) as ends, upper_inf(during) as open, during && tstzrange(now(), null) as later from shift;
-- shift_pause: many
select id, coalesce(pause, interval '0') as pause, days(pause) as days, extract(epoch from pause) as seconds from shift;
-- ticket_assignee: many
select t.id, t.subject, e.name as assignee from ticket as t left join employee as e on e.id = t.assignee_id;
-- ticket_open: many
select id, state, opened_at, priority from ticket where state <> 'closed' order by priority nulls last;
-- ticket_age: many
select id, coalesce(closed_at, now()) - opened_at as age, closed_at - opened_at as took from ticket;
-- ticket_messages: many
select t.id, m.body, m.author from ticket as t left join ticket_message as m on m.ticket_id = t.id;
-- ticket_last_message: many
select t.id, m.body, m.sent_at from ticket as t left join lateral (select body, sent_at from ticket_message where ticket_id = t.id order by sent_at desc limit 1) as m on true;
-- ticket_message_count: many
select t.id, m.number from ticket as t left join (select ticket_id, count(*) as number from ticket_message group by ticket_id) as m on m.ticket_id = t.id;
-- ticket_message_count_lateral: many
select t.id, m.number from ticket as t cross join lateral (select count(*) as number from ticket_message as x where x.ticket_id = t.id) as m;
-- event_recent: many
select id, at, kind, customer_id, payload from event where at > $1 order by at limit 10;
-- event_pruned: many
select c.id, e.id as event from customer as c left join event as e on e.customer_id = c.id and e.at < '2019-01-01' and false;
-- event_payload: many
select id, payload ->> 'x' as x, coalesce(payload ->> 'x', '') as text, jsonb_array_length('[1]') as one from event;
-- event_kinds: many
select kind, count(*) as number, count(distinct customer_id) as customers, min(at) as first from event group by kind;
-- event_series: many
select d.day, count(e.id) as events from generate_series(date '2024-01-01', date '2024-01-03', interval '1 day') as d (day) left join event as e on e.at::date = d.day::date group by d.day;
-- setting_value: maybe
select value, updated_by from setting where name = $1;
-- setting_number: many
select name, (value ->> 0)::integer as number, value is null as unset from setting;
-- price_on: many
select product_id, price, valid_to from price_history where valid_from <= $1 and (valid_to is null or valid_to > $1);
-- audit_recent: many
select a.id, a.change, e.name as by from audit as a left join employee as e on e.id = a.employee_id order by a.at desc limit 5;
-- review_add: one
insert into review (product_id, customer_id, stars, body) values ($1, $2, $3, $4) on conflict (product_id, customer_id) do update set stars = excluded.stars, body = excluded.body returning product_id, stars, body, (xmax = 0) as inserted;
-- review_add_once: maybe
insert into review (product_id, customer_id, stars) values ($1, $2, 5) on conflict do nothing returning stars, body;
-- stock_reserve: maybe
update stock set reserved = reserved + $3 where product_id = $1 and warehouse_id = $2 returning quantity, reserved, old.reserved as before, counted_at;
-- stock_count: many
update stock set counted_at = now() where counted_at is null returning product_id, counted_at, old.counted_at as before;
-- ticket_close: maybe
update ticket set state = 'closed', closed_at = now() where id = $1 and closed_at is null returning id, closed_at, priority;
-- ticket_take: maybe
update ticket set assignee_id = e.id from employee as e where e.id = $2 and ticket.id = $1 returning ticket.id, e.name, ticket.assignee_id;
-- sale_delete: maybe
delete from sale_coupon where sale_id = $1 and coupon_code = $2 returning sale_id, coupon_code;
-- product_add: one
insert into product (sku, name, price, category_id) values ($1, $2, $3, $4) returning id, sku, category_id, tags, attributes, weight;
-- product_add_from: many
insert into wishlist_item (wishlist_id, product_id) select w.id, p.id from wishlist as w cross join product as p where p.price < $1 on conflict do nothing returning wishlist_id, product_id, added_at, note;
-- customer_rename: maybe
with old as (select id, full_name from customer where id = $1), changed as (update customer set full_name = $2 where id = $1 returning id, full_name) select old.id, old.full_name as before, changed.full_name as after from old inner join changed on changed.id = old.id;
-- audit_add: one
insert into audit (table_name, row_id, change) select 'sale', count(*), '{}' from sale returning id, row_id, at;
-- customer_purge: many
delete from device using customer where customer.id = device.customer_id and customer.deleted_at is not null returning device.token, customer.deleted_at, device.last_seen;
-- stock_merge: many
merge into stock as s using product as p on p.id = s.product_id and s.warehouse_id = $1 when matched then update set quantity = s.quantity + 1 when not matched then insert (product_id, warehouse_id) values (p.id, $1) returning merge_action() as action, s.quantity, p.name, s.counted_at;
-- misc_now: one
select now() as now, current_date as today, localtime as at, current_user as role, pg_backend_pid() as pid, gen_random_uuid() as id, random() as random;
-- misc_scalar: one
select (select max(price) from product) as dearest, (select 1) as one, (select name from carrier where id = $1) as carrier, exists (select from carrier) as any;
-- misc_arrays: one
select array[1, 2] as numbers, array[]::text[] as none, array[$1::text, 'a'] as texts, string_to_array('a,b', ',') as split, array(select name from carrier) as carriers;
-- misc_json: one
select json_build_array(1, null) as array, jsonb_build_object('a', $1::text) as object, to_json($1::text) as text, jsonb '{"a": null}' -> 'a' as inner, row_to_json(r) as row from (select 1 as a) as r;
-- misc_rows: many
values (1, 'a'), (2, 'b');
