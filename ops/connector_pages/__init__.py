"""The pages about connectors, made from their docstrings, settings and rules: what they say is what the code does."""
