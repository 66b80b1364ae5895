"""Copies of sealed segments in an S3-compatible object store, out of this machine's reach.

The bucket holds, under the prefix, what the log's directory holds of sealed segments, under the
same names, so that a copy made with any S3 tool is a log that `outbounds evidence verify --log`
reads:

    PREFIX/segments/STEM.records.zst     locked
                    STEM.details.N.zst
                    STEM.parquet
                    STEM.checkpoint      locked
                    STEM.seal            sent last: what it names is there, and was read back
    PREFIX/log/tile/L/N                  locked; C2SP tlog-tiles, read with PREFIX/log as its URL
               tiles.json
               keys                  locked
               checkpoint            locked; of exactly the records that are there
               newest                locked; the newest one, sent once an hour at least

"Locked" is S3's object lock, if it is configured: until then nobody can delete that version or
write over it, not even with the keys that lie on this machine (`compliance`), or only with a right
of their own (`governance`). What is not locked is what an erasure or retention must be able to
remove: details (paths, user agents), the index, which holds them too, and the seal, which then
names others. Records (who, when, where) are never locked beyond the shortest time that retention
lets any of them be kept: a lock cannot be shortened. So whoever takes over this machine can delete
the shipped details and cannot change what they were: their hashes are in the records.

A segment is sent, read back whole and compared, and only then said to be shipped. What is there
already, with the same checksum, is not sent again; so a pass may be killed anywhere. When a segment
was changed (an erasure, a new index) it is sent again, and what it consisted of before is removed,
all versions of it, as far as the lock lets it.

    store     the bucket: what is asked of S3, and what its errors mean
    parts     comparing octets with what was sealed
    sending   one object, until it is there
    manifest  what a segment consists of, and how long each of it is locked
    shipped   what has been sent, in DIR/shipped.json
    ship      the keeper's task
    reach     the same for commands, asking nobody before it must
    remote    reading it: frames, indexes, a whole log of which nothing is here
"""
