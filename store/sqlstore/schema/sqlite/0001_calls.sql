-- steadfast, schema version 1, SQLite 3.35 and newer.
-- Migrate runs this file as it is, with the configured names in the place of steadfast_calls.
-- All times are microseconds since 1970 by the clock of this machine, of which SQLite tells milliseconds; NULL means never, or not claimed.
-- Operation, scope, call_key, ref, code and message are bytes: CAST(message AS TEXT) reads one.
CREATE TABLE steadfast_calls (
    operation    blob     NOT NULL,
    scope        blob     NOT NULL,
    call_key     blob     NOT NULL,
    state        integer NOT NULL, -- 1 free 2 scheduled 3 running 4 accepted 5 unknown 6 abandoned 7 succeeded 8 rejected 9 cancelled
    claimed_from integer  NOT NULL, -- the state that a running call was claimed from
    flags        integer  NOT NULL, -- 1 sending 2 cancel wanted 4 cancel notifies 8 ambiguous 16 replayed error 32 started
                                    -- 64 notify 128 late 256 omitted 512 expired
    fence        integer  NOT NULL,
    token        blob     NOT NULL, -- of the last claim
    batch        blob,             -- the same, while a claim of AcquireDue is held
    attempts     integer  NOT NULL,
    lease_until  integer,
    due          integer,            -- the next step
    next_step    integer,            -- when AcquireDue may take it; beyond 2^62 for an open call that waits for somebody
    expires      integer,            -- when Purge has something to do
    give_up      integer,
    changed      integer  NOT NULL, -- when it came into its state at rest
    first_sent   integer,
    last_sent    integer,
    value        blob,
    ref          blob,
    code         blob,
    message      blob,
    created      integer  NOT NULL,
    retention    integer,            -- how long value and request are kept, in microseconds; NULL: for ever
    stub_for     integer,            -- how long the stub is kept after that
    fingerprint  blob,
    request      blob,
    PRIMARY KEY (operation, scope, call_key)
);
CREATE INDEX steadfast_calls_due_idx ON steadfast_calls (operation, next_step) WHERE next_step IS NOT NULL;
CREATE INDEX steadfast_calls_expires_idx ON steadfast_calls (expires) WHERE expires IS NOT NULL;
CREATE INDEX steadfast_calls_batch_idx ON steadfast_calls (batch) WHERE batch IS NOT NULL;
CREATE TABLE steadfast_calls_version (version integer NOT NULL PRIMARY KEY);
INSERT INTO steadfast_calls_version (version) VALUES (1);
