"""The demo's stage: PostgreSQL, both services, a shipper and the viewer, for as long as the demo runs."""
