"""A transparency log: what was recorded can be shown to have been, and nothing taken back unseen.

    merkle      hashes of leaves and trees, proofs and their verification (RFC 6962, RFC 9162)
    peaks       a tree that only grows, in as little as can be: what the collector holds
    tree        one that makes tiles on the way; tiles: where those are kept (C2SP tlog-tiles)
    log_tree    the tree of a log on disk, for proofs
    note        signed text (C2SP signed-note)
    checkpoint  how large the log is and what its root is, as a note (C2SP tlog-checkpoint)
    keys        who signs it, and when; growth: signing it, every second
    cosignature what a witness adds to it (C2SP tlog-cosignature)
    proof       that one record is in the log, as a file of its own (C2SP tlog-proof)

The formats are those of c2sp.org, so that whoever doubts the log can check it with tools that
others wrote.
"""
