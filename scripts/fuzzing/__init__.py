"""Random and mutated input, and what must hold for all of it.

`inputs` makes cases, `invariants` says what must hold, `running` tries one against the other.
"""
