"""Alerts without a server: rules over the store and the spool, and notices that are sent once."""
