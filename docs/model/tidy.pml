/*
 * tidy forgets what can no longer matter, so that states which cannot differ in what follows are one; and since processes are
 * alike, it sorts them. None of it is part of the protocol. With -DPLAIN nothing is tidied, and the verdicts must be the same:
 * ./check compares them where that is feasible, and runs all mutations plain.
 */
c_code {
	static void tidy_leave(int p) {
		memset((void *)&now.P[p], 0, sizeof(now.P[p]));
		if (now.token == p + 1) now.token = 0;
	}

	static void tidy_look(int p) {
		int flight = now.P[p].flight;
		tidy_leave(p);
		if (flight) { now.P[p].flight = 1; now.P[p].pc = LOOKING; }
	}

	/* A process that has lost its claim can send only if it does not know yet, and record only a success. */
	static void tidy_process(int p) {
		int pc = now.P[p].pc;
		if (now.token != p + 1) {
			int grantable = now.P[p].names ? now.P[p].seen : now.st == ABSENT;
			if ((pc == CLAIMING || pc == DISOWNED) && !grantable) tidy_look(p);
			else if (pc == TAKING) tidy_leave(p);
			else if (pc == ASKING) tidy_look(p);
			else if (pc == SENDING && !(now.P[p].marked && now.P[p].up)) tidy_look(p);
			else if (pc == SETTLING && now.P[p].out != SUCCEEDED) tidy_look(p);
			else if (pc == SETTLING) now.P[p].pc = HAPPENED;
			else if (pc == GAP || pc == SENDING) { now.P[p].base = ABSENT; now.P[p].amb = 0; now.P[p].replayed = 0; }
		}
		if (now.P[p].pc == LOOKING && view >= SUCCEEDED) tidy_leave(p);
	}

	static void tidy(void) {
		int i, j;
		if (now.st == RUNNING && view == CANCELLED) { /* it has lapsed, and nobody can come back to it */
			now.st = CANCELLED; now.from = ABSENT; now.token = 0;
			now.sending = 0; now.cancelWanted = 0; now.lapsed = 0;
		}
		for (i = 0; i < N; i++) tidy_process(i);
		if (now.copy && !(now.copyNames ? now.copySeen : now.st == ABSENT)) { now.copy = 0; now.copyNames = 0; now.copySeen = 0; }
		if (view >= SUCCEEDED) {
			now.ambiguous = 0; now.replayedError = 0; now.last = NEVER; now.due = 0;
			now.copy = 0; now.copyNames = 0; now.copySeen = 0; now.gaveUp = 0; now.quietly = 0; now.told = 0;
		} else if (view == ABANDONED && (now.st != RUNNING || now.lapsed)) {
			now.ambiguous = 0; now.replayedError = 0;
		} else if (view == ACCEPTED) {
			now.replayedError = 0;
		} else if (now.st == RUNNING && now.sending && !now.lapsed && (now.token == 0 || now.P[now.token-1].pc >= SENDING)) {
			now.last = NEVER; /* it becomes RECENT whenever this claim ends, and its owner has read it */
		}
		if (now.charges > 0) now.declined = 0; /* whoever asks is told of the success */
		if (!KEYS) now.first = NEVER;
#ifndef LIVE
		for (i = 1; i < N; i++)
			for (j = i; j > 0 && memcmp((void *)&now.P[j-1], (void *)&now.P[j], sizeof(now.P[0])) > 0; j--) {
				struct Process t;
				memcpy((void *)&t, (void *)&now.P[j-1], sizeof t);
				memcpy((void *)&now.P[j-1], (void *)&now.P[j], sizeof t);
				memcpy((void *)&now.P[j], (void *)&t, sizeof t);
				if (now.token == j) now.token = j + 1;
				else if (now.token == j + 1) now.token = j;
			}
#endif
	}
}
