/* A process: idempotency/. Each option of the loop is one step; before and after it the process may pause or crash. */

/* The process is done with this call; nothing of it stays behind but its record. */
inline leave(p) {
	P[p].pc = IDLE; P[p].base = ABSENT; P[p].out = ABSENT;
	P[p].flight = 0; P[p].names = 0; P[p].seen = 0; P[p].send = 0; P[p].marked = 0; P[p].up = 0;
	P[p].quiet = 0; P[p].amb = 0; P[p].replayed = 0; P[p].due = 0;
	drop(p)
}

/* Its token is never used again: nobody can own what it names. */
inline drop(p) {
	if
	:: token == p + 1 -> token = 0
	:: else
	fi
}

/* run.explain, when a flight ends: what its callers are told. "Not sent" must be true where nobody else uses the key. */
#define OTHER(p, k)   ((p + k) % N)
#if N == 1
#define ALONE(p)      (!(copy && copySeen))
#elif N == 2
#define ALONE(p)      (P[OTHER(p, 1)].pc == IDLE && !(copy && copySeen))
#else
#define ALONE(p)      (P[OTHER(p, 1)].pc == IDLE && P[OTHER(p, 2)].pc == IDLE && !(copy && copySeen))
#endif
inline explain(p) {
	if
	:: P[p].flight && VIEW == FREE && ALONE(p) ->
		assert(P9_not_sent_was_a_lie || (charges == 0 && wire == 0 && !pending));
		quietly = 1
	:: else
	fi
}

/* run.rest: the outcome that puts a claimed record back where it came from, or among the unknown. */
inline restOutcome(p) {
	if
#ifdef M_RELEASE_ON_TIMEOUT
	:: P[p].base == FREE -> P[p].out = FREE; P[p].amb = 0
#endif
	:: P[p].base == ACCEPTED || P[p].base == ABANDONED -> P[p].out = P[p].base
#ifdef M_RELEASE_ON_TIMEOUT
	:: P[p].base != FREE && P[p].base != ACCEPTED && P[p].base != ABANDONED && P[p].amb -> P[p].out = UNKNOWN
#else
	:: P[p].base != ACCEPTED && P[p].base != ABANDONED && P[p].amb -> P[p].out = UNKNOWN
#endif
	:: !P[p].amb && P[p].base == SCHEDULED -> P[p].out = SCHEDULED
	:: !P[p].amb && P[p].base == FREE -> P[p].out = FREE
	:: !P[p].amb && P[p].base == ABSENT -> P[p].out = UNKNOWN; P[p].amb = 1 /* it has lost its claim (tidy) */
	:: !P[p].amb && P[p].base == UNKNOWN -> P[p].out = UNKNOWN; P[p].amb = 1
	fi
}

/* restAfter and restFor. */
inline restAfter(p) {
	restOutcome(p);
	P[p].due = P[p].out == FREE || P[p].out == SCHEDULED || MAY_SEND_AGAIN(P[p].replayed) || ASK;
	toSettle(p)
}

/* The attempts are over: what remains is to record the outcome. */
inline toSettle(p) {
	P[p].pc = SETTLING; P[p].marked = 0; P[p].quiet = 0; P[p].base = ABSENT; P[p].up = 0
}

inline settled_(p, state) {
	P[p].out = state; P[p].amb = 0; P[p].replayed = 0; P[p].due = (state == SCHEDULED);
	toSettle(p)
}

/* run.hold and run.work: the record was claimed, as it stands in the answer, and what may be done is decided. */
inline work(p) {
	P[p].base = from; P[p].names = 0; P[p].seen = 0; P[p].send = 0; P[p].up = 1;
	P[p].marked = sending; P[p].amb = ambiguous; P[p].replayed = replayedError;
	P[p].quiet = (last != RECENT);
	if
	:: GIVES_UP(from) ->
		if
		:: from == SCHEDULED -> settled_(p, CANCELLED)
		:: else -> P[p].out = ABANDONED; P[p].due = ASK; toSettle(p)
		fi
	:: !GIVES_UP(from) && SENDS(from, replayedError) -> P[p].pc = SENDING; P[p].quiet = 0
	:: !GIVES_UP(from) && ASKS(from, replayedError) -> P[p].pc = ASKING; P[p].marked = 0; P[p].up = 0
	:: HOLDS(from, replayedError) -> restOutcome(p); P[p].due = 0; toSettle(p)
	fi
}

/* run.judge. again: the attempt became two sendings; replay: the answer was a stored one. */
#ifdef M_NEGATIVE_SETTLES_AMBIGUOUS
#define SETTLES(p, again)  1
#elif defined(M_RESENT_UNNOTICED)
#define SETTLES(p, again)  (!P[p].amb || KEYED)
#else
#define SETTLES(p, again)  (!(P[p].amb || (again)) || KEYED)      /* promises.settles */
#endif
inline judgeAnswer(p, again) {
	d_step {
		if
		:: answer == A_OK -> printf("process %d: Send returned a success\n", p); settled_(p, SUCCEEDED)
		:: answer == A_ACCEPTED -> printf("process %d: Send returned Accepted\n", p);
			P[p].out = ACCEPTED; P[p].amb = P[p].amb || again; P[p].replayed = 0; P[p].due = ASK;
			toSettle(p)
		:: answer == A_DECLINED && SETTLES(p, again) -> printf("process %d: Send returned Rejected\n", p); settled_(p, REJECTED)
		:: answer == A_DECLINED && !SETTLES(p, again) -> printf("process %d: Send returned Rejected, which may be an echo\n", p);
			P[p].amb = 1; P[p].replayed = ASK
		:: answer == A_5XX -> printf("process %d: Send returned an error\n", p); P[p].amb = 1; P[p].replayed = replay
		:: answer == A_LOST -> printf("process %d: Send timed out\n", p); P[p].amb = 1; P[p].replayed = 0
		:: answer == A_NOT_SENT -> printf("process %d: Send returned NotSent\n", p);
			P[p].amb = P[p].amb || again; P[p].replayed = 0
		fi;
		answer = A_NONE; replay = 0
	};
	if
	:: P[p].pc == SETTLING -> check()
	:: P[p].pc == GAP -> pause(p)
	fi
}

/* run.judge, of an answer that is not an outcome: the record rests, or the policy allows another attempt. */
inline pause(p) {
	if
	:: d_step { FAULTS -> restAfter(p); checks() }
	:: d_step { !P[p].amb || MAY_SEND_AGAIN(P[p].replayed) -> P[p].pc = SENDING; P[p].marked = 0; checks() }
	:: d_step { P[p].amb && !MAY_SEND_AGAIN(P[p].replayed) -> restAfter(p); checks() }
	fi
}

/* flight or crew: after a claim has ended. r.rec is what Settle returned. */
inline ended(p) {
	d_step {
		assert(P4_known_is_never_lost || P[p].out != SUCCEEDED || st == SUCCEEDED || late);
		drop(p)
	};
	if
	:: d_step { P[p].flight ->
		P[p].out = ABSENT; P[p].amb = 0; P[p].replayed = 0; P[p].due = 0; P[p].up = 0; P[p].pc = LOOKING; checks() }
	:: d_step { explain(p); leave(p); checks() }
	fi
}

/* What some mutations change. */
#ifdef M_ASKS_ONLY_ONCE
#define ASK_AGAIN         0
#else
#define ASK_AGAIN         1
#endif
#ifdef M_SEND_BEYOND_KEY_LIFE
#define KEY_TOO_OLD       0
#else
#define KEY_TOO_OLD       (KEYS && !ALIVE())
#endif
#ifdef M_LEASE_LOST_UNNOTICED
#define MARK_REFUSED(p)   P[p].marked = 1; P[p].up = 1
#else
#define MARK_REFUSED(p)   printf("process %d: mark: refused\n", p); restAfter(p)
#endif
#ifdef M_LATE_SUCCESS_DROPPED
#define LATE_SUCCESS(p)   0
#else
#define LATE_SUCCESS(p)   (P[p].out == SUCCEEDED)
#endif

/* promises.believes. */
#ifdef M_NOT_FOUND_BELIEVED_AT_ONCE
#define BELIEVES(p, no)  1
#else
#define BELIEVES(p, no)  (P[p].quiet || ((no) && P[p].base == ACCEPTED && !P[p].amb))
#endif

/* engine.negative: what a believed "no" makes of the record. */
inline negative(p, no) {
	if
	:: P[p].base == ABANDONED -> settled_(p, CANCELLED)
	:: P[p].base != ABANDONED && (no || P[p].base == ACCEPTED || P[p].replayed) -> settled_(p, REJECTED)
	:: else -> settled_(p, SCHEDULED)
	fi
}

/* P1: another process that may send, and whose lease has not run out. */
#define SENDER(q)     (P[q].pc == GAP && P[q].up)
#if N == 1
#define RIVAL(p)      0
#elif N == 2
#define RIVAL(p)      SENDER(OTHER(p, 1))
#else
#define RIVAL(p)      (SENDER(OTHER(p, 1)) || SENDER(OTHER(p, 2)))
#endif

proctype process(byte p) {
end:	do

	/* ---- flight.go, run.go: a caller, and what drive does when it has no claim ---- */

	:: d_step { FAULTS && P[p].pc == IDLE && VIEW < SUCCEEDED ->
		printf("process %d: a caller comes: Do\n", p);
		quietly = 0;
		P[p].flight = 1; P[p].send = 1; P[p].pc = CLAIMING;
		checks() }

	:: d_step { P[p].pc == LOOKING && VIEW != RUNNING && CLAIMABLE && !HOLDS(VIEW, replayedError) ->
		printf("process %d: drive: get; it asks for a claim that names the fence\n", p);
		P[p].names = 1; P[p].seen = 1; P[p].send = SENDS(VIEW, replayedError); P[p].pc = CLAIMING;
		checks() }

	:: d_step { P[p].pc == LOOKING ->
		printf("process %d: drive: the flight ends, its callers are told how the record stands\n", p);
		explain(p); leave(p);
		checks() }

	/* ---- acquire.go, orphan.go ---- */

	:: atomic { P[p].pc == CLAIMING && token != p + 1 && GRANTED(P[p].names, P[p].seen) ->
		d_step { Acquire(p + 1, P[p].send) };
		if
		:: d_step { printf("process %d: acquire: granted\n", p); work(p); checks() }
		:: d_step { FAULTS -> printf("process %d: acquire: granted, the answer is lost\n", p); P[p].names = 1; checks() }
		fi }

	:: d_step { P[p].pc == CLAIMING && token == p + 1 && st == RUNNING && !lapsed ->
		printf("process %d: acquire: asked again, and answered: granted\n", p);
		work(p);
		checks() }

	:: d_step { P[p].pc == CLAIMING && !(token == p + 1 && st == RUNNING && !lapsed) && !GRANTED(P[p].names, P[p].seen) ->
		printf("process %d: acquire: not granted\n", p);
		P[p].names = 0; P[p].seen = 0; P[p].send = 0; P[p].pc = LOOKING; drop(p);
		checks() }

	:: d_step { COPIES && FAULTS && P[p].pc == CLAIMING && !copy ->
		printf("process %d: acquire: the request is delayed, and asked again\n", p);
		copy = 1; copyNames = P[p].names; copySeen = P[p].seen;
		checks() }

	:: d_step { FAULTS && P[p].pc == CLAIMING ->
		printf("process %d: disown: callers are told ErrStore, the claim is given back in the background\n", p);
		P[p].send = 0; P[p].flight = 0; P[p].pc = DISOWNED;
		checks() }

	:: d_step { P[p].pc == DISOWNED ->
		if
		:: token == p + 1 && st == RUNNING && !lapsed -> skip
		:: token != p + 1 && GRANTED(P[p].names, P[p].seen) -> Acquire(p + 1, 0)
		:: else -> leave(p)
		fi;
		if
		:: P[p].pc == DISOWNED ->
			printf("process %d: giveBackOne\n", p);
			P[p].names = 0; P[p].seen = 0; P[p].base = from; P[p].amb = ambiguous; P[p].replayed = replayedError;
			restOutcome(p); P[p].due = ASK_AGAIN; toSettle(p)
		:: else
		fi;
		checks() }

	/* ---- recover.go ---- */

	:: atomic { P[p].pc == IDLE && TAKEABLE ->
		d_step { AcquireDue(p + 1) };
		if
		:: d_step { printf("process %d: crew.pass: AcquireDue took it\n", p); work(p); checks() }
		:: d_step { FAULTS -> printf("process %d: crew.pass: AcquireDue took it, the answer is lost\n", p); P[p].pc = TAKING; checks() }
		fi }

	:: d_step { P[p].pc == TAKING ->
		if
		:: token == p + 1 && st == RUNNING && !lapsed ->
			printf("process %d: crew.pass: AcquireDue, asked again\n", p); work(p)
		:: else -> leave(p)
		fi;
		checks() }

	/* ---- lease.go: leases.extend; a claim that lapsed and that nobody took over stands ---- */

	:: d_step { P[p].pc >= SENDING && P[p].pc <= SETTLING && LAPSED && EXTENDABLE(p, 0) ->
		printf("process %d: leases.extend: the claim still stands\n", p);
		Extend(p, 0); P[p].up = (P[p].pc == SENDING || P[p].pc == GAP);
		checks() }

	/* ---- attempt.go: sendAll, clear, attempt, judge ---- */

	:: d_step { P[p].pc == SENDING && P[p].marked && P[p].up ->
		if
		:: KEY_TOO_OLD -> printf("process %d: clear: errKeyOld\n", p); restAfter(p)
		:: else ->
			printf("process %d: clear: it may be sent\n", p);
			assert(P1_one_at_a_time || !RIVAL(p));
			P[p].pc = GAP; P[p].marked = 0
		fi;
		checks() }

	:: d_step { P[p].pc == SENDING && !(P[p].marked && P[p].up) ->
		if
		:: EXTENDABLE(p, 1) -> Extend(p, 1); printf("process %d: mark\n", p); P[p].marked = 1; P[p].up = 1
		:: else -> MARK_REFUSED(p)
		fi;
		checks() }

	:: d_step { FAULTS && P[p].pc == SENDING ->
		printf("process %d: clear: errLate, or nobody wants another attempt\n", p);
		restAfter(p);
		checks() }

	:: d_step { FAULTS && P[p].pc == SENDING && EXTENDABLE(p, 1) ->
		printf("process %d: mark: made, but not answered in time: errLate\n", p);
		Extend(p, 1);
		restAfter(p);
		checks() }

	:: atomic { P[p].pc == GAP ->
		if
		:: arrive(); judgeAnswer(p, 0)
		:: FAULTS -> arrive(); printf("process %d: the answer is lost, or comes too late\n", p); answer = A_LOST; judgeAnswer(p, 0)
		:: FAULTS && wire < WIRE -> wire++; answer = A_LOST; judgeAnswer(p, 0)
		:: FAULTS -> printf("process %d: the request is lost\n", p); answer = A_LOST; judgeAnswer(p, 0)
		:: FAULTS -> answer = A_NOT_SENT; judgeAnswer(p, 0)
		:: FAULTS && KEYS && wire < WIRE -> wire++; printf("process %d: the transport sends it twice\n", p); arrive(); judgeAnswer(p, 1)
		fi }

	/* ---- ask.go ---- */

	:: d_step { P[p].pc == ASKING ->
		if
		:: charges > 0 -> printf("process %d: ask: Happened\n", p); settled_(p, SUCCEEDED)
		:: charges == 0 && pending -> printf("process %d: ask: StillPending\n", p); restOutcome(p); P[p].due = ASK_AGAIN; toSettle(p)
		:: charges == 0 && !pending && BELIEVES(p, declined) ->
			printf("process %d: ask: Declined (1) or DidNotHappen (0), believed: %d\n", p, declined); negative(p, declined)
		:: charges == 0 && !pending && !BELIEVES(p, declined) ->
			printf("process %d: ask: Declined or DidNotHappen, too early to be believed\n", p); restOutcome(p); P[p].due = ASK_AGAIN; toSettle(p)
		fi;
		checks() }

	:: d_step { FAULTS && P[p].pc == ASKING ->
		printf("process %d: ask: an error\n", p); restOutcome(p); P[p].due = ASK_AGAIN; toSettle(p);
		checks() }

	/* ---- settle.go: settle, record, overtaken, succeeded ---- */

	:: atomic { P[p].pc == SETTLING && OWNED(p) ->
		d_step {
			if
			:: st == RUNNING -> Settle(p); printf("process %d: settle: state %d\n", p, st)
			:: else -> printf("process %d: settle: it has been settled before\n", p)
			fi
		};
		if
		:: ended(p)
		:: d_step { FAULTS -> printf("process %d: settle: the answer is lost\n", p); checks() }
		fi }

	:: atomic { P[p].pc == SETTLING && !OWNED(p) ->
		if
		:: d_step { LATE_SUCCESS(p) ->
			printf("process %d: overtaken, with a success\n", p); P[p].pc = HAPPENED; P[p].up = 0; drop(p); checks() }
		:: !LATE_SUCCESS(p) -> printf("process %d: overtaken\n", p); ended(p)
		fi }

	:: atomic { P[p].pc == HAPPENED ->
		d_step { happened() };
		if
		:: printf("process %d: succeeded\n", p); ended(p)
		:: d_step { FAULTS -> printf("process %d: succeeded: the answer is lost\n", p); checks() }
		fi }

	/* ---- killed at any moment ---- */

	:: d_step { FAULTS && P[p].pc != IDLE ->
		printf("process %d: crashes\n", p);
		leave(p);
		checks() }
	od
}
