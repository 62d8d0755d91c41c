"""The files between a service and the shipper."""
