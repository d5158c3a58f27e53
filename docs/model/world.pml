/* The provider, the network between it and the processes, time, and people. */

#define A_NONE      0
#define A_OK        1
#define A_ACCEPTED  2
#define A_DECLINED  3
#define A_5XX       4
#define A_LOST      5
#define A_NOT_SENT  6

/* The answer of the request that arrives; used within one step. */
hidden byte answer;
hidden byte replay;

inline charge() {
	printf("provider: CHARGES\n");
	charges++;
	assert(P9_charged_after_not_sent || !quietly)
}

inline remember(what) {
	if
	:: KEYS -> bound = what; older = 0
	:: else
	fi
}

/* A request arrives. A key that the provider remembers is answered with the first result. */
inline arrive() {
	if
	:: bound == B_OK -> answer = A_OK; replay = 1
	:: bound == B_NO -> answer = A_DECLINED; replay = 1
	:: bound == B_5XX -> answer = A_5XX; replay = 1
	:: bound == B_ACC && pending -> answer = A_ACCEPTED
	:: bound == B_ACC && !pending && charges > 0 -> answer = A_OK
	:: bound == B_ACC && !pending && charges == 0 -> answer = A_DECLINED
	:: bound == B_NONE -> charge(); remember(B_OK); answer = A_OK
	:: bound == B_NONE && FAULTS && STORES5XX -> charge(); remember(B_5XX); answer = A_5XX
	:: bound == B_NONE && FAULTS && !STORES5XX -> charge(); remember(B_OK); answer = A_5XX
	:: bound == B_NONE && FAULTS && STORES5XX -> remember(B_5XX); answer = A_5XX
	:: bound == B_NONE && FAULTS && !STORES5XX -> answer = A_5XX
	:: bound == B_NONE && KEYED -> declined = 1; remember(B_NO); answer = A_DECLINED
	:: bound == B_NONE && !KEYED -> declined = 1; answer = A_DECLINED
	:: bound == B_NONE && !pending -> pending = 1; remember(B_ACC); answer = A_ACCEPTED
	fi
}

#define IN_GAP0     (P[0].pc == GAP)
#if N == 1
#define IN_GAP      IN_GAP0
#elif N == 2
#define IN_GAP      (IN_GAP0 || P[1].pc == GAP)
#else
#define IN_GAP      (IN_GAP0 || P[1].pc == GAP || P[2].pc == GAP)
#endif
/* What P1 assumes: as long as a request may be on its way, neither Settling nor the margin of the key's life passes. */
#define NOTHING_ON_ITS_WAY  (BEYOND || (wire == 0 && !IN_GAP))

/* A request that nobody waits for arrives. */
#define LANDS       (wire > 0)
inline lands() { printf("network: a late request arrives\n"); wire--; arrive(); answer = A_NONE; replay = 0; check() }

/* An accepted call is decided. */
#define DECIDES     (pending)
inline decides() {
	pending = 0;
	if
	:: charge()
	:: printf("provider: declines what it had accepted\n"); declined = 1
	fi;
	check()
}

/* A lease runs out, at any time while nobody is there who renews it, or who is there pauses. */
#ifdef LIVE
#define EXPIRES     (st == RUNNING && !lapsed && (FAULTS || token == 0))
#else
#define EXPIRES     (st == RUNNING && !lapsed)
#endif
inline expires() {
	printf("time: the lease runs out\n");
	lapsed = 1;
	if
	:: sending -> last = RECENT
	:: else
	fi;
	if
	:: token > 0 -> P[token - 1].up = 0
	:: else
	fi;
	checks()
}

/* Settling passes since the last possible sending. */
#define SETTLED_DOWN  (last == RECENT && NOTHING_ON_ITS_WAY)
inline settlesDown() { printf("time: Settling passes\n"); last = QUIET; checks() }

/* The key grows old for the library, then the provider forgets it. */
#ifdef LIVE
/* Once faults have ended, a process gets from the mark to its first sending sooner than that. */
#define AGES        (KEYS && first == YOUNG && (FAULTS || token == 0 || P[token - 1].pc != SENDING || P[token - 1].amb))
#else
#define AGES        (KEYS && first == YOUNG)
#endif
inline ages() { printf("time: the key grows old\n"); first = OLD; checks() }

#define FORGETS     (bound != B_NONE && (older || (first == OLD && NOTHING_ON_ITS_WAY)))
inline forgets() { printf("time: the provider forgets the key\n"); bound = B_NONE; older = 0; checks() }

#define GIVES_UP_NOW  (GIVEUP && !gaveUp && st != ABSENT && VIEW < SUCCEEDED)
inline givesUpNow() { printf("time: the give-up time passes\n"); gaveUp = 1; checks() }

/* A delayed copy of an Acquire arrives. Nobody waits for its answer: what it claims lapses. */
#define COPY_ARRIVES  (copy)
inline copyArrives() {
	printf("network: a delayed copy of an Acquire arrives\n");
	if
	:: GRANTED(copyNames, copySeen) -> printf("network: it claims the record\n"); Acquire(0, 1)
	:: else
	fi;
	copy = 0; copyNames = 0; copySeen = 0;
	checks()
}

/* start.go */
#define STARTS      (START && FAULTS && (VIEW == ABSENT || VIEW == FREE))
inline start() {
	printf("a caller: Start\n");
	quietly = 0;
	At();
	st = SCHEDULED; rest(); token = 0; due = 1;
	newFence();
	checks()
}

/* outside.go: cancel */
#define CANCELLABLE   (CANCEL && FAULTS && VIEW < ABANDONED && !(VIEW == RUNNING && (cancelWanted || GIVEN_UP)))
inline cancels() { printf("a caller: Cancel\n"); cancel(); checks() }

/* outside.go: verdict. A webhook tells of a success, as often as it likes. */
#define TELLS_SUCCESS (charges > 0 && VIEW != SUCCEEDED && !late)
inline tellsSuccess() { printf("webhook: Happened\n"); happened(); checks() }

/* A webhook that declines what was accepted settles only a record that was never ambiguous (T64); else it is a hint. */
#ifdef M_WEBHOOK_SETTLES_AMBIGUOUS
#define TELLS_DECLINE (declined && !pending && (st == ACCEPTED || st == UNKNOWN))
#else
#define TELLS_DECLINE (declined && !pending && st == ACCEPTED && !ambiguous)
#endif
inline tellsDecline() { printf("webhook: Declined, for its ref\n"); judge(1); checks() }

/* The operator reads the status, then asks the provider, then says what it said, as of that status. */
#define AT_REST     (st == ACCEPTED || st == UNKNOWN || (st == ABANDONED && !late))
#ifdef M_VERDICT_WITHOUT_AS_OF
#define READS       (OPERATOR && FAULTS && operator == 0)
#else
#define READS       (OPERATOR && FAULTS && operator == 0 && AT_REST && last != RECENT)
#endif
inline reads() { printf("operator: reads the status\n"); operator = 1; checks() }
inline asksProvider() {
	if
	:: charges == 0 && !pending -> operator = 2; operatorNo = declined;
		printf("operator: asks the provider, it did not happen\n")
	:: else -> operator = 0
	fi;
	checks()
}
inline saysSo() {
	if
	:: AT_REST -> printf("operator: Settle\n"); judge(operatorNo)
	:: else
	fi;
	operator = 0; operatorNo = 0;
	checks()
}

proctype world() {
end:	do
#ifndef LIVE
	:: atomic { LANDS -> lands() }
	:: atomic { DECIDES -> decides() }
	:: d_step { EXPIRES -> expires() }
	:: d_step { SETTLED_DOWN -> settlesDown() }
	:: d_step { AGES -> ages() }
	:: d_step { COPY_ARRIVES -> copyArrives() }
#endif
	:: d_step { FORGETS -> forgets() }
	:: d_step { GIVES_UP_NOW -> givesUpNow() }
	:: d_step { STARTS -> start() }
	:: d_step { CANCELLABLE -> cancels() }
	:: d_step { TELLS_SUCCESS -> tellsSuccess() }
	:: d_step { TELLS_DECLINE -> tellsDecline() }
	:: d_step { READS -> reads() }
	:: d_step { operator == 1 -> asksProvider() }
	:: d_step { operator == 2 -> saysSo() }
	od
}

#ifdef LIVE
/* What is sure to happen in the end, each for itself: Spin's fairness is that of processes. */
proctype lease()    { end: do :: d_step { EXPIRES -> expires() } od }
proctype settling() { end: do :: d_step { SETTLED_DOWN -> settlesDown() } od }
proctype network()  { end: do :: atomic { LANDS -> lands() } od }
proctype provider() { end: do :: atomic { DECIDES -> decides() } od }
proctype key()      { end: do :: d_step { AGES -> ages() } od }
proctype copies()   { end: do :: d_step { COPY_ARRIVES -> copyArrives() } od }
proctype faults()   { d_step { calm = 1; printf("all faults end\n") }; do :: beat = !beat od /* so that every run is infinite */ }
#endif
