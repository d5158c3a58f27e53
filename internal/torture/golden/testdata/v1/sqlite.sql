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
INSERT INTO steadfast_calls (operation, scope, call_key, state, claimed_from, flags, fence, token, batch, attempts, lease_until, due, next_step, expires, give_up, changed, first_sent, last_sent, value, ref, code, message, created, retention, stub_for, fingerprint, request)
VALUES (x'636861726765', x'637573746f6d65722031', x'4b6579207769746820002c20ff20616e64206120737061636520', 7, 0, 0, 1, x'3c4969855111a71e440efdfe0895986f', NULL, 1, NULL, NULL, NULL, 4920825599966565, NULL, 1767225599966565, 1767225599963565, 1767225599966565, x'7b224944223a2272656365697074206f66204b65792077697468205c75303030302c205c756666666420616e64206120737061636520227d', NULL, x'', x'', 1767225599963565, 3153600000000000, NULL, x'016d3ecf88131b659b205090468de8bde337ea5aadd9afda7b4463d8f43f31670e', x'7b224974656d223a22626f6f6b222c2243656e7473223a343230307d');
INSERT INTO steadfast_calls (operation, scope, call_key, state, claimed_from, flags, fence, token, batch, attempts, lease_until, due, next_step, expires, give_up, changed, first_sent, last_sent, value, ref, code, message, created, retention, stub_for, fingerprint, request)
VALUES (x'636861726765', x'637573746f6d65722031', x'6162616e646f6e6564', 6, 0, 8, 1, x'00000000000000000000000000000000', NULL, 1, NULL, 1767225599991463, 1767225599991463, NULL, NULL, 1767225599990565, 1767225599944565, 1767225599946565, NULL, x'', x'', x'6e6f20616e73776572', 1767225599944565, 3153600000000000, NULL, x'016d3ecf88131b659b205090468de8bde337ea5aadd9afda7b4463d8f43f31670e', x'7b224974656d223a22626f6f6b222c2243656e7473223a343230307d');
INSERT INTO steadfast_calls (operation, scope, call_key, state, claimed_from, flags, fence, token, batch, attempts, lease_until, due, next_step, expires, give_up, changed, first_sent, last_sent, value, ref, code, message, created, retention, stub_for, fingerprint, request)
VALUES (x'636861726765', x'637573746f6d65722031', x'6163636570746564', 4, 0, 0, 1, x'b667e85ab528bf24191eff457822a19f', NULL, 1, NULL, 1767225599942565, 1767225599942565, NULL, NULL, 1767225599942565, 1767225599939565, 1767225599942565, NULL, x'7265662d31', x'', x'', 1767225599939565, 3153600000000000, NULL, x'016d3ecf88131b659b205090468de8bde337ea5aadd9afda7b4463d8f43f31670e', x'7b224974656d223a22626f6f6b222c2243656e7473223a343230307d');
INSERT INTO steadfast_calls (operation, scope, call_key, state, claimed_from, flags, fence, token, batch, attempts, lease_until, due, next_step, expires, give_up, changed, first_sent, last_sent, value, ref, code, message, created, retention, stub_for, fingerprint, request)
VALUES (x'636861726765', x'637573746f6d65722031', x'63616e63656c6c6564', 9, 0, 32, 1, x'00000000000000000000000000000000', NULL, 0, NULL, NULL, NULL, 4920825599982565, NULL, 1767225599982565, NULL, NULL, NULL, x'', x'', x'', 1767225599977565, 3153600000000000, NULL, x'016d3ecf88131b659b205090468de8bde337ea5aadd9afda7b4463d8f43f31670e', x'7b224974656d223a22626f6f6b222c2243656e7473223a343230307d');
INSERT INTO steadfast_calls (operation, scope, call_key, state, claimed_from, flags, fence, token, batch, attempts, lease_until, due, next_step, expires, give_up, changed, first_sent, last_sent, value, ref, code, message, created, retention, stub_for, fingerprint, request)
VALUES (x'636861726765', x'637573746f6d65722031', x'65787069726564', 7, 0, 512, 1, x'21481b0b308c0805ea4e52b2306afbe4', NULL, 1, NULL, NULL, NULL, NULL, NULL, 1767225599967565, 1767225599967565, 1767225599967565, NULL, NULL, x'', x'', 1767225599967565, 1000, NULL, x'016d3ecf88131b659b205090468de8bde337ea5aadd9afda7b4463d8f43f31670e', NULL);
INSERT INTO steadfast_calls (operation, scope, call_key, state, claimed_from, flags, fence, token, batch, attempts, lease_until, due, next_step, expires, give_up, changed, first_sent, last_sent, value, ref, code, message, created, retention, stub_for, fingerprint, request)
VALUES (x'636861726765', x'637573746f6d65722031', x'66726565', 1, 0, 0, 1, x'afdeb6a9a0b2d8c9a0137b312aba6e05', NULL, 1, NULL, 1767225599954565, NULL, 1767229199954565, NULL, 1767225599954565, NULL, NULL, NULL, NULL, x'', x'6e6f20776179207468657265', 1767225599953565, 3153600000000000, NULL, x'016d3ecf88131b659b205090468de8bde337ea5aadd9afda7b4463d8f43f31670e', x'7b224974656d223a22626f6f6b222c2243656e7473223a343230307d');
INSERT INTO steadfast_calls (operation, scope, call_key, state, claimed_from, flags, fence, token, batch, attempts, lease_until, due, next_step, expires, give_up, changed, first_sent, last_sent, value, ref, code, message, created, retention, stub_for, fingerprint, request)
VALUES (x'636861726765', x'637573746f6d65722031', x'6c617465', 6, 0, 136, 1, x'00000000000000000000000000000000', NULL, 1, NULL, NULL, 4611686018427387904, NULL, NULL, 1767225599994565, 1767225599947565, 1767225599947565, x'7b224944223a2272656365697074206f66206c617465227d', x'', x'', x'', 1767225599947565, 3153600000000000, NULL, x'016d3ecf88131b659b205090468de8bde337ea5aadd9afda7b4463d8f43f31670e', x'7b224974656d223a22626f6f6b222c2243656e7473223a343230307d');
INSERT INTO steadfast_calls (operation, scope, call_key, state, claimed_from, flags, fence, token, batch, attempts, lease_until, due, next_step, expires, give_up, changed, first_sent, last_sent, value, ref, code, message, created, retention, stub_for, fingerprint, request)
VALUES (x'636861726765', x'637573746f6d65722031', x'6f6d6974746564', 7, 0, 256, 1, x'14f25cdf7c0681432c7239c7508fc1a8', NULL, 1, NULL, NULL, NULL, 4920825599959565, NULL, 1767225599959565, 1767225599958565, 1767225599959565, NULL, NULL, x'', x'6964656d706f74656e63793a207468652076616c756520686173203330392062797465732c206d6f7265207468616e2043616c6c2e4d6178427974657320323536', 1767225599958565, 3153600000000000, NULL, x'016d3ecf88131b659b205090468de8bde337ea5aadd9afda7b4463d8f43f31670e', x'7b224974656d223a22626f6f6b222c2243656e7473223a343230307d');
INSERT INTO steadfast_calls (operation, scope, call_key, state, claimed_from, flags, fence, token, batch, attempts, lease_until, due, next_step, expires, give_up, changed, first_sent, last_sent, value, ref, code, message, created, retention, stub_for, fingerprint, request)
VALUES (x'636861726765', x'637573746f6d65722031', x'72656a6563746564', 8, 0, 0, 1, x'6d036b9f4b3a17df1d555e8a62a5321f', NULL, 1, NULL, NULL, NULL, 4920825599953565, NULL, 1767225599953565, 1767225599952565, 1767225599953565, NULL, NULL, x'6465636c696e6564', x'6e6f206d6f6e6579', 1767225599952565, 3153600000000000, NULL, x'016d3ecf88131b659b205090468de8bde337ea5aadd9afda7b4463d8f43f31670e', x'7b224974656d223a22626f6f6b222c2243656e7473223a343230307d');
INSERT INTO steadfast_calls (operation, scope, call_key, state, claimed_from, flags, fence, token, batch, attempts, lease_until, due, next_step, expires, give_up, changed, first_sent, last_sent, value, ref, code, message, created, retention, stub_for, fingerprint, request)
VALUES (x'636861726765', x'637573746f6d65722031', x'72756e6e696e67', 3, 1, 1, 1, x'09aeae9d7f2b3a606ca80cc88c02b902', NULL, 0, 1767225629998565, 1767225629998565, 1767225629998565, NULL, NULL, 1767225599998565, 1767225599998565, NULL, NULL, NULL, NULL, NULL, 1767225599998565, 3153600000000000, NULL, x'016d3ecf88131b659b205090468de8bde337ea5aadd9afda7b4463d8f43f31670e', x'7b224974656d223a22626f6f6b222c2243656e7473223a343230307d');
INSERT INTO steadfast_calls (operation, scope, call_key, state, claimed_from, flags, fence, token, batch, attempts, lease_until, due, next_step, expires, give_up, changed, first_sent, last_sent, value, ref, code, message, created, retention, stub_for, fingerprint, request)
VALUES (x'636861726765', x'637573746f6d65722031', x'7363686564756c6564', 2, 0, 32, 1, x'00000000000000000000000000000000', NULL, 0, NULL, 1767225599977565, 1767225599977565, NULL, NULL, 1767225599977565, NULL, NULL, NULL, NULL, NULL, NULL, 1767225599977565, 3153600000000000, NULL, x'016d3ecf88131b659b205090468de8bde337ea5aadd9afda7b4463d8f43f31670e', x'7b224974656d223a22626f6f6b222c2243656e7473223a343230307d');
INSERT INTO steadfast_calls (operation, scope, call_key, state, claimed_from, flags, fence, token, batch, attempts, lease_until, due, next_step, expires, give_up, changed, first_sent, last_sent, value, ref, code, message, created, retention, stub_for, fingerprint, request)
VALUES (x'636861726765', x'637573746f6d65722031', x'737563636565646564', 7, 0, 0, 1, x'9415e63dced8ae1629607ef5925473f8', NULL, 1, NULL, NULL, NULL, 4920825599951565, NULL, 1767225599951565, 1767225599950565, 1767225599951565, x'7b224944223a2272656365697074206f6620737563636565646564227d', NULL, x'', x'', 1767225599950565, 3153600000000000, NULL, x'016d3ecf88131b659b205090468de8bde337ea5aadd9afda7b4463d8f43f31670e', x'7b224974656d223a22626f6f6b222c2243656e7473223a343230307d');
INSERT INTO steadfast_calls (operation, scope, call_key, state, claimed_from, flags, fence, token, batch, attempts, lease_until, due, next_step, expires, give_up, changed, first_sent, last_sent, value, ref, code, message, created, retention, stub_for, fingerprint, request)
VALUES (x'636861726765', x'637573746f6d65722031', x'746f206e6f74696679', 7, 0, 64, 1, x'dc5f87531b7144ebca502edf84f0b296', NULL, 1, 1767225599963968, 1767225599963968, 1767225599963968, NULL, NULL, 1767225599963565, 1767225599962565, 1767225599963565, x'7b224944223a2272656365697074206f6620746f206e6f74696679227d', NULL, x'', x'', 1767225599962565, 3153600000000000, NULL, x'016d3ecf88131b659b205090468de8bde337ea5aadd9afda7b4463d8f43f31670e', x'7b224974656d223a22626f6f6b222c2243656e7473223a343230307d');
INSERT INTO steadfast_calls (operation, scope, call_key, state, claimed_from, flags, fence, token, batch, attempts, lease_until, due, next_step, expires, give_up, changed, first_sent, last_sent, value, ref, code, message, created, retention, stub_for, fingerprint, request)
VALUES (x'636861726765', x'637573746f6d65722031', x'746f6d6273746f6e65', 9, 0, 64, 1, x'00000000000000000000000000000000', NULL, 0, NULL, 1767225599984565, 1767225599984565, NULL, NULL, 1767225599984565, NULL, NULL, NULL, NULL, NULL, NULL, 1767225599984565, 3153600000000000, NULL, x'', x'');
INSERT INTO steadfast_calls (operation, scope, call_key, state, claimed_from, flags, fence, token, batch, attempts, lease_until, due, next_step, expires, give_up, changed, first_sent, last_sent, value, ref, code, message, created, retention, stub_for, fingerprint, request)
VALUES (x'636861726765', x'637573746f6d65722031', x'756e6b6e6f776e', 5, 0, 8, 1, x'a887e01d85bbe3fa37d8b7e3c73c81a6', NULL, 1, NULL, 1767225599944452, 1767225599944452, NULL, NULL, 1767225599943565, 1767225599943565, 1767225599943565, NULL, NULL, x'', x'6e6f20616e73776572', 1767225599943565, 3153600000000000, NULL, x'016d3ecf88131b659b205090468de8bde337ea5aadd9afda7b4463d8f43f31670e', x'7b224974656d223a22626f6f6b222c2243656e7473223a343230307d');
