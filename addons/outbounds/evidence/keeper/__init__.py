"""The keeper: what is done to the log besides writing it, in a process of its own, now and then.

    python -m outbounds.evidence.keeper --dir DIR [--config DIR]

It makes one pass and ends. The collector starts it when there is something to do (`spawn`), or an
operator does; a pass that finds another at work leaves at once. It is niced, and what it loads
(zstandard, DuckDB, an S3 client) never is in the process that acknowledges records.

    task    the table of tasks, in their order, and what each is given
    pass_   one pass: the lock, the tasks, what came of them
    kept    what came of them, in DIR/kept.json

A pass may be killed anywhere: each task finds what the last one left, and goes on.
"""
