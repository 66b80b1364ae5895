"""Who is shown the log's checkpoints, so that whoever owns this machine cannot rewrite history.

A log that signs itself proves nothing against the holder of its key. What it was is proved by those
who saw it and whom the holder does not command:

    file        checkpoints are appended to a file elsewhere: on media that only append, on another
                machine's disk. Proves as much as that place is out of reach.
    url         a C2SP tlog-witness. It checks that each checkpoint extends the one before, signs
                only then, and so never signs two histories (`tlog.cosignature`).
    timestamp   an RFC 3161 authority. It signs whatever it is sent: that this checkpoint was there
                at that time. It does not compare; a second history gets a stamp too, but a later
                one than the records in it claim.

What they answered is kept, and is what a bundle for a court carries:

    DIR/log/witness/NAME/MOMENT-SIZE.note           file: what was appended
                         MOMENT-SIZE.cosigned       url: the checkpoint with both signatures
                         MOMENT-SIZE.stamped, .tsq, .tsr    timestamp: checkpoint, request, reply

    openssl ts -verify -data X.stamped -in X.tsr -CAfile ROOT.pem

MOMENT is when, by the witness's clock, UTC. The last one of each day is kept, and the newest.

A witness is dialled where the operator's configuration says, private addresses included: the limits
on where customers may go are not for the operator's own machines. Nobody else chooses the address,
for no redirect is followed.

    stamps        what is kept, and checking it offline
    exchange      one HTTP request, bounded
    appended      file         cosigned    url         timestamped    timestamp
    asking        the keeper's task
"""
