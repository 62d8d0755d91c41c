"""luqum, which parses Lucene's query language, imported so that it takes the parser's tables that it brings along."""

from functools import partial

from ply import yacc

_build = yacc.yacc
# ply would hold the docstrings of luqum's grammar, which Python 3.13 strips of blanks, against the tables luqum brings
# along, and then make tables anew and write them into site-packages. They belong to each other: take them as they are.
yacc.yacc = partial(_build, optimize=True, write_tables=False, debug=False)
try:
    from luqum import tree
    from luqum.exceptions import ParseError
    from luqum.thread import parse
finally:
    yacc.yacc = _build

__all__ = ["ParseError", "parse", "tree"]
