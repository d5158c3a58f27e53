package main_test

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	_ "github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/retry"
	"github.com/steadfast-go/steadfast/store/sqlstore"
)

// The databases are found as internal/integration finds them.

// patience bounds what no test is about: on a busy machine, long. A database that is not there refuses at once.
const patience = 2 * time.Minute

// site is a service's database, in which a test has a table of its own.
type site struct {
	name  string // of the kind of database
	dsn   string // as the command is given it
	db    *sql.DB
	table string
	store *sqlstore.Store
}

var kinds = []struct {
	name string
	open func(t *testing.T) (db *sql.DB, dsn string)
}{
	{"sqlite", func(t *testing.T) (*sql.DB, string) {
		path := filepath.Join(t.TempDir(), "calls ? 100%.db")
		escaped := strings.NewReplacer("%", "%25", "?", "%3F", " ", "%20").Replace(path)
		db, err := sql.Open("sqlite", "file:"+escaped+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=busy_timeout(60000)&_txlock=immediate")
		return service(t, "sqlite", db, err), path
	}},
	{"postgres", func(t *testing.T) (*sql.DB, string) {
		db, err := sql.Open("pgx", postgresDSN())
		return service(t, "postgres", db, err), postgresDSN()
	}},
	{"mysql", func(t *testing.T) (*sql.DB, string) {
		db, err := sql.Open("mysql", mysqlDSN())
		return service(t, "mysql", db, err), mysqlDSN()
	}},
}

func postgresDSN() string {
	return cmp.Or(os.Getenv("STEADFAST_TEST_POSTGRES"), "postgres://postgres@127.0.0.1:5432/test?sslmode=disable")
}

func mysqlDSN() string {
	return cmp.Or(os.Getenv("STEADFAST_TEST_MYSQL"), "root@tcp(127.0.0.1:3306)/test")
}

func with(dsn, parameter string) string {
	if strings.Contains(dsn, "?") {
		return dsn + "&" + parameter
	}
	return dsn + "?" + parameter
}

func service(t *testing.T, name string, db *sql.DB, err error) *sql.DB {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := db.PingContext(ctx); err != nil {
		if slices.Contains(strings.Split(os.Getenv("STEADFAST_REQUIRE"), ","), name) {
			t.Fatalf("STEADFAST_REQUIRE names %s, which cannot be reached: %v", name, err)
		}
		t.Skipf("%s cannot be reached, its tests are skipped: %v", name, err)
	}
	return db
}

var tables atomic.Int64

// each runs a test on every kind of database, with the table made.
func each(t *testing.T, test func(t *testing.T, on *site)) {
	t.Helper()
	t.Parallel() // each waits for its own server, or disk, and for processes to start
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			on := bare(t, kind.name)
			must(t, on.store.Migrate(t.Context()))
			test(t, on)
		})
	}
}

// bare is a site without tables.
func bare(t *testing.T, name string) *site {
	t.Helper()
	for _, kind := range kinds {
		if kind.name != name {
			continue
		}
		on := &site{name: name, table: fmt.Sprintf("steadfast_cmd_%d_%d", os.Getpid(), tables.Add(1))}
		on.db, on.dsn = kind.open(t)
		t.Cleanup(func() {
			if on.name == "sqlite" {
				return // its file goes away
			}
			for _, table := range []string{on.table, on.table + "_version", on.table + "_told"} {
				_, err := on.db.ExecContext(context.Background(), "DROP TABLE IF EXISTS "+table)
				must(t, err)
			}
		})
		var err error
		on.store, err = sqlstore.New(on.db, sqlstore.Config{Table: on.table})
		must(t, err)
		return on
	}
	t.Fatalf("no database is called %s", name)
	return nil
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (on *site) exec(t *testing.T, query string) {
	t.Helper()
	_, err := on.db.ExecContext(t.Context(), query)
	must(t, err)
}

// earlier moves what is recorded of a call, or of all, back in time.
func (on *site) earlier(t *testing.T, d time.Duration, where string) {
	t.Helper()
	us := d.Microseconds()
	on.exec(t, fmt.Sprintf("UPDATE %s SET created = created - %d, changed = changed - %d, first_sent = first_sent - %d, last_sent = last_sent - %d %s",
		on.table, us, us, us, us, where))
}

// result is what the command has said.
type result struct {
	t      *testing.T
	line   string
	out    string
	err    string
	status int
}

// given is one run of the command, in a process of its own, with a standard input.
func given(t *testing.T, env []string, input string, args ...string) *result {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	return execute(t, self, env, input, args...)
}

func execute(t *testing.T, program string, env []string, input string, args ...string) *result {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Env = append(os.Environ(), "STEADFAST_TEST_COMMAND=1", "STEADFAST_DB=",
		"GORACE=atexit_sleep_ms=0") // the race detector would let each process wait a second for its end
	cmd.Env = append(cmd.Env, env...)
	cmd.Stdin = strings.NewReader(input)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return &result{t, "steadfast " + strings.Join(args, " "), out.String(), errs.String(), cmd.ProcessState.ExitCode()}
}

// run gives the command the site's database and table.
func (on *site) run(t *testing.T, verb string, args ...string) *result {
	t.Helper()
	return given(t, []string{"STEADFAST_DB=" + on.dsn}, "", append([]string{verb, "-table", on.table, "-timeout", patience.String()}, args...)...)
}

// exits asserts the status, and that the error says all of texts.
func (r *result) exits(status int, texts ...string) *result {
	r.t.Helper()
	if r.status != status {
		r.t.Fatalf("%s\nexits with %d, want %d\nout: %s\nerr: %s", r.line, r.status, status, r.out, r.err)
	}
	if status == 0 && len(texts) == 0 && r.err != "" {
		r.t.Errorf("%s\ncomplains: %s", r.line, r.err)
	}
	for _, text := range texts {
		if !strings.Contains(r.err, text) {
			r.t.Errorf("%s\nsays on the standard error: %s\nwant: %s", r.line, r.err, text)
		}
	}
	return r
}

// prints asserts what is on the standard output.
func (r *result) prints(texts ...string) *result {
	r.t.Helper()
	for _, text := range texts {
		if !strings.Contains(r.out, text) {
			r.t.Errorf("%s\nprints: %s\nwant: %s", r.line, r.out, text)
		}
	}
	return r
}

// objects reads what -json has printed.
func (r *result) objects() []map[string]any {
	r.t.Helper()
	var list []map[string]any
	for line := range strings.Lines(r.out) {
		var o map[string]any
		if err := json.Unmarshal([]byte(line), &o); err != nil {
			r.t.Fatalf("%s\nprints %q, which is no JSON: %v", r.line, line, err)
		}
		list = append(list, o)
	}
	return list
}

func (r *result) object() map[string]any {
	r.t.Helper()
	list := r.objects()
	if len(list) != 1 {
		r.t.Fatalf("%s\nprints %d objects, want one: %s%s", r.line, len(list), r.out, r.err)
	}
	return list[0]
}

// service's own types.
type (
	order struct {
		Item string `json:"item"`
	}
	receipt struct {
		ID string `json:"id"`
	}
	call    = idempotency.Call[order, receipt]
	shop    = idempotency.Wrapper[order, receipt]
	settled = idempotency.Settled[order, receipt]
)

var errTimeout = errors.New("context deadline exceeded")

// provider answers by what is ordered.
func provider(_ context.Context, a idempotency.Attempt, in order) (receipt, error) {
	switch in.Item {
	case "timeout":
		return receipt{}, errTimeout
	case "accepted":
		return receipt{}, idempotency.Accepted("pi_77", time.Hour)
	case "not sent":
		return receipt{}, idempotency.NotSent(errTimeout)
	case "declined":
		return receipt{}, idempotency.Rejected("card_declined", errors.New("the card was declined"))
	}
	return receipt{ID: in.Item + " of " + a.ID}, nil
}

// shop is the service, which writes down what OnSettled is told, in its transaction.
func (on *site) shop(t *testing.T, change func(*call)) *shop {
	t.Helper()
	kind := "varchar(200)"
	on.exec(t, "CREATE TABLE IF NOT EXISTS "+on.table+"_told (what "+kind+" NOT NULL)")
	c := call{
		Name: "charge", Send: provider, Retry: retry.Policy{Attempts: 1}, Settling: time.Millisecond,
		Timeout: patience, // a call may run while commands do, and each is a process
		OnSettled: func(ctx context.Context, s settled) error {
			what := fmt.Sprintf("%s/%s %s %s", s.Scope, s.Key, s.State, s.Value.ID)
			if s.Rejection != nil {
				what += s.Rejection.Code
			}
			if s.Omitted {
				what += "omitted"
			}
			if s.Late {
				what += " late"
			}
			_, err := sqlstore.Tx(ctx).ExecContext(ctx, "INSERT INTO "+on.table+"_told (what) VALUES ('"+what+"')")
			return err
		},
	}
	if change != nil {
		change(&c)
	}
	w, err := idempotency.Wrap(on.store, c)
	must(t, err)
	t.Cleanup(func() { must(t, w.Close(context.Background())) })
	return w
}

// told is what OnSettled has committed.
func (on *site) told(t *testing.T) []string {
	t.Helper()
	rows, err := on.db.QueryContext(t.Context(), "SELECT what FROM "+on.table+"_told ORDER BY what")
	must(t, err)
	defer func() { _ = rows.Close() }()
	var list []string
	for rows.Next() {
		var what string
		must(t, rows.Scan(&what))
		list = append(list, what)
	}
	must(t, rows.Err())
	return list
}

// wantTold recovers what is due, more than once, and asserts what OnSettled was told in all.
func (on *site) wantTold(t *testing.T, w *shop, want ...string) {
	t.Helper()
	for range 3 {
		_, err := w.Recover(t.Context())
		must(t, err)
	}
	if got := on.told(t); !slices.Equal(got, want) {
		t.Errorf("OnSettled was told\n%q\nwant\n%q", got, want)
	}
}

// leave makes a call whose outcome is as item says, and asserts the state that it is in then.
func leave(t *testing.T, w *shop, scope, key, item string, want idempotency.State) {
	t.Helper()
	_, _ = w.For(scope).Do(t.Context(), key, order{item}) // the state tells
	is(t, w, scope, key, want)
}

func is(t *testing.T, w *shop, scope, key string, want idempotency.State) {
	t.Helper()
	s, err := w.For(scope).Status(t.Context(), key)
	must(t, err)
	if s.State != want {
		t.Fatalf("%s %s is %s, want %s", scope, key, s.State, want)
	}
}

// shown returns what show says -as-of.
func (on *site) shown(t *testing.T, args ...string) string {
	t.Helper()
	asOf, ok := on.run(t, "show", append([]string{"-json"}, args...)...).exits(0).object()["as_of"].(string)
	if !ok {
		t.Fatalf("show %q gives no as_of", args)
	}
	return asOf
}
