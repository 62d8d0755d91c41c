"""Who records: the process's service and recorder, the IDs and open spans of the current request."""
