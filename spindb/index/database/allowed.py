"""The functions that statements people type may call: those that compute from their arguments and nothing else.

What is not here is refused: functions that read or write files, run programs, end other sessions, sleep, take locks,
run SQL out of text or tell the server's settings have no place in a question, and new ones appear with each version.
"""

from __future__ import annotations

_IN_BOTH = """
    abs acos acosh asin asinh atan atan2 atanh avg ceil ceiling coalesce cos cosh count cume_dist current_date
    current_time current_timestamp degrees dense_rank exp first_value floor format lag last_value lead length ln log
    log10 lower ltrim max min mod nth_value ntile nullif percent_rank pi power radians rank replace round row_number
    rtrim sign sin sinh sqrt substr substring sum tan tanh trim trunc upper
"""

OF_SQLITE = frozenset(
    f"""
    {_IN_BOTH}
    -> ->> char date datetime glob group_concat hex ifnull iif instr json json_array json_array_length json_each
    json_extract json_group_array json_group_object json_insert json_object json_patch json_quote json_remove
    json_replace json_set json_tree json_type json_valid julianday like likelihood likely log2 octet_length pow
    printf quote random randomblob soundex sqlite_version strftime string_agg concat concat_ws time timediff total
    typeof unhex unicode unistr unixepoch unlikely zeroblob
    """.split()
)

OF_POSTGRESQL = frozenset(
    f"""
    {_IN_BOTH}
    age any_value array_agg array_append array_cat array_dims array_fill array_length array_lower array_ndims
    array_position array_positions array_prepend array_remove array_replace array_to_json array_to_string
    array_upper ascii bit_and bit_length bit_or bool_and bool_or btrim cardinality cbrt char_length character_length
    chr clock_timestamp concat concat_ws corr cot covar_pop covar_samp date_bin date_part date_trunc div every
    extract factorial gcd gen_random_uuid generate_series generate_subscripts greatest grouping initcap isfinite
    json_agg json_array_elements json_array_elements_text json_array_length json_build_array json_build_object
    json_each json_each_text json_extract_path json_extract_path_text json_object json_object_agg json_object_keys
    json_strip_nulls json_typeof jsonb_agg jsonb_array_elements jsonb_array_elements_text jsonb_array_length
    jsonb_build_array jsonb_build_object jsonb_each jsonb_each_text jsonb_extract_path jsonb_extract_path_text
    jsonb_object jsonb_object_agg jsonb_object_keys jsonb_path_exists jsonb_path_query jsonb_path_query_array
    jsonb_path_query_first jsonb_pretty jsonb_set jsonb_strip_nulls jsonb_typeof justify_days justify_hours
    justify_interval lcm least left localtime localtimestamp log lpad make_date make_interval make_time
    make_timestamp make_timestamptz md5 min_scale mode multirange now num_nonnulls num_nulls octet_length overlay
    parse_ident percentile_cont percentile_disc pg_typeof position quote_ident quote_literal quote_nullable random
    regexp_count regexp_instr regexp_like regexp_match regexp_matches regexp_replace regexp_split_to_array
    regexp_split_to_table regexp_substr regr_avgx regr_avgy regr_count regr_intercept regr_r2 regr_slope regr_sxx
    regr_sxy regr_syy repeat reverse right row_to_json rpad scale sha256 split_part starts_with statement_timestamp
    stddev stddev_pop stddev_samp string_agg string_to_array string_to_table strpos timeofday to_char to_date to_hex
    to_json to_jsonb to_number to_timestamp transaction_timestamp translate trim_array trim_scale unnest var_pop
    var_samp variance version width_bucket
    """.split()
)

# Words of SQL, not functions, that stand before a parenthesis.
_WORDS = """
    all and any array as between bit by case cast char character cross cube decimal distinct else end except exists
    explain filter float for from full group having ilike in inner intersect interval is join lateral left like
    limit materialized natural not numeric offset on or order outer over partition returns right rollup row rows
    select sets similar some symmetric then time timestamp timestamptz union using values varchar varying when where
    with within
"""
BEFORE_PARENTHESIS = frozenset(_WORDS.split())
