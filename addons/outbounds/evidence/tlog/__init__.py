"""A transparency log: what was recorded can be shown to have been, and nothing taken back unseen.

    merkle      hashes of leaves and trees, proofs and their verification (RFC 6962, RFC 9162)
    tiles       where the hashes are kept (C2SP tlog-tiles)
    note        signed text (C2SP signed-note)
    checkpoint  how large the log is and what its root is, as a note (C2SP tlog-checkpoint)
    proof       that one record is in the log, as a file of its own (C2SP tlog-proof)

The formats are those of c2sp.org, so that whoever doubts the log can check it with tools that
others wrote.
"""
