"""One file a connector, with what the conformance suite needs to call each of its actions.

``settings(base_url, folder)`` gives a destination's keys, ``SECRETS`` the values of its ``*_env`` keys, and
``PARAMETERS`` the rendered parameters of one good call, by action.
"""
