"""The platform's servers as clients see them: one module a server.

Each says how to connect, whether the server answers, and what its library's errors mean in the terms of
``contracts.errors``. What passes is tried again in one way, by ``clients.retry``. ``python -m clients`` asks them all.
"""
