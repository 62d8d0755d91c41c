"""Elasticsearch and OpenSearch, the real ones, for tests."""
