"""Expressions of MATCH and REJECT, which select streams by name: `syntax` reads one, `automaton` follows it.

A client chooses the expression. Python's `re` tries one way after the other through it, of which there may be more than
anybody waits for; here all ways are followed at once, so that a name costs what its length and the expression's do.
"""

from rawdaq.protocols.datalink.expressions.automaton import Expression

__all__ = ["Expression"]
