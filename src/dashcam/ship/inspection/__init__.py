"""Looks at a spool and its shipper from outside the loop: counts, health, coverage, and repair after damage."""
