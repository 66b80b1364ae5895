"""The keeper: what is done to the log besides writing it, in a process of its own, now and then.

    python -m outbounds.evidence.keeper --dir DIR [--config DIR]

It makes one pass and ends. The collector starts it when there is something to do (`spawn`), or an
operator does; a pass that finds another at work leaves at once. It is niced, and what it loads
(zstandard, DuckDB, an S3 client) never is in the process that acknowledges records.

    table     the tasks, in their order
    task      what each is given
    one_pass  they run, whatever becomes of the others
    kept      what came of them, in DIR/kept.json
    lock      one process at a time changes sealed segments
    spawn     when the collector starts a pass

A pass may be killed anywhere: each task finds what the last one left, and goes on.
"""
