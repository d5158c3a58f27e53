package sqlstore

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/store/internal/record"
)

// flavour is what the statements depend on.
type flavour struct {
	dialect Dialect
	maria   bool // the dialect is MySQL, with RETURNING on INSERT
	table   string
	packet  int // MySQL's max_allowed_packet; zero: no bound that is known
}

// fits refuses bytes that a server would refuse. MySQL does so for a prepared statement once and for all: whoever comes after it on
// the same connection is refused as well.
func (f flavour) fits(what string, data []byte) error {
	const rest = 8 << 10 // whatever goes beside it
	if f.packet > 0 && len(data)+rest > f.packet {
		return record.Final(fmt.Errorf("the %s has %d bytes, too many for the server's max_allowed_packet of %d: raise that, or lower Call.MaxBytes",
			what, len(data), f.packet))
	}
	return nil
}

// texts are the statements for one table.
type texts struct {
	flavour
	selected string // SELECT … FROM the table, to which conditions are added

	read     statement // a record
	lock     statement // a record, locked until the transaction ends
	begin    statement // SQLite: makes a transaction a writer before it reads
	insert   statement // a new record, or what is there
	settle   statement // the usual end of a claim
	update   statement // what a transition has made
	describe statement // what a claim says of a free record
	pending  statement // whether AcquireDue has anything to do
	held     statement // what a batch has claimed
	due      statement // what is due, locked
	expired  statement // what Purge has to do, locked

	extends sync.Map  // by their number: the statement for so many leases
	batch   batchText // any number of claims and settlements
}

// returns reports whether an UPDATE, in whatever words, gives the record back.
func (f flavour) returns() bool { return f.dialect != MySQL || f.maria }

// gathers reports whether many rows can be given to a statement, and come back from it.
func (f flavour) gathers() bool { return f.dialect == PostgreSQL || f.maria }

const (
	whereKey = " WHERE operation = :operation AND scope = :scope AND call_key = :call_key"
	oldKey   = "old.operation = :operation AND old.scope = :scope AND old.call_key = :call_key"
)

func newTexts(f flavour) *texts {
	t := &texts{flavour: f}
	d, now := f.dialect, nowIn(f.dialect)
	once := now // PostgreSQL uses an index only for what it evaluates once
	locked, skipping := "", ""
	if d != SQLite {
		locked, skipping = " FOR UPDATE", " FOR UPDATE SKIP LOCKED"
	}
	if d == PostgreSQL {
		once = "(SELECT " + now + ")"
	}
	columns := list(allColumns())
	t.selected = "SELECT " + columns + ", " + now + " FROM " + f.table

	t.read = compile(d, t.selected+whereKey, keyColumns)
	t.lock = compile(d, t.selected+whereKey+locked, keyColumns)
	t.begin = compile(d, "UPDATE "+f.table+" SET fence = fence"+whereKey+" AND fence < 0", keyColumns)
	t.insert = compile(d, f.insert(columns, now, false), freshColumns)
	t.settle = compile(d, f.settle(false), settleParams)
	switch {
	case d == PostgreSQL:
		for _, todo := range []int{someClaim, someSettle, someClaim | someSettle} {
			t.batch.gathers[todo] = f.gathering(columns, now, todo)
		}
	case f.maria:
		t.batch.claims, t.batch.settlements = inRows(f.insert(columns, now, true)), inRows(f.settle(true))
	}
	t.update = compile(d, "UPDATE "+f.table+" SET "+assign(restColumns)+whereKey, keyColumns, restColumns)
	t.describe = compile(d, "UPDATE "+f.table+" SET "+assign(claimColumns)+whereKey, keyColumns, claimColumns)
	t.pending = compile(d, "SELECT CASE WHEN EXISTS (SELECT 1 FROM "+f.table+" WHERE batch = :token)"+
		" OR EXISTS (SELECT 1 FROM "+f.table+" WHERE operation = :operation AND next_step <= "+once+") THEN 1 ELSE 0 END",
		blobs("token", "operation"))
	t.held = compile(d, t.selected+" WHERE batch = :token AND token = :token AND operation = :operation AND lease_until > "+now,
		blobs("token", "operation"))
	t.due = compile(d, t.selected+" WHERE operation = :operation AND next_step <= "+once+
		" ORDER BY next_step LIMIT :n"+skipping, blobs("operation"), integers("n"))
	// Purge is not shown what it is to throw away.
	small := list(slices.Concat(keyColumns, restColumns)) + ", created, retention, stub_for, NULL, NULL"
	small = strings.Replace(small, ", value,", ", NULL,", 1)
	t.expired = compile(d, "SELECT "+small+", "+now+" FROM "+f.table+" WHERE expires <= "+once+" ORDER BY expires LIMIT :n"+skipping,
		integers("n"))
	return t
}

func allColumns() []param { return slices.Concat(keyColumns, restColumns, createdColumn, claimColumns) }

// list names the columns, behind a prefix.
func list(columns []param, prefix ...string) string {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = strings.Join(prefix, "") + c.name
	}
	return strings.Join(names, ", ")
}

func assign(columns []param) string {
	sets := make([]string, len(columns))
	for i, c := range columns {
		sets[i] = c.name + " = :" + c.name
	}
	return strings.Join(sets, ", ")
}

// only names the columns, and says NULL in the place of others than some.
func only(prefix string, some []param) string {
	var names []string
	for _, c := range allColumns() {
		if slices.Contains(some, c) {
			names = append(names, prefix+c.name)
		} else {
			names = append(names, "NULL")
		}
	}
	return strings.Join(names, ", ")
}

// making inserts records whose moments are distances from the statement's now. What it writes is known, but for key and time.
func (f flavour) making(now string) string {
	var values []string
	for _, c := range freshColumns {
		switch c.name {
		case "lease_until", "due", "next_step", "expires", "give_up", "first_sent":
			values = append(values, "clock.now + :"+c.name)
		default:
			values = append(values, ":"+c.name)
		}
	}
	return "INSERT INTO " + f.table + " (" + list(freshColumns) + ", fence, attempts, changed, created) SELECT " +
		strings.Join(values, ", ") + ", 1, 0, clock.now, clock.now FROM (SELECT " + now + " AS now) AS clock"
}

// insert makes a record and returns its key and when it was made, unless there is one; then it returns that. On SQLite, where a
// question costs no round trip, the question is asked by itself. MariaDB returns the whole record.
func (f flavour) insert(columns, now string, some bool) string {
	made := f.making(now)
	switch {
	case f.dialect == PostgreSQL:
		// T27: ON CONFLICT DO UPDATE would lock and write for each replay, and DO NOTHING returns nothing, and waits for whoever changes the
		// record. So it is read, and inserted only where there is none. Whoever gets no row has met another insert, and asks again.
		return "WITH made AS (" + made + " WHERE NOT EXISTS (SELECT 1 FROM " + f.table + " AS old WHERE " + oldKey + ")" +
			" ON CONFLICT DO NOTHING RETURNING created) SELECT " + columns + ", " + now + " FROM " + f.table + " AS old WHERE " + oldKey +
			" UNION ALL SELECT " + only("", nil) + ", created FROM made"
	case f.dialect == SQLite:
		return made + " WHERE true ON CONFLICT DO NOTHING RETURNING " + only("", keyColumns) + ", created"
	}
	// An update that changes nothing locks the record and writes nothing, not even a log.
	if some {
		made += ", (GIVEN) AS given"
	}
	made += " ON DUPLICATE KEY UPDATE fence = " + f.table + ".fence"
	if f.maria {
		made += " RETURNING " + columns + ", " + now
	}
	return made
}

// settle ends a claim on which nothing special waits (see conn.settleFast), by its owner, in one statement. It returns what it
// does not replace.
func (f flavour) settle(some bool) string {
	sets := []assignment{
		{"last_sent", fmt.Sprintf("CASE WHEN :forgets = 1 THEN NULL WHEN (old.flags & %d) <> 0 THEN now() ELSE old.last_sent END", flagSending)},
		{"first_sent", "CASE WHEN :forgets = 1 THEN NULL ELSE old.first_sent END"},
		{"expires", "CASE WHEN :ends = 1 THEN now() + old.retention ELSE now() + :expires END"},
		{"flags", fmt.Sprintf("(old.flags & %d) | :flags", flagStarted)},
		{"attempts", "old.attempts + :attempts"},
		{"ref", "CASE WHEN :named = 1 THEN :ref ELSE old.ref END"},
		{"changed", "now()"}, {"lease_until", "now() + :lease_until"}, {"due", "now() + :due"}, {"next_step", "now() + :next_step"},
		{"state", ":state"}, {"claimed_from", "0"}, {"batch", "NULL"}, {"value", ":value"}, {"code", ":code"}, {"message", ":message"},
	}
	where := fmt.Sprintf("%s AND old.fence = :fence AND old.token = :token AND old.state = %d AND old.claimed_from <> %d AND (old.flags & :special) = 0",
		oldKey, idempotency.StateRunning, idempotency.StateAbandoned)
	columns := only("old.", kept)
	if some && f.dialect == PostgreSQL {
		columns = list(kept, "old.")
		where += " AND given.n = given.n + 0"
	}
	return f.change(sets, where, columns, some)
}

// kept are the columns that a settlement does not replace, or not with what is known here.
var kept = slices.Concat(keyColumns, integers("flags", "attempts", "give_up", "first_sent", "last_sent", "created", "retention", "stub_for"),
	blobs("ref", "fingerprint", "request"))

// assignment is a column and its new value, in which old. stands before columns and now() for the clock. What is assigned
// early must not be read later: MySQL has forgotten the old value.
type assignment struct{ column, value string }

// change is an UPDATE of the rows for which the condition holds, by themselves or for each row of some that are given. Where the
// database can, it returns the columns and the clock.
func (f flavour) change(sets []assignment, where, columns string, some bool) string {
	now, old, given := nowIn(f.dialect), "", ""
	clock := now
	switch {
	case f.dialect == PostgreSQL:
		old, clock = "old.", "clock.now"
	case f.maria:
		old = f.table + "."
	}
	said := func(text, old string) string { return strings.NewReplacer("old.", old, "now()", clock).Replace(text) }
	changes := make([]string, len(sets))
	for i, set := range sets {
		changes[i] = set.column + " = " + said(set.value, old)
	}
	change := strings.Join(changes, ", ")
	switch {
	case f.dialect == PostgreSQL:
		if some {
			given = ", SETTLEMENTS"
		}
		return "UPDATE " + f.table + " AS old SET " + change + " FROM (SELECT " + now + " AS now) AS clock" + given + " WHERE " +
			said(where, old) + " RETURNING " + columns + ", clock.now"
	case f.dialect == SQLite:
		return "UPDATE " + f.table + " SET " + change + " WHERE " + said(where, "") + " RETURNING " + said(columns, "") + ", " + now
	case f.maria:
		// MariaDB returns rows from INSERT only: the record is inserted again, which it cannot be, and so is updated.
		needed := "operation, scope, call_key, state, claimed_from, flags, fence, token, attempts, changed, created"
		if some {
			given = "(GIVEN) AS given STRAIGHT_JOIN "
		}
		return "INSERT INTO " + f.table + " (" + needed + ") SELECT same." + strings.ReplaceAll(needed, ", ", ", same.") +
			" FROM " + given + f.table + " AS same FORCE INDEX (PRIMARY) WHERE " + said(where, "same.") + " FOR UPDATE ON DUPLICATE KEY UPDATE " +
			change + " RETURNING " + said(columns, "") + ", " + now
	default:
		return "UPDATE " + f.table + " SET " + change + " WHERE " + said(where, "")
	}
}

var settleParams = slices.Concat(keyColumns, []param{
	{"fence", integer}, {"token", bytes}, {"special", integer}, {"forgets", integer}, {"ends", integer}, {"named", integer},
	{"state", integer}, {"flags", integer}, {"attempts", integer},
	{"lease_until", integer}, {"due", integer}, {"next_step", integer}, {"expires", integer},
	{"value", bytes}, {"ref", bytes}, {"code", bytes}, {"message", bytes},
})
