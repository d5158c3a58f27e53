/* What may be done next with a call: idempotency/rules.go. */

#define ALIVE()     (KEYS && first == YOUNG)                      /* keyAlive */
#ifdef M_SEND_BEYOND_KEY_LIFE
#define MAY_SEND_AGAIN(replayed)  (KEYS && !(replayed))
#else
#define MAY_SEND_AGAIN(replayed)  (ALIVE() && !(replayed))        /* maySendAgain */
#endif

/* promises.next, of a record at rest in state s. */
#define GIVES_UP(s)           (GIVEUP && gaveUp && ((s) == SCHEDULED || (s) == UNKNOWN || (s) == ACCEPTED))
#ifdef M_SEND_ACCEPTED_AGAIN
#define SENDS(s, replayed)    ((s) == FREE || (s) == SCHEDULED || (s) == ACCEPTED || ((s) == UNKNOWN && MAY_SEND_AGAIN(replayed)))
#elif defined(M_TIMEOUT_IS_FAILURE)
#define SENDS(s, replayed)    ((s) == FREE || (s) == SCHEDULED || (s) == UNKNOWN)
#else
#define SENDS(s, replayed)    ((s) == FREE || (s) == SCHEDULED || ((s) == UNKNOWN && MAY_SEND_AGAIN(replayed)))
#endif
#define ASKS(s, replayed)     (ASK && !SENDS(s, replayed) && ((s) == UNKNOWN || (s) == ACCEPTED || ((s) == ABANDONED && !late)))
#define HOLDS(s, replayed)    (!GIVES_UP(s) && !SENDS(s, replayed) && !ASKS(s, replayed))
