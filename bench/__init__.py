"""Measurements. Each prints its figures together with what it compares them to, taken in the same run."""
