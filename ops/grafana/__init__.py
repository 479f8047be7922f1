"""The dashboards, as code. ``python -m ops.grafana`` (``make dashboards``) writes them to ``dashboards/*.json``.

One module is one dashboard (`overview`, `ingest`, `deliveries`, `kafka_and_worker`); the others are what they are made
of. Only names that docs/reference/metrics.md lists are used; tests/ops evaluates every query on a running system.
"""
