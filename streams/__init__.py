"""The log and what runs on it: events, fan-out, deliveries, retries and dead letters."""
