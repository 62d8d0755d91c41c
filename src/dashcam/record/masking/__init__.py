"""Finds secrets in what is recorded, and masks them."""
