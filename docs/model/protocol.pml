/*
 * The protocol of DESIGN sections 2 to 5, as a model for Spin. One record, N processes, a provider, a network, people.
 *
 *   record.pml   the store: store/internal/record, one atomic step for each request of idempotency.Store
 *   rules.pml    what may be done next: idempotency/rules.go
 *   call.pml     a process: the files of idempotency/, one step for each thing that it asks of the store or the provider
 *   world.pml    everything else: the provider, requests on their way, time, callers, an operator, webhooks
 *   tidy.pml     not part of the protocol: makes one of states that cannot differ in what follows
 *
 * Steps and inlines bear the names of the Go functions that they stand for. ./check runs all of it; README.md explains.
 */

#ifndef N
#define N 3          /* processes */
#endif
#ifndef KEYS
#define KEYS 0       /* Call.KeyLife > 0: the provider remembers keys, for a time */
#endif
#ifndef ASK
#define ASK 0        /* Call.Lookup is set */
#endif
#ifndef KEYED
#define KEYED 0      /* the provider stores its declines under the key, and Call.KeyedErrors says so */
#endif
#ifndef STORES5XX
#define STORES5XX 0  /* the provider stores its 5xx under the key, and marks their repetition (Replayed) */
#endif
#ifndef GIVEUP
#define GIVEUP 0     /* Call.GiveUp is set */
#endif
#ifndef BEYOND
#define BEYOND 0     /* goes beyond what P1 assumes: pauses between check and wire longer than Settling and the margin */
#endif
#ifndef WIRE
#define WIRE 2       /* how many requests may be on their way with nobody waiting for them */
#endif
#ifndef OPERATOR
#define OPERATOR 1
#endif
#ifndef CANCEL
#define CANCEL 1
#endif
#ifndef START
#define START 1
#endif
#ifndef COPIES
#define COPIES 1     /* delayed copies of Acquire */
#endif


/* idempotency.State, with the numbers that are stored. */
#define ABSENT     0
#define FREE       1
#define SCHEDULED  2
#define RUNNING    3
#define ACCEPTED   4
#define UNKNOWN    5
#define ABANDONED  6
#define SUCCEEDED  7
#define REJECTED   8
#define CANCELLED  9

/* Ages of first and last possible sending. Time is a step that may be taken, or not. */
#define NEVER   0
#define YOUNG   1    /* since the first sending: less than KeyLife - margin */
#define OLD     2
#define RECENT  1    /* since the last sending: less than Settling */
#define QUIET   2

/* Where a process stands. */
#define IDLE      0
#define CLAIMING  1  /* acquire: asks for a claim, with one token */
#define TAKING    2  /* crew.pass: AcquireDue was not answered, and is asked again */
#define LOOKING   3  /* drive: a flight looks at a record that it does not own */
#define SENDING   4  /* sendAll: before clear */
#define GAP       5  /* between the last check and the wire, and on the wire */
#define ASKING    6  /* ask */
#define SETTLING  7  /* settle: has an outcome to record */
#define HAPPENED  8  /* succeeded: has a success to record, and no claim */
#define DISOWNED  9  /* disown: gives back a claim whose Acquire was not answered */

typedef Process {
	unsigned pc   : 4;
	unsigned base : 4;   /* run.rec.base(): what was claimed */
	unsigned out  : 4;   /* Outcome.State */
	bit flight;          /* callers wait; else Run */
	bit names;           /* Claim.Fence is not zero ... */
	bit seen;            /* ... and still the record's */
	bit send;            /* Claim.Sending */
	bit marked;          /* sendAll's marked */
	bit up;              /* claim.until has not passed */
	bit quiet;           /* run.rec.LastSent >= Settling, when it was claimed */
	bit amb;             /* sending.ambiguous, Outcome.Ambiguous */
	bit replayed;        /* sending.replayed, Outcome.ReplayedError */
	bit due              /* Outcome.Due is not Never */
};

Process P[N];

/* The record. */
unsigned st   : 4;
unsigned from : 4;
unsigned first : 2;
unsigned last  : 2;
unsigned token : 3;  /* whose token: process + 1; 0: nobody's who lives */
bit sending, ambiguous, replayedError, cancelWanted, late, due;
bit lapsed;          /* running, and the lease has run out */

/* The provider. */
unsigned charges : 2;
unsigned bound   : 3;  /* what it remembers under the key */
bit pending;           /* accepted, not decided */
bit declined;          /* it has declined */
bit older;             /* what it remembers is older than the record's first sending */
unsigned wire : 2;     /* requests on their way with nobody waiting for them */

#define B_NONE   0
#define B_OK     1
#define B_NO     2
#define B_5XX    3
#define B_ACC    4

/* A delayed copy of an Acquire. */
bit copy, copyNames, copySeen;

/* The operator: 1: has read the status, 2: has asked the provider. */
unsigned operator : 2;
bit operatorNo;        /* the answer: declined, or did not happen */

bit gaveUp;            /* the give-up time has passed */
#ifdef LIVE
bit beat;
bit calm;              /* all faults have ended */
bit atAnEnd = 1;       /* nothing is left to do, or nothing that section 5 allows */
#define AT_AN_END  (VIEW == ABSENT || VIEW == FREE || VIEW >= SUCCEEDED || (VIEW == ABANDONED && late) || (st != RUNNING && HOLDS(st, replayedError)))
#define FAULTS (!calm)
#else
#define FAULTS 1
#endif

/* What the checks remember. */
unsigned settled : 4;  /* the state that was final */
bit told;              /* OnSettled is told that the call is abandoned */
bit quietly;           /* somebody who was alone was told ErrNotSent, and nobody has used the key since */

/* The names of the promises, for the text of a violated assertion. They cost no memory. */
hidden byte view;      /* VIEW, within one step */

hidden byte P1_one_at_a_time, P1_charged_twice, P2_settled_is_final, P4_known_is_never_lost, P4_success_contradicted,
	P9_charged_after_told_no, P9_not_sent_was_a_lie, P9_charged_after_not_sent,
	S4_told_once;

#include "record.pml"
#include "rules.pml"

#ifndef PLAIN
#include "tidy.pml"
#endif

inline check() { d_step { checks() } }

inline checks() {
	view = VIEW;
	assert(P1_charged_twice || charges <= 1);
	assert(P9_charged_after_told_no || charges == 0 || (view != REJECTED && view != CANCELLED));
	assert(P4_known_is_never_lost || charges == 0 || (view != ABSENT && view != FREE));
	assert(P2_settled_is_final || settled == ABSENT || settled == view);
	if
	:: view >= SUCCEEDED -> settled = view
	:: else
	fi;
#ifdef LIVE
	atAnEnd = AT_AN_END;
#endif
#ifndef PLAIN
	c_code { tidy(); };
#endif
	skip
}

#include "world.pml"
#include "call.pml"

init {
	atomic {
		run world();
#ifdef LIVE
		run lease(); run settling(); run network(); run provider(); run key(); run copies(); run faults();
#endif
		run process(0);
#if N > 1
		run process(1);
#endif
#if N > 2
		run process(2)
#endif
	}
}

#ifdef LIVE
ltl nothing_is_stuck { <>[] atAnEnd }
#endif
