"""Calls to other services; knows nothing of Kafka."""
