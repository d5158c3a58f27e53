package main

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/store/sqlstore"
)

// The exit statuses, as the package's documentation promises them.
const (
	statusDone    = 0
	statusFailed  = 1
	statusUsage   = 2
	statusTooOld  = 3
	statusRefused = 4
	statusNoCall  = 5
)

// failure is an error that has an exit status of its own.
type failure struct {
	status int
	text   string
}

func (f *failure) Error() string { return f.text }

func usage(format string, args ...any) error {
	return &failure{statusUsage, fmt.Sprintf(format, args...)}
}

func refused(format string, args ...any) error {
	return &failure{statusRefused, fmt.Sprintf(format, args...)}
}

// session is one run of the command.
type session struct {
	in     io.Reader
	out    io.Writer
	err    io.Writer
	getenv func(string) string

	// The flags of all verbs.
	dsn     string
	table   string
	schema  string
	json    bool
	timeout time.Duration

	place string // the database, for people
	db    *sql.DB
	store *sqlstore.Store
}

// verb is what can be done.
type verb struct {
	name   string
	args   string // what stands behind the flags
	brief  string
	help   string
	access access
	limit  time.Duration // default of -timeout; zero: none
	// setup declares flags, and returns what is done when they have been read.
	setup func(s *session, f *flags) action
}

// action does it. It returns before the database is opened (run is nil) if there is nothing to ask there.
type action struct {
	// check looks at the flags and the arguments, before anything else happens.
	check func(args []string) error
	run   func(ctx context.Context) error
}

const queryLimit = 30 * time.Second

func verbs() []verb {
	return []verb{listVerb, showVerb, settleVerb, cancelVerb, purgeVerb, statsVerb, migrateVerb}
}

// run returns the exit status.
func (s *session) run(ctx context.Context, args []string) int {
	err := s.dispatch(ctx, args)
	if err == nil {
		return statusDone
	}
	fmt.Fprintln(s.err, "steadfast: "+visibleText(strings.Join(strings.Fields(err.Error()), " "))) // drivers' errors have lines
	var f *failure
	if errors.As(err, &f) {
		return f.status
	}
	return statusFailed
}

func (s *session) dispatch(ctx context.Context, args []string) error {
	if len(args) == 0 {
		overview(s.err)
		return usage("say what to do")
	}
	name, rest := args[0], args[1:]
	switch name {
	case "help", "-h", "-help", "--help":
		return s.help(rest)
	}
	v, err := find(name)
	if err != nil {
		return err
	}
	f := s.flags(v)
	act := v.setup(s, f)
	operands, err := f.parse(rest)
	if errors.Is(err, flag.ErrHelp) {
		f.explain(s.out, v)
		return nil
	}
	if err == nil {
		err = act.check(operands)
	}
	if err != nil {
		return usage("%s: %v; \"steadfast help %s\" says more", v.name, err, v.name)
	}
	if s.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.timeout)
		defer cancel()
	}
	if err := s.open(v.access); err != nil {
		return err
	}
	defer func() { _ = s.db.Close() }()
	if v.access != creates {
		if err := s.migrated(ctx); err != nil {
			return s.explain(ctx, err)
		}
	}
	return s.explain(ctx, act.run(ctx))
}

// explain says what to do about a failure that is not the command's own word.
func (s *session) explain(ctx context.Context, err error) error {
	var f *failure
	switch {
	case err == nil, errors.As(err, &f):
		return err
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("%s did not answer within %v: look at it, or allow more with -timeout: %w", s.place, s.timeout, err)
	case ctx.Err() != nil:
		return fmt.Errorf("interrupted: %w", err)
	}
	return err
}

// find returns the verb of that name. What else stands there is not repeated if it could be a DSN.
func find(name string) (verb, error) {
	all := verbs()
	names := make([]string, len(all))
	for i, v := range all {
		if v.name == name {
			return v, nil
		}
		names[i] = v.name
	}
	what := fmt.Sprintf("%q", name)
	if strings.ContainsAny(name, "@:/=") {
		what = "what stands first"
	}
	if strings.HasPrefix(name, "-") {
		return verb{}, usage("%s is no command: flags stand behind it, as in \"steadfast list -json\"", what)
	}
	return verb{}, usage("%s is no command: use one of %s, or help", what, strings.Join(names, ", "))
}

// get reads one call. To people a free record is none.
func (s *session) get(ctx context.Context, id idempotency.ID) (idempotency.Record, error) {
	rec, err := s.store.Get(ctx, id)
	if err == nil && rec.State == idempotency.StateFree {
		err = idempotency.ErrNoRecord
	}
	if errors.Is(err, idempotency.ErrNoRecord) {
		return rec, noCall(id)
	}
	return rec, err
}

func noCall(id idempotency.ID) error {
	return &failure{statusNoCall, fmt.Sprintf("there is no call %s: \"steadfast list -state all -operation %s\" shows what there is; "+
		"a scope is named with -scope", titleOf(id), shellName(id.Operation))}
}
