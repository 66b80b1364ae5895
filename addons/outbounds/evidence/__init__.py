"""What happened, kept so that it can be believed: from a record in the proxy to a bundle in court.

    record, fields, line    what a record is: envelope, detail, and the bytes that are hashed
    privacy                 what may be written down, and how
    client, outbox, frame   the proxy's end of the socket: nothing is let through unacknowledged
    collector, turns, log   the process that writes, syncs, acknowledges, and signs
    ledger, segment         which records are open; where their lines lie
    tlog/                   the Merkle tree, its checkpoints, keys and proofs (RFC 6962, C2SP)
    archive/                sealed segments: frames, seals, tiles, index
    keeper/                 the process that seals, shows to witnesses, ships, and removes
    verify/                 is it what was signed?
    witness/, shipping/     who else has seen the log; copies of it elsewhere
    search/, complaints/    finding records; reading complaints
    trace/                  from a complaint to accounts, with reasons and doubts
    cases/, captures/       investigations: custody, holds, bundles, contents
    retention/              what goes when, and what an account may have erased

The proxy makes records, hands them over and fills captures, and imports nothing of the rest; the
collector no more than it needs to be back within a tenth of a second. Everything else runs in the
keeper or in a command.
"""
