"""The forward protocol, version 1, from the sending side: fluentd, Fluent Bit, Vector and others take it.

Source: Fluentd's "Forward Protocol Specification v1".
"""
