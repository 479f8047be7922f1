"""HTTP in, events out: verify a webhook, publish it, answer after the broker's acknowledgement."""
