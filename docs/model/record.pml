/* The store: store/internal/record. Each inline is one transition, made in one step. */

/* (*Record).fallback: what a running record falls back to when its lease has run out. */
#ifdef M_LAPSED_SENDING_IS_SCHEDULED
#define LAPSES_TO   from
#else
#define LAPSES_TO   ((sending && from != ABANDONED) -> UNKNOWN : from)
#endif
#define CANCELS(s)  (((s) == FREE || (s) == SCHEDULED) -> CANCELLED : (((s) == UNKNOWN || (s) == ACCEPTED) -> ABANDONED : (s)))
#define FALLBACK    (cancelWanted -> CANCELS(LAPSES_TO) : LAPSES_TO)
#define LAPSED      (st == RUNNING && lapsed)

/* The state as everybody reads it: (*Record).At. */
#define VIEW        (LAPSED -> FALLBACK : st)

/* (*Record).owned, by process p. A cancelled record has no owner any more, also if nobody has written that down. */
#ifdef M_SETTLE_WITHOUT_FENCE
#define OWNED(p)    (st == RUNNING)
#else
#define OWNED(p)    (token == p + 1 && !(LAPSED && FALLBACK == CANCELLED))
#endif

/* Whoever saw the fence from before has seen another record. */
inline newFence() {
	unseen();
	moved()
}

/* So has who saw it lapsed, once it is not: a claim names both. */
inline unseen() {
	P[0].seen = 0;
#if N > 1
	P[1].seen = 0;
#endif
#if N > 2
	P[2].seen = 0;
#endif
	copySeen = 0
}

/* A negative verdict from outside names fence and state that it saw (judge): one that is in the making is worthless now. */
inline moved() {
#ifndef M_VERDICT_WITHOUT_AS_OF
	operator = 0; operatorNo = 0
#else
	skip
#endif
}

/* Nothing, but for one mutation. */
inline steal() {
#ifdef M_STEAL_A_LIVE_LEASE
	lapsed = (st == RUNNING)
#else
	skip
#endif
}

/* (*Record).At, written down by the change that follows it. */
inline At() {
	if
	:: LAPSED ->
		st = FALLBACK;
		if
		:: sending -> ambiguous = 1
		:: else
		fi;
		if
		:: cancelWanted -> tell()
		:: else
		fi;
		due = 1; rest(); unseen()
	:: else
	fi
}

/* (*Record).rest, apart from the state itself. */
inline rest() {
	from = ABSENT; sending = 0; cancelWanted = 0; lapsed = 0
}

/*
 * (*Record).mark, of a call that comes to be abandoned: OnSettled is told of each state once. (What is final is told once because it
 * is reached once; that it is told again with Late, because late never ends.)
 */
inline tell() {
	if
	:: st == ABANDONED && !late ->
		assert(S4_told_once || !told);
		told = 1
	:: else
	fi
}

/* (*Record).forget: what was sent so far is known to have had no effect. */
inline forget() {
	first = NEVER; last = NEVER; older = (bound != B_NONE)
}

/* (*Record).claimable, by a claim that names the record's fence. */
#ifdef M_STEAL_A_LIVE_LEASE
#define CLAIMABLE   (VIEW == FREE || st == RUNNING || (VIEW >= SCHEDULED && VIEW <= ABANDONED && DUE && !late))
#else
#define CLAIMABLE   (VIEW == FREE || (VIEW != RUNNING && VIEW >= SCHEDULED && VIEW <= ABANDONED && DUE && !late))
#endif
#define DUE         (LAPSED || due || (GIVEUP && gaveUp && VIEW != ABANDONED))

/* (*Record).Acquire and New. The claim is granted if names is false and there is no record, or if it names the fence. */
#ifdef M_DELAYED_ACQUIRE_REVIVES
#define GRANTED(names, seen)  ((!(names) && (st == ABSENT || VIEW == CANCELLED || VIEW == FREE)) || ((names) && (seen) && CLAIMABLE))
#elif defined(M_FREED_IS_FORGOTTEN)
#define GRANTED(names, seen)  ((!(names) && (st == ABSENT || VIEW == FREE)) || ((names) && (seen) && CLAIMABLE))
#else
#define GRANTED(names, seen)  ((!(names) && st == ABSENT) || ((names) && (seen) && CLAIMABLE))
#endif

inline Acquire(who, marks) {
	steal();
	At();
	if
	:: st == ABSENT || st == CANCELLED -> st = FREE
	:: else
	fi;
	claim(who, marks)
}

/* (*Record).claim and take. */
inline claim(who, marks) {
	from = st; st = RUNNING; sending = marks; due = 0; lapsed = 0; cancelWanted = 0;
	if
	:: marks && first == NEVER -> first = YOUNG
	:: else
	fi;
	token = who;
	newFence()
}

/* (*Record).AcquireDue takes what is due by itself. A free record is its next caller's business. */
#define TAKEABLE    (CLAIMABLE && VIEW != FREE)
inline AcquireDue(who) {
	steal();
	At();
	claim(who, 0)
}

/* (*Record).Extend. */
#define EXTENDABLE(p, marks)  (OWNED(p) && st == RUNNING && !((marks) && cancelWanted))
inline Extend(p, marks) {
	lapsed = 0;
	if
	:: marks ->
		sending = 1;
		if
		:: first == NEVER -> first = YOUNG
		:: else
		fi
	:: else
	fi
}

/* (*Record).settle: the owner's outcome. */
inline Settle(p) {
	st = P[p].out;
	if
	:: cancelWanted -> st = CANCELS(st)
	:: else
	fi;
	if
	:: P[p].out == FREE || P[p].out == SCHEDULED -> forget()
	:: else ->
		if
		:: sending -> last = RECENT
		:: else
		fi
	fi;
	if
	:: from == ABANDONED && st == SUCCEEDED -> st = ABANDONED; late = 1; due = 0
	:: else -> due = P[p].due
	fi;
	if
	:: cancelWanted || !(from == ABANDONED && P[p].out == ABANDONED) -> tell()
	:: else
	fi;
	if
	:: lapsed -> unseen()
	:: else
	fi;
	rest();
#ifdef M_ACCEPTED_FORGETS_AMBIGUITY
	ambiguous = P[p].amb && st != ACCEPTED;
#else
	ambiguous = P[p].amb;
#endif
	replayedError = P[p].replayed
}

/* (*Record).happened: a success from outside. */
#define ASKED_ABOUT  (VIEW == ABANDONED || (VIEW == RUNNING && from == ABANDONED))
inline happened() {
	if
	:: ASKED_ABOUT && late -> skip
	:: ASKED_ABOUT && !late ->
		At();
		st = ABANDONED; rest(); token = 0; late = 1; due = 0;
		moved()
	:: VIEW == SCHEDULED || (VIEW == RUNNING && from != ABANDONED) || VIEW == ACCEPTED || VIEW == UNKNOWN ->
		At();
		st = SUCCEEDED; rest(); token = 0;
		moved()
	:: VIEW == SUCCEEDED -> skip
	:: VIEW == ABSENT || VIEW == FREE || VIEW == REJECTED || VIEW == CANCELLED ->
		assert(P4_success_contradicted) /* ErrNoRecord, ErrConflict */
	fi
}

/* A call that has been given up, and told, runs if somebody only asks about it. */
#ifdef M_ABANDONED_CANCELLED_AGAIN
#define GIVEN_UP    0
#else
#define GIVEN_UP    (from == ABANDONED)
#endif

/* (*Record).cancel; where there is no record, the tombstone that Acquire writes. */
inline cancel() {
	if
	:: VIEW == RUNNING && !GIVEN_UP -> cancelWanted = 1
	:: VIEW == ABSENT || VIEW == FREE || VIEW == SCHEDULED ->
		At();
		st = CANCELLED; rest(); token = 0;
		newFence()
	:: VIEW == ACCEPTED || VIEW == UNKNOWN ->
		At();
		st = ABANDONED; rest(); token = 0; due = ASK;
		tell();
		moved()
	:: else -> skip
	fi
}

/* (*Record).judge: a negative verdict from outside that was based on what the record still is. */
inline judge(no) {
	if
	:: st == ABANDONED -> st = CANCELLED
	:: st != ABANDONED && (no || st == ACCEPTED || replayedError) -> st = REJECTED
	:: else -> st = SCHEDULED; due = 1; forget()
	fi;
	rest(); token = 0; ambiguous = 0; replayedError = 0;
	moved()
}
