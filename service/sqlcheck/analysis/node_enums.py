"""Values of PostgreSQL's C enums, as numbers in query trees; they are the same in PostgreSQL 15 to 18.

Source: https://github.com/postgres/postgres/tree/REL_18_STABLE/src/include/nodes
"""

SELECT, UPDATE, INSERT, DELETE, MERGE, NOTHING = 1, 2, 3, 4, 5, 7  # CmdType
INNER, LEFT, FULL, RIGHT = 0, 1, 2, 3  # JoinType
TABLE, SUBQUERY, JOIN, FUNCTION, TABLEFUNC, VALUES, CTE, RESULT, GROUP = 0, 1, 2, 3, 4, 5, 6, 8, 9  # RTEKind
UNION, INTERSECT, EXCEPT = 1, 2, 3  # SetOperation
EXISTS, ALL, ANY, ROW_COMPARISON, EXPRESSION, ASSIGNMENT, ARRAY = 0, 1, 2, 3, 4, 5, 6  # SubLinkType
IS_NULL, IS_NOT_NULL = 0, 1  # NullTestType
IS_TRUE, IS_FALSE, IS_NOT_UNKNOWN = 0, 2, 5  # BoolTestType
DO_UPDATE = 2  # OnConflictAction
DEFAULT, OLD, NEW = 0, 1, 2  # VarReturningType
MATCHED, NOT_MATCHED_BY_SOURCE, NOT_MATCHED_BY_TARGET = 0, 1, 2  # MergeMatchKind
EXTERNAL, OF_SUBQUERY = 0, 3  # ParamKind: of the statement or function; a column of a subquery that `set` assigns
EXPLICIT_CAST, IMPLICIT_CAST = 1, 2  # CoercionForm
JSON_OBJECT, JSON_ARRAY = 1, 2  # JsonConstructorType
CURRENT_SCHEMA = 14  # SQLValueFunctionOp
WITHOUT_CURRENT_ROW = 0x1B000  # FRAMEOPTION_END_OFFSET_PRECEDING, _START_OFFSET_FOLLOWING, _EXCLUDE_CURRENT_ROW, _GROUP
SKIP_LOCKED = 1  # LockWaitPolicy
EMPTY_SET, SIMPLE_SET, ROLLUP, CUBE, SETS = 0, 1, 2, 3, 4  # GroupingSetKind
