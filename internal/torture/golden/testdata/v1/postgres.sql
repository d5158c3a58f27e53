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
INSERT INTO steadfast_calls (operation, scope, call_key, state, claimed_from, flags, fence, token, batch, attempts, lease_until, due, next_step, expires, give_up, changed, first_sent, last_sent, value, ref, code, message, created, retention, stub_for, fingerprint, request)
VALUES ('\x636861726765', '\x637573746f6d65722031', '\x4b6579207769746820002c20ff20616e64206120737061636520', 7, 0, 0, 1, '\x7205a8b07804160f1b45684a90230546', NULL, 1, NULL, NULL, NULL, 4920825599962179, NULL, 1767225599962179, 1767225599956683, 1767225599962179, '\x7b224944223a2272656365697074206f66204b65792077697468205c75303030302c205c756666666420616e64206120737061636520227d', NULL, '\x', '\x', 1767225599956683, 3153600000000000, NULL, '\x016d3ecf88131b659b205090468de8bde337ea5aadd9afda7b4463d8f43f31670e', '\x7b224974656d223a22626f6f6b222c2243656e7473223a343230307d');
INSERT INTO steadfast_calls (operation, scope, call_key, state, claimed_from, flags, fence, token, batch, attempts, lease_until, due, next_step, expires, give_up, changed, first_sent, last_sent, value, ref, code, message, created, retention, stub_for, fingerprint, request)
VALUES ('\x636861726765', '\x637573746f6d65722031', '\x6162616e646f6e6564', 6, 0, 8, 1, '\x00000000000000000000000000000000', NULL, 1, NULL, 1767225599986771, 1767225599986771, NULL, NULL, 1767225599986188, 1767225599850210, 1767225599851066, NULL, '\x', '\x', '\x6e6f20616e73776572', 1767225599850210, 3153600000000000, NULL, '\x016d3ecf88131b659b205090468de8bde337ea5aadd9afda7b4463d8f43f31670e', '\x7b224974656d223a22626f6f6b222c2243656e7473223a343230307d');
INSERT INTO steadfast_calls (operation, scope, call_key, state, claimed_from, flags, fence, token, batch, attempts, lease_until, due, next_step, expires, give_up, changed, first_sent, last_sent, value, ref, code, message, created, retention, stub_for, fingerprint, request)
VALUES ('\x636861726765', '\x637573746f6d65722031', '\x6163636570746564', 4, 0, 0, 1, '\x10a1de7ac993ef4ed2984932f152eaff', NULL, 1, NULL, 1767225599841755, 1767225599841755, NULL, NULL, 1767225599841755, 1767225599836765, 1767225599841755, NULL, '\x7265662d31', '\x', '\x', 1767225599836765, 3153600000000000, NULL, '\x016d3ecf88131b659b205090468de8bde337ea5aadd9afda7b4463d8f43f31670e', '\x7b224974656d223a22626f6f6b222c2243656e7473223a343230307d');
INSERT INTO steadfast_calls (operation, scope, call_key, state, claimed_from, flags, fence, token, batch, attempts, lease_until, due, next_step, expires, give_up, changed, first_sent, last_sent, value, ref, code, message, created, retention, stub_for, fingerprint, request)
VALUES ('\x636861726765', '\x637573746f6d65722031', '\x63616e63656c6c6564', 9, 0, 32, 1, '\x00000000000000000000000000000000', NULL, 0, NULL, NULL, NULL, 4920825599977659, NULL, 1767225599977659, NULL, NULL, NULL, '\x', '\x', '\x', 1767225599973927, 3153600000000000, NULL, '\x016d3ecf88131b659b205090468de8bde337ea5aadd9afda7b4463d8f43f31670e', '\x7b224974656d223a22626f6f6b222c2243656e7473223a343230307d');
INSERT INTO steadfast_calls (operation, scope, call_key, state, claimed_from, flags, fence, token, batch, attempts, lease_until, due, next_step, expires, give_up, changed, first_sent, last_sent, value, ref, code, message, created, retention, stub_for, fingerprint, request)
VALUES ('\x636861726765', '\x637573746f6d65722031', '\x65787069726564', 7, 0, 512, 1, '\xbd0e60df9e0fab48b5b1beaf44464159', NULL, 1, NULL, NULL, NULL, NULL, NULL, 1767225599965083, 1767225599962812, 1767225599965083, NULL, NULL, '\x', '\x', 1767225599962812, 1000, NULL, '\x016d3ecf88131b659b205090468de8bde337ea5aadd9afda7b4463d8f43f31670e', NULL);
INSERT INTO steadfast_calls (operation, scope, call_key, state, claimed_from, flags, fence, token, batch, attempts, lease_until, due, next_step, expires, give_up, changed, first_sent, last_sent, value, ref, code, message, created, retention, stub_for, fingerprint, request)
VALUES ('\x636861726765', '\x637573746f6d65722031', '\x66726565', 1, 0, 0, 1, '\xa616f675619a60e6d66582399ead91cc', NULL, 1, NULL, 1767225599942016, NULL, 1767229199942016, NULL, 1767225599942016, NULL, NULL, NULL, NULL, '\x', '\x6e6f20776179207468657265', 1767225599937869, 3153600000000000, NULL, '\x016d3ecf88131b659b205090468de8bde337ea5aadd9afda7b4463d8f43f31670e', '\x7b224974656d223a22626f6f6b222c2243656e7473223a343230307d');
INSERT INTO steadfast_calls (operation, scope, call_key, state, claimed_from, flags, fence, token, batch, attempts, lease_until, due, next_step, expires, give_up, changed, first_sent, last_sent, value, ref, code, message, created, retention, stub_for, fingerprint, request)
VALUES ('\x636861726765', '\x637573746f6d65722031', '\x6c617465', 6, 0, 136, 1, '\x00000000000000000000000000000000', NULL, 1, NULL, NULL, 4611686018427387904, NULL, NULL, 1767225599992709, 1767225599852386, 1767225599854022, '\x7b224944223a2272656365697074206f66206c617465227d', '\x', '\x', '\x', 1767225599852386, 3153600000000000, NULL, '\x016d3ecf88131b659b205090468de8bde337ea5aadd9afda7b4463d8f43f31670e', '\x7b224974656d223a22626f6f6b222c2243656e7473223a343230307d');
INSERT INTO steadfast_calls (operation, scope, call_key, state, claimed_from, flags, fence, token, batch, attempts, lease_until, due, next_step, expires, give_up, changed, first_sent, last_sent, value, ref, code, message, created, retention, stub_for, fingerprint, request)
VALUES ('\x636861726765', '\x637573746f6d65722031', '\x6f6d6974746564', 7, 0, 256, 1, '\x660bccf1919a9459fb52a2235a64583a', NULL, 1, NULL, NULL, NULL, 4920825599950059, NULL, 1767225599950059, 1767225599946050, 1767225599950059, NULL, NULL, '\x', '\x6964656d706f74656e63793a207468652076616c756520686173203330392062797465732c206d6f7265207468616e2043616c6c2e4d6178427974657320323536', 1767225599946050, 3153600000000000, NULL, '\x016d3ecf88131b659b205090468de8bde337ea5aadd9afda7b4463d8f43f31670e', '\x7b224974656d223a22626f6f6b222c2243656e7473223a343230307d');
INSERT INTO steadfast_calls (operation, scope, call_key, state, claimed_from, flags, fence, token, batch, attempts, lease_until, due, next_step, expires, give_up, changed, first_sent, last_sent, value, ref, code, message, created, retention, stub_for, fingerprint, request)
VALUES ('\x636861726765', '\x637573746f6d65722031', '\x72656a6563746564', 8, 0, 0, 1, '\x62673f411f9f95c7246cb53be4edacca', NULL, 1, NULL, NULL, NULL, 4920825599934565, NULL, 1767225599934565, 1767225599928889, 1767225599934565, NULL, NULL, '\x6465636c696e6564', '\x6e6f206d6f6e6579', 1767225599928889, 3153600000000000, NULL, '\x016d3ecf88131b659b205090468de8bde337ea5aadd9afda7b4463d8f43f31670e', '\x7b224974656d223a22626f6f6b222c2243656e7473223a343230307d');
INSERT INTO steadfast_calls (operation, scope, call_key, state, claimed_from, flags, fence, token, batch, attempts, lease_until, due, next_step, expires, give_up, changed, first_sent, last_sent, value, ref, code, message, created, retention, stub_for, fingerprint, request)
VALUES ('\x636861726765', '\x637573746f6d65722031', '\x72756e6e696e67', 3, 1, 1, 1, '\xc74e5d0fd1bf4066ef50279045e036a3', NULL, 0, 1767225629998007, 1767225629998007, 1767225629998007, NULL, NULL, 1767225599998007, 1767225599998007, NULL, NULL, NULL, NULL, NULL, 1767225599998007, 3153600000000000, NULL, '\x016d3ecf88131b659b205090468de8bde337ea5aadd9afda7b4463d8f43f31670e', '\x7b224974656d223a22626f6f6b222c2243656e7473223a343230307d');
INSERT INTO steadfast_calls (operation, scope, call_key, state, claimed_from, flags, fence, token, batch, attempts, lease_until, due, next_step, expires, give_up, changed, first_sent, last_sent, value, ref, code, message, created, retention, stub_for, fingerprint, request)
VALUES ('\x636861726765', '\x637573746f6d65722031', '\x7363686564756c6564', 2, 0, 32, 1, '\x00000000000000000000000000000000', NULL, 0, NULL, 1767225599969892, 1767225599969892, NULL, NULL, 1767225599969892, NULL, NULL, NULL, NULL, NULL, NULL, 1767225599969892, 3153600000000000, NULL, '\x016d3ecf88131b659b205090468de8bde337ea5aadd9afda7b4463d8f43f31670e', '\x7b224974656d223a22626f6f6b222c2243656e7473223a343230307d');
INSERT INTO steadfast_calls (operation, scope, call_key, state, claimed_from, flags, fence, token, batch, attempts, lease_until, due, next_step, expires, give_up, changed, first_sent, last_sent, value, ref, code, message, created, retention, stub_for, fingerprint, request)
VALUES ('\x636861726765', '\x637573746f6d65722031', '\x737563636565646564', 7, 0, 0, 1, '\xa0d5b7c8d6a4ae2736ea25671ad89c72', NULL, 1, NULL, NULL, NULL, 4920825599862336, NULL, 1767225599862336, 1767225599858173, 1767225599862336, '\x7b224944223a2272656365697074206f6620737563636565646564227d', NULL, '\x', '\x', 1767225599858173, 3153600000000000, NULL, '\x016d3ecf88131b659b205090468de8bde337ea5aadd9afda7b4463d8f43f31670e', '\x7b224974656d223a22626f6f6b222c2243656e7473223a343230307d');
INSERT INTO steadfast_calls (operation, scope, call_key, state, claimed_from, flags, fence, token, batch, attempts, lease_until, due, next_step, expires, give_up, changed, first_sent, last_sent, value, ref, code, message, created, retention, stub_for, fingerprint, request)
VALUES ('\x636861726765', '\x637573746f6d65722031', '\x746f206e6f74696679', 7, 0, 64, 1, '\xaf744b06c7fd7e94a11c14baaec6ad61', NULL, 1, 1767225599954845, 1767225599954845, 1767225599954845, NULL, NULL, 1767225599954452, 1767225599951126, 1767225599954452, '\x7b224944223a2272656365697074206f6620746f206e6f74696679227d', NULL, '\x', '\x', 1767225599951126, 3153600000000000, NULL, '\x016d3ecf88131b659b205090468de8bde337ea5aadd9afda7b4463d8f43f31670e', '\x7b224974656d223a22626f6f6b222c2243656e7473223a343230307d');
INSERT INTO steadfast_calls (operation, scope, call_key, state, claimed_from, flags, fence, token, batch, attempts, lease_until, due, next_step, expires, give_up, changed, first_sent, last_sent, value, ref, code, message, created, retention, stub_for, fingerprint, request)
VALUES ('\x636861726765', '\x637573746f6d65722031', '\x746f6d6273746f6e65', 9, 0, 64, 1, '\x00000000000000000000000000000000', NULL, 0, NULL, 1767225599982224, 1767225599982224, NULL, NULL, 1767225599982224, NULL, NULL, NULL, NULL, NULL, NULL, 1767225599982224, 3153600000000000, NULL, '\x', '\x');
INSERT INTO steadfast_calls (operation, scope, call_key, state, claimed_from, flags, fence, token, batch, attempts, lease_until, due, next_step, expires, give_up, changed, first_sent, last_sent, value, ref, code, message, created, retention, stub_for, fingerprint, request)
VALUES ('\x636861726765', '\x637573746f6d65722031', '\x756e6b6e6f776e', 5, 0, 8, 1, '\x542bf733c7664a76038fdd9d8f95865e', NULL, 1, NULL, 1767225599847063, 1767225599847063, NULL, NULL, 1767225599846411, 1767225599845254, 1767225599846411, NULL, NULL, '\x', '\x6e6f20616e73776572', 1767225599845254, 3153600000000000, NULL, '\x016d3ecf88131b659b205090468de8bde337ea5aadd9afda7b4463d8f43f31670e', '\x7b224974656d223a22626f6f6b222c2243656e7473223a343230307d');
