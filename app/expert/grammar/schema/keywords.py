"""The keywords of JSON Schema: what their values are, and which draft brought them."""

DRAFTS = {
    "draft-03": 3,
    "draft-04": 4,
    "draft-06": 6,
    "draft-07": 7,
    "2019-09": 2019,
    "2020-12": 2020,
}
"""By what `$schema` contains."""

SCHEMA = frozenset(
    [
        "additionalItems",
        "additionalProperties",
        "contains",
        "else",
        "if",
        "items",
        "not",
        "propertyNames",
        "then",
        "unevaluatedItems",
        "unevaluatedProperties",
    ]
)
SCHEMAS = frozenset(["allOf", "anyOf", "items", "oneOf", "prefixItems"])
NAMED_SCHEMAS = frozenset(
    ["$defs", "definitions", "dependencies", "dependentSchemas", "patternProperties", "properties"]
)
NUMBERS = frozenset(["exclusiveMaximum", "exclusiveMinimum", "maximum", "minimum", "multipleOf"])
COUNTS = frozenset(
    [
        "maxContains",
        "maxItems",
        "maxLength",
        "maxProperties",
        "minContains",
        "minItems",
        "minLength",
        "minProperties",
    ]
)
STRINGS = frozenset(["contentEncoding", "contentMediaType", "format", "pattern"])

SINCE = {
    "const": 6,
    "contains": 6,
    "dependentRequired": 2019,
    "dependentSchemas": 2019,
    "else": 7,
    "if": 7,
    "maxContains": 2019,
    "minContains": 2019,
    "prefixItems": 2020,
    "propertyNames": 6,
    "then": 7,
    "unevaluatedItems": 2019,
    "unevaluatedProperties": 2019,
}
UNTIL = {"contentEncoding": 7, "contentMediaType": 7, "dependencies": 7}
"""The last draft in which a keyword constrains values."""
OF_3 = frozenset(["disallow", "divisibleBy", "extends"])
OF_2020 = frozenset(
    [
        "$anchor",
        "$defs",
        "$dynamicRef",
        "dependentRequired",
        "dependentSchemas",
        "prefixItems",
        "unevaluatedItems",
        "unevaluatedProperties",
    ]
)
OF_7 = frozenset(["additionalItems", "definitions", "dependencies"])
"""What only older drafts have: it tells the draft of a schema that names none."""

APPLIES = {
    "string": frozenset(["format", "maxLength", "minLength", "pattern"]),
    "number": NUMBERS,
    "array": frozenset(
        [
            "contains",
            "items",
            "maxContains",
            "maxItems",
            "minContains",
            "minItems",
            "prefixItems",
            "unevaluatedItems",
            "uniqueItems",
        ]
    ),
    "object": frozenset(
        [
            "additionalProperties",
            "dependentRequired",
            "dependentSchemas",
            "maxProperties",
            "minProperties",
            "patternProperties",
            "properties",
            "propertyNames",
            "required",
            "unevaluatedProperties",
        ]
    ),
}
"""By type: the keywords that constrain values of that type alone."""
