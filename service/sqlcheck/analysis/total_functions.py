"""PostgreSQL's built-in functions that return null for null arguments only; the catalogue does not record this.

A test calls each with edge values of its types. Functions that return null for other values, too, are left out:
to_char(timestamp, ''), extract() of infinity, substring() by a pattern, lower() of a range, array_length() of an empty
array. A name stands for all functions with that name, a signature for one.
"""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


OPERATORS = _words("""
    + - * / % ^ || & | # ~ << >> @ |/ ||/ ~~ !~~ ~~* !~~* ~* !~ !~* ^@ @> <@ && -|- &< &> ? ?| ?& #- @@ <-> = <> < >
    <= >= <<= >>= !! ~=
""")
# Strict functions: they return null for a null argument, and never otherwise.
TOTAL = _words("""
    lower(text) upper(text) initcap length char_length character_length octet_length bit_length btrim ltrim rtrim
    lpad rpad left right repeat replace translate reverse substr overlay position strpos starts_with split_part
    ascii chr md5 sha224 sha256 sha384 sha512 encode decode convert convert_from convert_to to_hex quote_ident
    quote_literal regexp_replace regexp_count regexp_like regexp_instr regexp_split_to_array normalize like notlike
    like_escape similar_to_escape similar_escape abs ceil ceiling floor round trunc sign sqrt cbrt exp ln log log10
    power pow mod div gcd lcm degrees radians trim_scale width_bucket bit_count date_trunc date_bin age isfinite
    justify_days justify_hours justify_interval make_date make_time make_timestamp make_timestamptz make_interval
    timezone to_date to_timestamp to_json to_jsonb row_to_json array_to_json json_array_length jsonb_array_length
    json_typeof jsonb_typeof jsonb_set jsonb_insert jsonb_strip_nulls json_strip_nulls jsonb_pretty cardinality
    trim_array isempty lower_inc upper_inc lower_inf upper_inf range_merge host abbrev broadcast family masklen
    netmask hostmask network set_masklen to_tsvector to_tsquery plainto_tsquery phraseto_tsquery
    websearch_to_tsquery ts_rank ts_rank_cd ts_headline setweight nextval pg_try_advisory_xact_lock
    pg_try_advisory_xact_lock_shared hashtext hashtextextended substring(text,integer) substring(text,integer,integer)
    substring(bytea,integer) substring(bytea,integer,integer) to_char(numeric,text) to_char(integer,text)
    to_char(bigint,text)
    array_to_string(anyarray,text) current_setting(text) jsonb_path_query_array jsonb_object json_object overlaps
    numnode querytree strip area(box) area(circle) center(box) center(circle)
""")
# Never null for any arguments, unless an array is passed as VARIADIC.
NEVER_NULL = _words("""
    now clock_timestamp statement_timestamp transaction_timestamp timeofday random pi gen_random_uuid uuidv4 uuidv7
    version current_database pg_backend_pid pg_current_xact_id txid_current pg_typeof json_build_array
    json_build_object jsonb_build_array jsonb_build_object concat num_nulls num_nonnulls array_append array_prepend
    int4range int8range numrange daterange tsrange tstzrange row_number rank dense_rank percent_rank cume_dist count
    regr_count
""")
# Set-returning functions whose columns are never null.
NEVER_NULL_SETS = _words("""
    generate_series generate_subscripts json_array_elements jsonb_array_elements json_object_keys jsonb_object_keys
    json_each jsonb_each jsonb_path_query string_to_table(text,text) regexp_split_to_table regexp_matches
    unnest(anymultirange)
""")
# Functions that return arrays without null elements.
ELEMENTS_NOT_NULL = _words("""
    string_to_array(text,text) regexp_split_to_array
""")
# Aggregates, and window functions of a frame, that are null only if there are no rows, or only nulls, in it.
AGGREGATES = _words("""
    sum min max avg array_agg string_agg bool_and bool_or every bit_and bit_or bit_xor any_value json_agg jsonb_agg
    json_object_agg jsonb_object_agg json_agg_strict jsonb_agg_strict json_object_agg_strict jsonb_object_agg_strict
    stddev_pop var_pop range_agg range_intersect_agg percentile_cont percentile_disc mode first_value last_value
""")
# Fields that extract() returns for infinity, too.
INFINITE_FIELDS = _words("""
    epoch year decade century millennium julian isoyear
""")
