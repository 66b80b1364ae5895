"""Lists of any size, compiled into immutable files that are opened by mapping them into memory.

A *part* is one list, parsed and made canonical. `compile_lists` makes one *generation* of all
parts: a folder of files that are written once, never changed, and shared by every process that
maps them. `Generation` answers questions from them (`core.hit.Matcher`); opening one reads a
manifest and maps a few files, whatever their size. The terms of a list (clause, labels, scope) are
not compiled in, so changing them costs no compilation.

    names      a sorted table of hashes; one look-up for a name, and one for each of its parents
    networks   sorted, disjoint segments of the address space; bisection
    urls       a MARISA trie of host and canonical path; one descent finds every prefix
    patterns   a Hyperscan database: all regular expressions in one pass over the URL, in time
               linear in its length
    ports, schemes   in the manifest

Files never change in place: a process that has a file mapped would see the change half done, or be
killed by SIGBUS where it got shorter.
"""

from .build import compile_lists
from .faults import BadGeneration, CompileError
from .generation import Generation, verify
from .part import write_part

__all__ = [
    "BadGeneration", "CompileError", "Generation", "compile_lists", "verify", "write_part",
]
