-- steadfast, schema version 1, PostgreSQL 13 and newer.
-- Migrate runs this file as it is, with the configured names in the place of steadfast_calls.
-- All times are microseconds since 1970 by the clock of this server; NULL means never, or not claimed.
-- Operation, scope, call_key, ref, code and message are bytes: convert_from(message, 'UTF8') reads one.
CREATE TABLE steadfast_calls (
    operation    bytea    NOT NULL,
    scope        bytea    NOT NULL,
    call_key     bytea    NOT NULL,
    state        smallint NOT NULL, -- 1 free 2 scheduled 3 running 4 accepted 5 unknown 6 abandoned 7 succeeded 8 rejected 9 cancelled
    claimed_from smallint NOT NULL, -- the state that a running call was claimed from
    flags        integer  NOT NULL, -- 1 sending 2 cancel wanted 4 cancel notifies 8 ambiguous 16 replayed error 32 started
                                    -- 64 notify 128 late 256 omitted 512 expired
    fence        bigint   NOT NULL,
    token        bytea    NOT NULL, -- of the last claim
    batch        bytea,             -- the same, while a claim of AcquireDue is held
    attempts     integer  NOT NULL,
    lease_until  bigint,
    due          bigint,            -- the next step
    next_step    bigint,            -- when AcquireDue may take it; beyond 2^62 for an open call that waits for somebody
    expires      bigint,            -- when Purge has something to do
    give_up      bigint,
    changed      bigint   NOT NULL, -- when it came into its state at rest
    first_sent   bigint,
    last_sent    bigint,
    value        bytea,
    ref          bytea,
    code         bytea,
    message      bytea,
    created      bigint   NOT NULL,
    retention    bigint,            -- how long value and request are kept, in microseconds; NULL: for ever
    stub_for     bigint,            -- how long the stub is kept after that
    fingerprint  bytea,
    request      bytea,
    PRIMARY KEY (operation, scope, call_key)
);
CREATE INDEX steadfast_calls_due_idx ON steadfast_calls (operation, next_step) WHERE next_step IS NOT NULL;
CREATE INDEX steadfast_calls_expires_idx ON steadfast_calls (expires) WHERE expires IS NOT NULL;
CREATE INDEX steadfast_calls_batch_idx ON steadfast_calls (batch) WHERE batch IS NOT NULL;
CREATE TABLE steadfast_calls_version (version integer NOT NULL PRIMARY KEY);
INSERT INTO steadfast_calls_version (version) VALUES (1);
