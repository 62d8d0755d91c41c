"""From an id or a query to the events, out of whichever store holds them."""
