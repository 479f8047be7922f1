"""``headrace doctor``: looks at everything that a part needs, and says what to do about what is not as it must be."""
