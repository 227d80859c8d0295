"""The JSON Schema front end: `compile_schema` gives the grammar of the answers a schema allows.

`reader` brings any draft into one form (`document`), `validator` judges values by it, `engine`
and `lowering` translate it for the mask engine, `stream` checks as the text grows what the engine
cannot, and `contract` puts them together.
"""

from expert.grammar.schema.contract import compile_schema, verify

__all__ = ["compile_schema", "verify"]
