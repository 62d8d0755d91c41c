"""The demo: PostgreSQL, both services, a shipper and the viewer, and two requests as stories.

It is a program beside the services: what it knows of Dashcam is the command `dashcam`.
"""
