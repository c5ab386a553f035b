"""`sql book`: the schema, the queries, the migrations and the endpoints, as pages that a DBA reviews from."""
