"""The behaviour of the stand-in: the limits Loggly states, and a switch for what its documentation leaves open."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Behaviour:
    """The behaviour of one stand-in, from its start to its end."""

    token: str = "11111111-2222-3333-4444-555555555555"  # noqa: S105  # only the stand-in knows this customer token
    """The customer token: it sends and cannot search."""

    api_token: str = "stand-in-api-token"  # noqa: S105  # as above
    """The API token: it searches and cannot send."""

    body_bytes: int = 5_000_000
    """The most bytes of one bulk body; the documentation says 5 MB and not which."""

    event_bytes: int = 1_000_000
    """The most bytes of one event."""

    delay_s: float = 0.0
    """Seconds before an accepted event is found by a search."""

    drift_s: float | None = None
    """Events whose own time is further from their arrival than this get the time of arrival; `None` keeps theirs."""

    most_fields: int | None = None
    """Events of more fields than this are kept as text alone, no field of theirs is found."""

    one_type: bool = False
    """True: a field keeps the type it came with first, and later values of another type are not found by field."""

    whole_values: bool = False
    """True: `field:"text"` asks for the whole value, and not for words in it."""

    indexes_values: bool = True
    """True: words are looked for in the values of fields too, and not in the line as sent alone."""

    lucene: bool = False
    """True: a query may hold the Lucene forms that no client was seen to use; else they get status 400."""

    queries_per_s: float | None = None
    """Searches a second beyond which the answer is 503; `None` has no limit."""

    cursor_life_s: float = 600.0
    """Seconds without a call after which the `next` of a page is forgotten."""
