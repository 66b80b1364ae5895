"""The log's life after it is written: sealed, indexed, searched, shipped, and at last removed.

    DIR/segments/2026-11-21T01-000001.jsonl             hot: the collector's (`segment`)
                 2026-11-21T01-000001.checkpoint        signed, when it began (`tlog.growth`)
    and, once it is sealed, instead of the .jsonl
                 2026-11-21T01-000001.seal              what there is of it, and every checksum
                 2026-11-21T01-000001.records.zst       envelopes, one a line
                 2026-11-21T01-000001.details.0.zst     details, a line each, empty for none
                 2026-11-21T01-000001.parquet           the index, which can be made again at will
    DIR/log/tile/…                                      the hashes (C2SP tlog-tiles)

The numbers of segments only grow, and may have gaps: a segment that stayed empty vanishes when it
should be sealed. Positions have none: each seal and checkpoint says at which record it begins.

Records and details are independent zstd frames (RFC 8878) of `FRAME_RECORDS` lines, each with its
checksum, so that one record is read without the others and damage stays where it is. The seal is
written last: a segment without it is not sealed, whatever else lies there, and one with it needs
its .jsonl no more. The newest segment, which the collector may be writing to, is never sealed.

Retention and erasure (`retention`) write what changes anew under the next number (details.1.zst,
records.1.zst), then the seal, which names the files in force, then remove the old ones. So a reader
that finds a file gone reads the seal again.

Everything here runs outside the collector and the proxy, in the keeper (`keeper`) or a command.
"""
