package sqlstore

import (
	"fmt"
	"slices"
	"strings"
)

// flavour is what the statements depend on.
type flavour struct {
	dialect Dialect
	maria   bool // MySQL's dialect, with RETURNING on INSERT
	table   string
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
}

// returns reports whether an UPDATE, in whatever words, gives the record back.
func (f flavour) returns() bool { return f.dialect != MySQL || f.maria }

const whereKey = " WHERE operation = :operation AND scope = :scope AND call_key = :call_key"

// whereOwned finds the record whose claim the owner ends, if nothing special waits. The columns are those of the table of.
func whereOwned(of string) string {
	return strings.ReplaceAll(" WHERE of.operation = :operation AND of.scope = :scope AND of.call_key = :call_key AND of.fence = :fence"+
		" AND of.token = :token AND of.state = 3 AND of.claimed_from <> 6 AND (of.flags & :special) = 0", "of.", of)
}

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
	t.insert = f.insert(columns, now)
	t.settle = f.settle(columns, now)
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

// list names the columns.
func list(columns []param) string {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.name
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

// insert writes a record whose moments are distances from the statement's now, unless there is one; then it returns that.
// On SQLite, where a question costs no round trip, the question has been asked before.
func (f flavour) insert(columns, now string) statement {
	var values []string
	for _, c := range allColumns() {
		switch c.name {
		case "lease_until", "due", "next_step", "expires", "give_up", "changed", "first_sent", "last_sent", "created":
			values = append(values, "clock.now + :"+c.name)
		default:
			values = append(values, ":"+c.name)
		}
	}
	made := "INSERT INTO " + f.table + " (" + columns + ")"
	inserted := strings.Join(values, ", ")
	var source string
	switch {
	case f.dialect == PostgreSQL:
		// T27: ON CONFLICT DO UPDATE would lock and write for each replay, and DO NOTHING returns nothing. So it reads first,
		// and inserts only what was not found. Whoever gets no row has met another insert, and asks again.
		source = fmt.Sprintf(`WITH clock AS MATERIALIZED (SELECT %s AS now), seen AS MATERIALIZED (SELECT %s FROM %s%s),`+
			` made AS (%s SELECT %s FROM clock WHERE NOT EXISTS (SELECT 1 FROM seen) ON CONFLICT DO NOTHING RETURNING %s)`+
			` SELECT seen.*, clock.now FROM seen, clock UNION ALL SELECT made.*, clock.now FROM made, clock`,
			now, columns, f.table, whereKey, made, inserted, columns)
	case f.dialect == SQLite:
		source = made + " VALUES (" + strings.ReplaceAll(inserted, "clock.now", now) + ") ON CONFLICT DO NOTHING RETURNING " +
			columns + ", " + now
	default:
		// An update that changes nothing locks the record and writes nothing, not even a log.
		source = made + " VALUES (" + strings.ReplaceAll(inserted, "clock.now", now) + ") ON DUPLICATE KEY UPDATE fence = fence"
		if f.maria {
			source += " RETURNING " + columns + ", " + now
		}
	}
	return compile(f.dialect, source, allColumns())
}

// settle ends a claim on which nothing special waits (see Store.settleFast), by its owner, in one statement. What is
// assigned early must not be read later: MySQL has forgotten the old value.
func (f flavour) settle(columns, now string) statement {
	old, clock := "", now
	switch {
	case f.dialect == PostgreSQL:
		clock = "clock.now"
	case f.maria:
		old = f.table + "."
	}
	var sets []string
	set := func(column, value string) {
		value = strings.NewReplacer("old.", old, "now()", clock).Replace(value)
		sets = append(sets, column+" = "+value)
	}
	set("last_sent", fmt.Sprintf("CASE WHEN :forgets = 1 THEN NULL WHEN (old.flags & %d) <> 0 THEN now() ELSE old.last_sent END", flagSending))
	set("first_sent", "CASE WHEN :forgets = 1 THEN NULL ELSE old.first_sent END")
	set("expires", "CASE WHEN :ends = 1 THEN now() + old.retention ELSE now() + :expires END")
	set("flags", fmt.Sprintf("(old.flags & %d) | :flags", flagStarted))
	set("attempts", "old.attempts + :attempts")
	set("ref", "CASE WHEN :named = 1 THEN :ref ELSE old.ref END")
	set("changed", "now()")
	for _, column := range []string{"lease_until", "due", "next_step"} {
		set(column, "now() + :"+column)
	}
	for _, column := range []string{"state", "value", "code", "message"} {
		set(column, ":"+column)
	}
	set("claimed_from", "0")
	set("batch", "NULL")

	condition := whereOwned("")
	changes := strings.Join(sets, ", ")
	var source string
	switch {
	case f.dialect == PostgreSQL:
		source = "WITH clock AS MATERIALIZED (SELECT " + now + " AS now) UPDATE " + f.table + " SET " + changes + " FROM clock" + condition +
			" RETURNING " + columns + ", clock.now"
	case f.dialect == SQLite:
		source = "UPDATE " + f.table + " SET " + changes + condition + " RETURNING " + columns + ", " + now
	case f.maria:
		// MariaDB returns rows from INSERT only: the record is inserted again, which it cannot be, and so is updated.
		kept := "operation, scope, call_key, state, claimed_from, flags, fence, token, attempts, changed, created"
		source = "INSERT INTO " + f.table + " (" + kept + ") SELECT s." + strings.ReplaceAll(kept, ", ", ", s.") +
			" FROM " + f.table + " AS s" + whereOwned("s.") +
			" FOR UPDATE ON DUPLICATE KEY UPDATE " + changes + " RETURNING " + columns + ", " + now
	default:
		source = "UPDATE " + f.table + " SET " + changes + condition
	}
	return compile(f.dialect, source, settleParams)
}

var settleParams = slices.Concat(keyColumns, []param{
	{"fence", integer}, {"token", bytes}, {"special", integer}, {"forgets", integer}, {"ends", integer}, {"named", integer},
	{"state", integer}, {"flags", integer}, {"attempts", integer},
	{"lease_until", integer}, {"due", integer}, {"next_step", integer}, {"expires", integer},
	{"value", bytes}, {"ref", bytes}, {"code", bytes}, {"message", bytes},
})
