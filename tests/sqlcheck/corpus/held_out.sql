-- The other half of the corpus: looked at for the figure alone. The name of each query, and how many rows it returns.

-- a001: maybe
select name, continent from country where code = upper($1);
-- a002: many
select c.code, c.name, count(w.id) as warehouses from country as c left join warehouse as w on w.country = c.code group by c.code, c.name order by c.name;
-- a003: many
select coalesce(continent, 'unknown') as continent, count(*) as n from country group by coalesce(continent, 'unknown');
-- a004: many
select code, symbol from currency where symbol is not null and digits > 0;
-- a005: many
select code, case digits when 0 then 'whole' when 2 then 'cents' else 'other' end as kind from currency;
-- a006: many
select name, closed_on, closed_on - current_date as days from warehouse;
-- a007: many
select w.id, w.name, e.name as chief from warehouse as w left join employee as e on e.warehouse_id = w.id and e.manager_id is null;
-- a008: many
select w.name, count(e.id) filter (where e.left_on is null) as active, max(e.salary) as top from warehouse as w left join employee as e on e.warehouse_id = w.id group by w.id, w.name;
-- a009: many
select w.id from warehouse as w where w.id not in (select s.warehouse_id from stock as s);
-- a010: one
select count(*) filter (where closed_on is null) as open, count(closed_on) as closed, min(closed_on) as first from warehouse;
-- a011: many
select id, name, coalesce(email, name) as contact, email is not null as reachable from supplier order by id;
-- a012: many
select s.id, s.rating, dense_rank() over (order by s.rating desc nulls last) as place from supplier as s;
-- a013: many
select s.id, s.name, x.products from supplier as s inner join (select supplier_id, count(*) as products from product_supplier group by supplier_id) as x on x.supplier_id = s.id;
-- a014: many
select s.id, x.products, x.slowest from supplier as s left join (select supplier_id, count(*) as products, max(lead_days) as slowest from product_supplier group by supplier_id) as x on x.supplier_id = s.id;
-- a015: many
select s.name, c.name as country from supplier as s inner join country as c on c.code = s.country order by c.name, s.name;
-- a016: many
select s.name, s.country from supplier as s where s.country in (select code from country where continent = $1);
-- a017: many
select s.name, s.email from supplier as s where s.email like '%@' || $1;
-- a018: many
select s.name, upper(s.country) as country, s.country = 'DE' as german from supplier as s;
-- a019: maybe
select id, name, rating from supplier where id = $1 and rating is not null;
-- a020: many
select ps.product_id, min(ps.price) as cheapest, array_agg(ps.supplier_id order by ps.price) as suppliers, array_agg(ps.lead_days) as days from product_supplier as ps group by ps.product_id;
-- a021: many
with recursive down as (select id, parent_id, name, array[name] as trail from category where parent_id is null union all select c.id, c.parent_id, c.name, d.trail || c.name from category as c inner join down as d on d.id = c.parent_id where not c.name = any (d.trail)) select id, parent_id, name, trail from down;
-- a022: many
with recursive up (id, parent, depth) as (select id, parent_id, 0 from category where id = $1 union all select c.id, c.parent_id, up.depth + 1 from category as c inner join up on c.id = up.parent where up.depth < 5) select id, parent, depth from up;
-- a023: many
select c.id, count(k.id) as children from category as c left join category as k on k.parent_id = c.id group by c.id;
-- a024: many
select c.id, c.name from category as c where exists (select from product as p where p.category_id = c.id and p.price > $1);
-- a025: many
select c.name, p.name as parent, coalesce(p.name, c.name) as root from category as c left join category as p on c.parent_id = p.id;
-- a026: many
select unnest.part from category as c, unnest(c.path) as unnest (part);
-- a027: many
select id, path || name as path, array_append(path, name) as appended, array_prepend(name, path) as prepended from category;
-- a028: many
select parent_id, array_agg(id) as children from category where parent_id is not null group by parent_id;
-- a029: many
select parent_id, string_agg(name, ', ' order by name) as names from category group by parent_id;
-- a030: maybe
select c.name, p.name as parent from category as c inner join category as p on p.id = c.parent_id where c.id = $1;
-- a031: maybe
select id, sku, name, price, cost, discontinued_at from product where id = $1;
-- a032: many
select sku, price, round(price * 1.19, 2) as gross, price::text || ' EUR' as shown from product;
-- a033: many
select sku, weight / 1000.0 as kilos, coalesce(weight, 0) / 1000.0 as known from product;
-- a034: many
select sku, cost / nullif(price, 0) as share from product;
-- a035: many
select sku, (price - cost) / price as share from product where price > 0 and cost is not null;
-- a036: many
select sku from product where discontinued_at is null order by name limit $1 offset $2;
-- a037: many
select p.sku, s.quantity from product as p left join stock as s on s.product_id = p.id where s.warehouse_id = $1;
-- a038: many
select p.sku, s.quantity from product as p left join stock as s on s.product_id = p.id and s.warehouse_id = $1;
-- a039: many
select p.sku, sum(s.quantity - s.reserved) as free from product as p inner join stock as s on s.product_id = p.id group by p.sku;
-- a040: many
select p.sku, coalesce(sum(s.quantity), 0) as quantity from product as p left join stock as s on s.product_id = p.id group by p.sku having coalesce(sum(s.quantity), 0) < $1;
-- a041: many
select p.sku, c.name as category, pc.name as parent from product as p left join category as c on c.id = p.category_id left join category as pc on pc.id = c.parent_id;
-- a042: many
select p.sku, c.name as category, pc.name as parent from product as p inner join category as c on c.id = p.category_id left join category as pc on pc.id = c.parent_id;
-- a043: many
select p.sku, r.stars, cu.email from product as p left join (review as r inner join customer as cu on cu.id = r.customer_id) on r.product_id = p.id;
-- a044: many
select p.sku, avg(r.stars)::numeric(3, 2) as stars from product as p inner join review as r on r.product_id = p.id group by p.sku;
-- a045: many
select p.sku, (select avg(r.stars) from review as r where r.product_id = p.id) as stars, (select count(*) from review as r where r.product_id = p.id) > 0 as reviewed from product as p;
-- a046: many
select p.sku, coalesce((select h.price from price_history as h where h.product_id = p.id order by h.valid_from desc limit 1), p.price) as price from product as p;
-- a047: many
select p.sku, h.price, h.valid_to from product as p left join price_history as h on h.product_id = p.id and h.valid_to is null;
-- a048: many
select product_id, valid_from, price, lead(price) over (partition by product_id order by valid_from) as next, price - lag(price, 1, price) over (partition by product_id order by valid_from) as change from price_history;
-- a049: many
select product_id, valid_from, coalesce(valid_to, 'infinity') as valid_to, daterange(valid_from, valid_to) as period from price_history;
-- a050: many
select product_id, max(price) as most, min(price) as least, max(price) - min(price) as spread, max(valid_to) as ended from price_history group by product_id;
-- a051: many
select id, attributes ->> 'colour' as colour from product where attributes ->> 'colour' is not null;
-- a052: many
select id, attributes #>> '{size,width}' as width, attributes #> '{size}' as size from product;
-- a053: many
select id, jsonb_typeof(attributes -> 'size') as kind, attributes || '{"a": 1}' as more, attributes - 'a' as less from product;
-- a054: many
select id, jsonb_set(attributes, '{seen}', 'true') as attributes, jsonb_pretty(attributes) as shown from product;
-- a055: many
select p.id, x.value as part from product as p, jsonb_array_elements(p.attributes -> 'parts') as x (value);
-- a056: many
select p.id, x.value as part from product as p, jsonb_array_elements_text(p.attributes -> 'parts') as x (value);
-- a057: many
select p.id, x.colour, x.size from product as p cross join jsonb_to_record(p.attributes) as x (colour text, size integer);
-- a058: many
select id, (attributes ->> 'size')::integer as size, coalesce((attributes ->> 'size')::integer, 0) as known from product where attributes ->> 'size' ~ '^[0-9]{1,6}$';
-- a059: many
select id, tags[1] as first, cardinality(tags) > 0 as tagged, array_position(tags, 'a') as place from product;
-- a060: many
select id, array_remove(tags, 'a') as others, array_replace(tags, 'a', 'b') as replaced, tags @> array['a'] as has_a, tags && array['b'] as has_b from product;
-- a061: many
select tag, count(*) as products from product, unnest(tags) as tag where tag is not null group by tag;
-- a062: many
select distinct tag from product, unnest(tags) as tag;
-- a063: many
select id, name from product where tags = '{}' or $1 = any (tags);
-- a064: many
select id, trim(name) as name, initcap(name) as title, reverse(sku) as reversed, repeat('*', 3) as stars, lpad(sku, 10) as padded from product;
-- a065: many
select id, strpos(name, 'a') as place, starts_with(name, 'a') as with_a, ascii(sku) as code, translate(name, 'ab', 'ba') as swapped, quote_literal(name) as quoted from product;
-- a066: many
select id, regexp_split_to_array(name, ' ') as words, string_to_array(name, ' ') as parts, array_to_string(tags, ',') as tags from product;
-- a067: many
select id, name similar to 'a%' as similar_to, name !~ 'a' as without, name not like 'a%' as not_like, name collate "C" < 'b' as early from product;
-- a068: many
select id, greatest(price, 1) as at_least, least(price, cost) as lower, greatest(cost, weight) as unknown from product;
-- a069: many
select id, price > all (select ps.price from product_supplier as ps where ps.product_id = product.id) as dear, price = any (select h.price from price_history as h) as seen from product;
-- a070: many
select id, (price, cost) = (1, 1) as both, (id, sku) > (1, 'a') as after, row(id, sku) as whole from product;
-- a071: many
select id, not (price > 10) as cheap, price > 10 and weight > 1 as heavy, price > 10 or id > 1 as some from product;
-- a072: many
select id, price % 2 as remainder, abs(price - 10) as distance, floor(price) as floor, ceil(price) as ceiling, sqrt(price) as root, sign(price) as sign from product;
-- a073: many
select id, discontinued_at at time zone 'UTC' as utc, discontinued_at + interval '1 day' as later, now() at time zone 'UTC' as now from product;
-- a074: many
select date_trunc('month', placed_at) as month, count(*) as sales, sum(total) as total from sale group by date_trunc('month', placed_at);
-- a075: many
select date_trunc('day', created_at) as day, count(*) as customers from customer group by date_trunc('day', created_at) order by day;
-- a076: many
select id, to_char(created_at, 'YYYY-MM-DD') as day, extract(dow from created_at) as weekday, date_part('year', created_at) as year from customer;
-- a077: many
select id, email, split_part(email, '@', 2) as domain, regexp_count(email, '@') as ats from customer;
-- a078: many
select split_part(email, '@', 2) as domain, count(*) as customers from customer group by split_part(email, '@', 2) having count(*) > 1;
-- a079: maybe
select id from customer where lower(email) = $1 and deleted_at is null;
-- a080: many
select c.id, c.email, s.id as sale from customer as c left join sale as s on s.customer_id = c.id and s.status = 'open';
-- a081: many
select c.id, c.email from customer as c left join sale as s on s.customer_id = c.id where s.id is null;
-- a082: many
select c.email, s.total from customer as c right join sale as s on s.customer_id = c.id;
-- a083: many
select c.email, s.total from sale as s right join customer as c on s.customer_id = c.id;
-- a084: many
select c.id, s.id as sale, coalesce(c.email, 'guest') as email from customer as c full join sale as s on s.customer_id = c.id;
-- a085: many
select c.id, last.placed_at, last.total from customer as c left join lateral (select s.placed_at, s.total from sale as s where s.customer_id = c.id order by s.id desc limit 1) as last on true;
-- a086: many
select c.id, last.placed_at, last.total from customer as c inner join lateral (select s.placed_at, s.total from sale as s where s.customer_id = c.id order by s.id desc limit 1) as last on true;
-- a087: many
select c.id, spent.total, spent.sales from customer as c inner join lateral (select sum(s.total) as total, count(*) as sales from sale as s where s.customer_id = c.id) as spent on true;
-- a088: many
select c.id, preferences -> 'news' as news, (preferences ->> 'news')::boolean as wanted, coalesce((preferences ->> 'news')::boolean, false) as subscribed from customer as c;
-- a089: many
select id, preferences from customer where jsonb_typeof(preferences) = 'object';
-- a090: many
select c.id, (select jsonb_agg(to_jsonb(a.city)) from address as a where a.customer_id = c.id) as cities, (select coalesce(jsonb_agg(a.city), '[]') from address as a where a.customer_id = c.id) as known from customer as c;
-- a091: many
select customer_id, kind, city, coalesce(postcode, '-') as postcode, kind::text || ': ' || city as label from address;
-- a092: many
select customer_id, count(*) as addresses, bool_or(is_default) as has_default, array_agg(city) as cities, array_agg(postcode) as codes from address group by customer_id;
-- a093: maybe
select line, city from address where customer_id = $1 and kind = $2 and is_default;
-- a094: many
select a.city, co.name as country from address as a inner join country as co on co.code = a.country where co.continent is not null;
-- a095: many
select a.city, a.extra, concat_ws(', ', a.line, a.extra, a.city) as shown from address as a;
-- a096: many
select s.id, b.city, c.email from sale as s left join address as b on b.id = s.billing_id left join customer as c on c.id = b.customer_id;
-- a097: many
select s.id, b.city, c.email from sale as s inner join address as b on b.id = s.billing_id inner join customer as c on c.id = b.customer_id;
-- a098: many
select s.id, s.status, s.placed_at, now() - s.placed_at as waiting from sale as s where s.placed_at is not null;
-- a099: many
select s.id, s.note, length(s.note) as length, coalesce(length(s.note), 0) as known from sale as s;
-- a100: many
select s.id, s.note from sale as s where s.note <> '' order by s.id;
-- a101: one
select count(*) as sales, sum(total) as total, avg(total) as average, count(distinct customer_id) as customers, max(placed_at) as last from sale;
-- a102: one
select coalesce(sum(total), 0) as total, coalesce(avg(total), 0) as average from sale where status = $1;
-- a103: many
select status, currency, sum(total) as total from sale group by cube (status, currency);
-- a104: many
select status, count(*) as n from sale group by status union all select null, count(*) from sale;
-- a105: many
select 'sale' as kind, id, total as amount from sale union all select 'payment', id, amount from payment union all select 'refund', id, amount from refund;
-- a106: many
select id, placed_at as at from sale union all select id, opened_at from ticket order by at;
-- a107: many
select customer_id from sale except all select customer_id from ticket;
-- a108: many
select id from customer intersect select customer_id from sale;
-- a109: many
(select id, name from product order by id limit 2) union all (select id, name from carrier order by id limit 2);
-- a110: many
select x.kind, x.n from (select 'open' as kind, count(*) as n from sale where status = 'open' union all select 'all', count(*) from sale) as x;
-- a111: many
with paid as (select sale_id, sum(amount) as amount from payment group by sale_id) select s.id, s.total, paid.amount, s.total - coalesce(paid.amount, 0) as due from sale as s left join paid on paid.sale_id = s.id;
-- a112: many
with paid as (select sale_id, sum(amount) as amount from payment group by sale_id) select s.id, s.total, paid.amount from sale as s inner join paid on paid.sale_id = s.id where paid.amount < s.total;
-- a113: many
with a as (select id, customer_id from sale), b as (select a.id, c.full_name from a inner join customer as c on c.id = a.customer_id) select b.id, b.full_name, a.customer_id from b inner join a on a.id = b.id;
-- a114: one
with totals as (select sum(total) as total, count(*) as n from sale) select total, n, case when n > 0 then total / n end as average from totals;
-- a115: many
with numbered as (select id, customer_id, row_number() over (partition by customer_id order by id desc) as n from sale) select id, customer_id from numbered where n = 1;
-- a116: many
with numbered as (select id, total, ntile(4) over (order by total) as quarter, cume_dist() over (order by total) as share from sale) select id, total, quarter, share from numbered;
-- a117: many
select id, sum(total) over (partition by customer_id order by id rows between unbounded preceding and current row) as running, count(*) over (partition by customer_id) as of_customer, max(placed_at) over () as last from sale;
-- a118: many
select l.sale_id, sum(l.quantity * l.unit_price) as amount, sum(l.quantity * l.unit_price * coalesce(l.discount, 0) / 100) as off, max(l.discount) as most from sale_line as l group by l.sale_id;
-- a119: many
select l.sale_id, l.line_no, p.name, p.price - l.unit_price as saved, c.name as category from sale_line as l inner join product as p on p.id = l.product_id left join category as c on c.id = p.category_id;
-- a120: many
select l.sale_id, jsonb_agg(jsonb_build_object('product', p.name, 'category', c.name)) as lines, string_agg(c.name, ',') as categories from sale_line as l inner join product as p on p.id = l.product_id left join category as c on c.id = p.category_id group by l.sale_id;
-- a121: maybe
select quantity, unit_price, discount from sale_line where sale_id = $1 and line_no = $2;
-- a122: many
select s.id, sale_total(s.id) - s.total as difference from sale as s where sale_total(s.id) <> s.total;
-- a123: many
select p.id, best_price(p.id) as best, p.price - best_price(p.id) as margin from product as p where best_price(p.id) is not null;
-- a124: many
select s.id, l.product, initials(l.product) as letter, l.discount from sale as s, lines_of(s.id) as l where s.status = 'open';
-- a125: many
select p.id, p.paid_at, p.reference, p.method, coalesce(p.reference, p.id::text) as shown from payment as p where p.amount > $1;
-- a126: many
select p.sale_id, p.amount - coalesce(sum(r.amount), 0) as kept, sum(r.amount) as back from payment as p left join refund as r on r.payment_id = p.id group by p.id, p.sale_id, p.amount;
-- a127: many
select r.id, r.reason, p.method, s.customer_id from refund as r inner join payment as p on p.id = r.payment_id inner join sale as s on s.id = p.sale_id;
-- a128: many
select method, sum(amount) as total, sum(amount) filter (where paid_at is not null) as paid, count(*) filter (where paid_at is null) as waiting from payment group by method;
-- a129: many
select sh.id, sh.tracking, ca.name as carrier, w.name as warehouse from shipment as sh inner join warehouse as w on w.id = sh.warehouse_id left join carrier as ca on ca.id = sh.carrier_id;
-- a130: many
select ca.name, ca.homepage, count(sh.id) as shipments, avg(sh.delivered_at - sh.shipped_at) as took from carrier as ca left join shipment as sh on sh.carrier_id = ca.id group by ca.id, ca.name, ca.homepage;
-- a131: many
select sh.id, sh.shipped_at, sh.delivered_at - sh.shipped_at as took from shipment as sh where sh.delivered_at is not null and sh.shipped_at is not null;
-- a132: many
select sh.id, case when sh.delivered_at is not null then sh.delivered_at when sh.shipped_at is not null then sh.shipped_at else now() end as at from shipment as sh;
-- a133: many
select sh.sale_id, sum(sl.quantity) as sent from shipment as sh inner join shipment_line as sl on sl.shipment_id = sh.id group by sh.sale_id;
-- a134: many
select l.sale_id, l.line_no, l.quantity - coalesce(sent.quantity, 0) as remaining, sent.quantity as sent from sale_line as l left join (select sale_id, line_no, sum(quantity) as quantity from shipment_line group by sale_id, line_no) as sent using (sale_id, line_no);
-- a135: many
select e.id, e.name, m.name as manager, coalesce(m.name, 'nobody') as shown from employee as e left join employee as m on m.id = e.manager_id order by e.name;
-- a136: many
select e.name, w.name as warehouse, c.name as country from employee as e left join warehouse as w on w.id = e.warehouse_id left join country as c on c.code = w.country;
-- a137: many
select e.name, w.name as warehouse, c.name as country from employee as e left join warehouse as w on w.id = e.warehouse_id inner join country as c on c.code = w.country;
-- a138: many
select e.id, e.hired_on, coalesce(e.left_on, current_date) - e.hired_on as days, e.left_on is null as active from employee as e;
-- a139: many
select e.id, e.salary, avg(e.salary) over (partition by e.warehouse_id) as average, rank() over (order by e.salary desc nulls last) as place from employee as e;
-- a140: many
select warehouse_id, avg(salary) as average, percentile_cont(0.5) within group (order by salary) as median, mode() within group (order by name) as common from employee group by warehouse_id;
-- a141: many
select manager_id, count(*) as reports from employee where manager_id is not null group by manager_id;
-- a142: many
select s.id, s.warehouse from staff as s where s.warehouse = $1;
-- a143: many
select sh.employee_id, sum(upper(sh.during) - lower(sh.during)) as worked, count(*) as shifts, max(sh.pause) as longest from shift as sh group by sh.employee_id;
-- a144: many
select e.name, sh.during, sh.during @> now() as present, isempty(sh.during) as empty from employee as e inner join shift as sh on sh.employee_id = e.id;
-- a145: many
select id, during * tstzrange('2024-01-01', null) as rest, lower_inf(during) as open, coalesce(lower(during), '-infinity') as begins from shift;
-- a146: many
select t.id, t.subject, coalesce(t.priority, 0) as priority, t.state, c.email from ticket as t left join customer as c on c.id = t.customer_id where t.state = any ($1::ticket_state[]);
-- a147: many
select t.state, count(*) as tickets, avg(t.closed_at - t.opened_at) as took, min(t.priority) as priority from ticket as t group by t.state;
-- a148: many
select t.id, e.name as assignee, m.name as boss from ticket as t inner join employee as e on e.id = t.assignee_id left join employee as m on m.id = e.manager_id;
-- a149: many
select t.id, (select m.body from ticket_message as m where m.ticket_id = t.id order by m.sent_at limit 1) as first, (select count(*) from ticket_message as m where m.ticket_id = t.id and m.author is null) as own from ticket as t;
-- a150: many
select t.id, m.author, coalesce(m.author, 'staff') as shown, m.sent_at from ticket as t inner join ticket_message as m on m.ticket_id = t.id where m.sent_at > t.opened_at;
-- a151: many
select t.id, t.closed_at from ticket as t where t.state = 'closed' and t.closed_at is not null;
-- a152: many
select t.id, t.closed_at from ticket as t where t.closed_at between $1 and $2;
-- a153: many
select t.id, t.closed_at, t.priority from ticket as t where not (t.priority < 3) and t.closed_at is distinct from null;
-- a154: many
select r.product_id, r.stars, coalesce(r.body, '') as body, c.full_name from review as r inner join customer as c on c.id = r.customer_id order by r.stars desc;
-- a155: maybe
select r.stars, r.body, p.name from review as r inner join product as p on p.id = r.product_id where r.product_id = $1 and r.customer_id = $2;
-- a156: many
select r.stars, count(*) as reviews, count(*)::numeric / sum(count(*)) over () as share from review as r group by r.stars;
-- a157: many
select c.code, c.percent, c.amount, coalesce(c.percent || '%', c.amount::text) as shown from coupon as c;
-- a158: many
select c.code, c.max_uses is null or c.uses < c.max_uses as usable, c.uses < c.max_uses as counted from coupon as c;
-- a159: many
select c.code, upper(c.valid) - current_date as days, c.valid @> $1::date as then, c.valid is null or c.valid @> current_date as now from coupon as c;
-- a160: many
select c.code, c.valid, c.valid && daterange(current_date, null) as later from coupon as c where c.valid is not null;
-- a161: many
select w.id, w.title, count(i.product_id) as items, max(i.added_at) as last from wishlist as w left join wishlist_item as i on i.wishlist_id = w.id group by w.id, w.title;
-- a162: many
select i.wishlist_id, p.name, i.note, coalesce(i.note, p.name) as label from wishlist_item as i inner join product as p on p.id = i.product_id;
-- a163: many
select w.customer_id, p.sku from wishlist as w left join wishlist_item as i on i.wishlist_id = w.id left join product as p on p.id = i.product_id;
-- a164: maybe
select w.title, c.email from wishlist as w inner join customer as c on c.id = w.customer_id where w.id = $1;
-- a165: many
select e.id, e.kind, c.email, e.payload -> 'a' as a from event as e left join customer as c on c.id = e.customer_id where e.at >= '2025-01-01';
-- a166: many
select e.kind, date_trunc('day', e.at) as day, count(*) as n, count(e.customer_id) as known from event as e group by e.kind, date_trunc('day', e.at);
-- a167: many
select e.id, e.at, lag(e.at) over (order by e.at) as before, e.at - lag(e.at, 1, e.at) over (order by e.at) as gap from event as e;
-- a168: many
select c.id, e.kind from customer as c left join event as e on e.customer_id = c.id and 1 = 0;
-- a169: many
select c.id, e.kind from (select id from customer) as c left join event_old as e on e.customer_id = c.id;
-- a170: many
select tableoid::regclass::text as part, count(*) as n from event group by tableoid;
-- a171: maybe
select name, value ->> 'theme' as theme, coalesce(value, 'null') as value from setting where name = $1;
-- a172: many
select s.name, e.name as by, (s.value)::text as value from setting as s left join employee as e on e.id = s.updated_by;
-- a173: many
select name, (value)::boolean as flag from setting where jsonb_typeof(value) = 'boolean' or value = 'null';
-- a174: many
select a.table_name, count(*) as changes, count(distinct a.employee_id) as people, max(a.row_id) as last from audit as a group by a.table_name;
-- a175: many
select a.id, a.change ->> 'field' as field, a.change, k.key from audit as a left join lateral jsonb_object_keys(a.change) as k (key) on true;
-- a176: many
select d.customer_id, host(d.last_seen) as host, masklen(d.last_seen) as length, d.last_seen << inet '10.0.0.0/8' as inside, coalesce(host(d.last_seen), '?') as shown from device as d;
-- a177: many
select g.n, p.id from generate_series(1, 3) as g (n) left join product as p on p.id = g.n;
-- a178: many
select g.n, g.n * 2 as double, to_char(g.n, '000') as shown from generate_series(1, 3) as g (n);
-- a179: many
select u.id, p.name from unnest($1::bigint[]) as u (id) left join product as p on p.id = u.id;
-- a180: many
select u.id, u.place, p.name from unnest($1::bigint[]) with ordinality as u (id, place) inner join product as p on p.id = u.id;
-- a181: many
select v.code, v.name, c.continent from (values ('DE', 'Germany'), ('FR', 'France')) as v (code, name) left join country as c on c.code = v.code;
-- a182: one
select exists (select from sale where customer_id = $1) as has_sales, (select max(placed_at) from sale where customer_id = $1) as last, not exists (select from ticket where customer_id = $1) as silent;
-- a183: one
select current_setting('server_version') as version, current_database() as database, session_user as role, clock_timestamp() as at, txid_current() as txid;
-- a184: one
select sha256('a') as digest, encode('a', 'hex') as hex, decode('YQ==', 'base64') as raw, gen_random_uuid() as id, md5($1) as md5;
-- a185: one
select make_date(2024, 1, 1) as day, make_interval(days => 3) as period, date '2024-01-01' + time '10:00' as at, interval '1 day' * 2 as two, age(date '2024-01-01', date '2023-01-01') as age;
-- a186: one
select array_length(array[1, 2], 1) as length, cardinality(array[1, 2]) as n, array[1, null] as holes, array_cat(array[1], array[2]) as both, array[[1, 2], [3, 4]] as matrix;
-- a187: many
insert into carrier (name, homepage) values ($1, $2), ($1, null) returning id, name, homepage;
-- a188: one
insert into customer (email, full_name) values ($1, $2) returning id, email, full_name, created_at, deleted_at;
-- a189: one
insert into setting (name, value) values ($1, $2) on conflict (name) do update set value = excluded.value returning name, value, updated_by;
-- a190: maybe
insert into wishlist (customer_id, title) values ($1, $2) on conflict (customer_id) do nothing returning id, title;
-- a191: many
insert into sale_coupon (sale_id, coupon_code) select s.id, c.code from sale as s cross join coupon as c where c.uses = 0 on conflict do nothing returning sale_id, coupon_code;
-- a192: many
insert into price_history (product_id, valid_from, price) select id, current_date, price from product on conflict do nothing returning product_id, price, valid_to;
-- a193: maybe
update customer set full_name = coalesce($2, full_name), phone = $3 where id = $1 returning id, full_name, phone, email;
-- a194: maybe
update customer set deleted_at = now() where id = $1 and deleted_at is null returning id, deleted_at, old.deleted_at as before;
-- a195: many
update product as p set category_id = c.id from category as c where c.name = $1 and p.category_id is null returning p.id, p.category_id, c.name, old.category_id as before;
-- a196: many
update product set cost = null where cost is not null returning id, cost, old.cost as before, new.price;
-- a197: many
update sale set status = 'cancelled' where placed_at < now() - interval '1 year' returning id, placed_at, status, note;
-- a198: maybe
delete from wishlist_item where wishlist_id = $1 and product_id = $2 returning added_at, note;
-- a199: many
delete from ticket_message using ticket where ticket.id = ticket_message.ticket_id and ticket.closed_at is not null returning ticket_message.id, ticket_message.author, ticket.closed_at, ticket.subject;
-- a200: many
delete from audit where at < now() - interval '1 year' and employee_id is not null returning id, employee_id, row_id;
-- a201: many
merge into setting as s using (values ('a', '1'::jsonb), ('b', null)) as v (name, value) on s.name = v.name when matched then update set value = v.value when not matched then insert (name, value) values (v.name, v.value) returning merge_action() as action, s.name, s.value, v.name as given;
-- a202: maybe
with taken as (update stock set quantity = quantity - 1 where product_id = $1 and warehouse_id = $2 and quantity > 0 returning product_id, quantity, counted_at) select t.quantity, t.counted_at, p.name from taken as t inner join product as p on p.id = t.product_id;
-- a203: many
with gone as (delete from device where last_seen is null returning customer_id, token) select c.id, c.full_name, gone.token from customer as c left join gone on gone.customer_id = c.id;
-- a204: one
with made as (insert into ticket (subject, customer_id) values ($1, $2) returning id, opened_at, priority) select made.id, made.opened_at, made.priority from made;
-- a205: many
select c.id, coalesce(s.n, 0) as sales, s.n as counted, s.total > 100 as big from customer as c left join (select customer_id, count(*) as n, sum(total) as total from sale where customer_id is not null group by customer_id) as s on s.customer_id = c.id where c.deleted_at is null;
