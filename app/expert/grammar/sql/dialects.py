"""What SQLite, PostgreSQL and MySQL do differently, as rules that replace those of `sql.gbnf`."""

from dataclasses import dataclass

from expert.errors import UsageError

_COMMON = """
    add all alter and as asc autoincrement between by case check collate commit constraint
    create cross default deferrable delete desc distinct drop else end escape except exists
    foreign from full group having in index inner insert intersect into is isnull join left
    like limit natural not notnull null offset on or order outer over partition primary
    references returning right select set table then to transaction union unique update
    using values when where with
"""
COMMON_RESERVED = frozenset(_COMMON.split())
_SQLITE = "cast current_date current_time current_timestamp nothing raise recursive"
_POSTGRES = """analyse analyze any array both cast column current_date current_time
    current_timestamp current_user do fetch for grant ilike initially interval lateral leading
    localtime only placing session_user similar some symmetric trailing user variadic verbose
    window"""
_MYSQL = """add analyze before both call cascade change character column condition convert cube
    current_date current_time current_timestamp current_user cursor database databases dense_rank
    describe div double each elseif empty enclosed exit explain fetch float for force fulltext
    function generated grant groups high_priority if ignore infile int integer interval iterate key
    keys kill lag lateral lead leave lines load lock long loop match mod modifies optimize option
    out outfile procedure range rank read reads recursive regexp release rename repeat replace
    require restrict return revoke rlike row_number rows schema schemas separator show signal
    spatial sql ssl starting stored system terminated trigger trailing undo unlock unsigned usage
    use utc_date varchar varying virtual while window write xor year_month"""

_SQLITE_RULES = r"""
source ::= query | "VALUES" sp row (comma row){0,19} (ws upsert)?
"""

_POSTGRES_RULES = r"""
like ::= "LIKE" | "ILIKE" | "SIMILAR" ws "TO"
compare ::= "=" | "!=" | "<>" | "<=" | ">=" | "<" | ">" | "~" | "~*" | "!~" | "!~*"
comparand ::= sum | ("ANY" | "ALL" | "SOME") sp open query close
test ::= ("NOT" ws)? sum check?
term ::= expr (ws ("ASC" | "DESC"))? (ws "NULLS" ws ("FIRST" | "LAST"))?
first-expr ::= (("DISTINCT" (ws "ON" sp open column (comma column){0,4} close)? | "ALL") ws)? expr |
  bracketed
inner-check ::= sp compare sp inner-sum | ws "IS" ws ("NOT" ws)? "NULL" |
  ws ("NOT" ws)? inner-matching
limit ::= "LIMIT" ws bound (ws "OFFSET" ws bound)? |
  "FETCH" ws ("FIRST" | "NEXT") ws count ws ("ROWS" | "ROW") ws "ONLY"
parameter ::= "$" [1-9] [0-9]?
quoted ::= "\"" [^"\x00-\x1f]{1,60} "\""
operand ::= value | open (query | inner) close | call | "EXISTS" sp open query close | cast | case |
  "SUBSTRING" sp open inner ws "FROM" ws count (ws "FOR" ws count)? close |
  "EXTRACT" sp open unit ws "FROM" ws inner close
value ::= (column | string) ("::" type)? | literal | parameter | constant | scalar-0 sp "(" sp ")"
aggregate ::= (aggregate-function sp open (("DISTINCT" ws)? argument | bracketed) close |
  ("COUNT" | "count") sp open "*" close |
  aggregate-2 sp open ("DISTINCT" ws)? argument comma inner (ws window-order)? close) (ws filter)?
filter ::= "FILTER" sp open "WHERE" ws inner close
literal ::= number | string | ("INTERVAL" | "DATE" | "TIMESTAMP") ws string
unit ::= "YEAR" | "MONTH" | "DAY" | "HOUR" | "MINUTE" | "SECOND" | "QUARTER" | "WEEK" | "DOW" |
  "EPOCH"
type ::= "INTEGER" | "INT" | "BIGINT" | "FLOAT" | "REAL" | "DOUBLE PRECISION" | "TEXT" | "DATE" |
  "TIME" | "TIMESTAMP" | "BOOLEAN" |
  ("NUMERIC" | "DECIMAL" | "VARCHAR") (sp open count (comma count)? close)?
insert ::= "INSERT" ws "INTO" ws table-name (sp columns)? ws source (ws returning)?
source ::= query | "VALUES" sp row (comma row){0,19} (ws upsert)?
update ::= "UPDATE" ws table-name ws "SET" ws set (comma set){0,19} (ws from-tables)? (
  ws "WHERE" ws expr)? (ws returning)?
delete ::= "DELETE" ws "FROM" ws table-name (ws "USING" ws named (comma named){0,4})? (
  ws "WHERE" ws expr)? (ws returning)?
scalar-0 ::= "NOW" | "RANDOM" | "CURRENT_SCHEMA" | "GEN_RANDOM_UUID"
aggregate-2 ::= "STRING_AGG"
aggregate-function ::= "COUNT" | "SUM" | "AVG" | "MIN" | "MAX" | "ARRAY_AGG" | "BOOL_OR" |
  "BOOL_AND"
scalar-1 ::= "ABS" | "ROUND" | "LENGTH" | "LOWER" | "UPPER" | "TRIM" | "LTRIM" | "RTRIM" |
  "FLOOR" | "CEIL" | "INITCAP" | "AGE" | "SQRT" | "SIGN" | "REVERSE" | "CHAR_LENGTH"
scalar-2 ::= "ROUND" | "NULLIF" | "DATE_TRUNC" | "TO_CHAR" | "TO_DATE" | "SUBSTR" | "POWER" |
  "MOD" | "DATE_PART" | "LEFT" | "RIGHT" | "AGE" | "SUBSTRING" | "STRPOS"
scalar-3 ::= "SUBSTR" | "SUBSTRING" | "LPAD" | "REPLACE" | "SPLIT_PART"
scalar-many ::= "COALESCE" | "CONCAT" | "GREATEST" | "LEAST"
"""

_MYSQL_RULES = r"""
like ::= "LIKE" | "REGEXP"
compare ::= "=" | "<=>" | "!=" | "<>" | "<=" | ">=" | "<" | ">"
comparand ::= sum | text | ("ANY" | "ALL" | "SOME") sp open query close
test ::= ("NOT" ws)? sum check?
group ::= "GROUP" ws "BY" ws key (comma key){0,9} (ws "WITH" ws "ROLLUP")? (ws "HAVING" ws expr)?
operator ::= "+" | "-" | "*" | "/" | "%"
side ::= ("LEFT" | "RIGHT") (ws "OUTER")? | "INNER" | "CROSS"
term ::= expr (ws ("ASC" | "DESC"))?
parameter ::= "?"
text ::= "\"" ([^"\\\x00-\x1f] | "\"\"" | "\\" [^'"\x00-\x1f]){0,200} "\""
string ::= "'" ([^'\\\x00-\x1f] | "''" | "\\" [^'"\x00-\x1f]){0,200} "'"
quoted ::= "`" [^`\x00-\x1f]{1,60} "`"
literal ::= number | string | "INTERVAL" ws count ws unit
unit ::= "YEAR" | "MONTH" | "DAY" | "HOUR" | "MINUTE" | "SECOND" | "QUARTER" | "WEEK"
operand ::= value | open (query | inner) close | call | "EXISTS" sp open query close | cast | case |
  "EXTRACT" sp open unit ws "FROM" ws inner close |
  "TIMESTAMPDIFF" sp open unit comma inner comma inner close
aggregate ::= aggregate-function sp open (("DISTINCT" ws)? argument | bracketed) close |
  ("COUNT" | "count") sp open "*" close |
  aggregate-2 sp open ("DISTINCT" ws)? argument (ws window-order)? (ws "SEPARATOR" ws string)? close
type ::= "SIGNED" | "UNSIGNED" | "DATE" | "DATETIME" | "TIME" |
  ("DECIMAL" | "CHAR") (sp open count (comma count)? close)?
insert ::= ("INSERT" ws ("IGNORE" ws)? | "REPLACE" ws) "INTO" ws table-name (sp columns)? ws source
source ::= query | "VALUES" sp row (comma row){0,19} (ws upsert)?
upsert ::= "ON" ws "DUPLICATE" ws "KEY" ws "UPDATE" ws renewal (comma renewal){0,19}
renewal ::= column-name sp "=" sp (comparand | "VALUES" sp open column-name close)
update ::= "UPDATE" ws table-name ws "SET" ws set (comma set){0,19} (ws "WHERE" ws expr)? (
  ws "LIMIT" ws count)?
delete ::= "DELETE" ws "FROM" ws table-name (ws "WHERE" ws expr)? (ws "LIMIT" ws count)?
scalar-0 ::= "NOW" | "CURDATE" | "CURTIME" | "RAND" | "UUID"
aggregate-2 ::= "GROUP_CONCAT"
aggregate-function ::= "COUNT" | "SUM" | "AVG" | "MIN" | "MAX" | "STDDEV" | "VARIANCE"
scalar-1 ::= "ABS" | "ROUND" | "LENGTH" | "CHAR_LENGTH" | "LOWER" | "UPPER" | "TRIM" | "LTRIM" |
  "RTRIM" | "YEAR" |
  "MONTH" | "DAY" | "HOUR" | "DATE" | "FLOOR" | "CEIL" | "DAYNAME" | "MONTHNAME" | "QUARTER" |
  "WEEK" | "LAST_DAY" | "SQRT" | "REVERSE"
scalar-2 ::= "ROUND" | "IFNULL" | "NULLIF" | "DATE_FORMAT" | "DATEDIFF" | "DATE_ADD" |
  "DATE_SUB" | "SUBSTR" | "POWER" | "INSTR" |
  "SUBSTRING" | "LEFT" | "RIGHT" | "STR_TO_DATE" | "FORMAT" | "MOD"
scalar-3 ::= "SUBSTR" | "SUBSTRING" | "SUBSTRING_INDEX" | "LPAD" | "REPLACE" | "IF"
scalar-many ::= "COALESCE" | "CONCAT" | "GREATEST" | "LEAST"
"""


def _reserved(more: str) -> frozenset[str]:
    return COMMON_RESERVED.union(more.split())


@dataclass(frozen=True, slots=True)
class Dialect:
    """One database's way of writing SQL."""

    name: str
    rules: str
    """GBNF that replaces rules of `sql.gbnf`."""
    quotes: str
    """What may stand around a name; the first is preferred."""
    reserved: frozenset[str]
    """Words that a name must not be without quotes, in small letters."""
    texts: str
    """What may stand around a text."""
    folds: bool
    """Whether names that were defined in quotes need quotes again."""


DIALECTS = {
    dialect.name: dialect
    for dialect in (
        Dialect("sqlite", _SQLITE_RULES, '"`', _reserved(_SQLITE), "'\"", False),
        Dialect("postgres", _POSTGRES_RULES, '"', _reserved(_POSTGRES), "'", True),
        Dialect("mysql", _MYSQL_RULES, "`", _reserved(_MYSQL), "'\"", False),
    )
}


def dialect_named(name: str) -> Dialect:
    """Return the dialect of that name; `postgresql` is one of PostgreSQL's.

    Raises:
        UsageError: there is none.
    """
    known = DIALECTS.get(
        {"postgresql": "postgres", "mariadb": "mysql"}.get(name.lower(), name.lower())
    )
    if known is None:
        raise UsageError(
            f"There is no SQL dialect {name!r}.",
            "The dialects are " + ", ".join(DIALECTS) + ".",
            "Name one of them.",
        )
    return known
