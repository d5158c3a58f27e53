// Package kill lets four processes make the same calls on one store, and kills them at random: with SIGKILL, in the middle of whatever
// they do. Their providers run in a process that lives on, and its ledger is the judge.
package kill

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"github.com/steadfast-go/steadfast/internal/fakepay"
	"github.com/steadfast-go/steadfast/internal/torture/databases"
	"github.com/steadfast-go/steadfast/internal/torture/processes"
	"github.com/steadfast-go/steadfast/internal/torture/report"
)

// Config says what is to be done.
type Config struct {
	Store string // a name of package databases
	Kills int
	Seed  uint64
	// Break lets every process send with provider keys of its own: then there must be second charges.
	Break bool
}

const workers = 4

// Run kills workers, lets the last ones finish, and judges.
func Run(ctx context.Context, c Config) (*report.Line, error) {
	line := report.Begin("sigkill", c.Store)
	dir, err := os.MkdirTemp("", "steadfast-kill-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	d, db, err := databases.Open(ctx, c.Store, dir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = d.Drop(db, d.Table+"_told") }()
	store, err := d.Store(ctx, db)
	if err != nil {
		return nil, err
	}
	if _, err := db.ExecContext(ctx, "CREATE TABLE "+d.Table+"_told (mode varchar(8), call_key varchar(64), state varchar(16))"); err != nil {
		return nil, err
	}

	banks, stop, err := openBanks(c.Seed)
	if err != nil {
		return nil, err
	}
	defer stop()
	t := &told{}
	role := workerRole{Database: *d, Banks: banks, Began: time.Now(), Rate: 25, Break: c.Break}
	crew, err := killAll(ctx, c, role, t)
	defer func() {
		for _, w := range crew {
			w.Kill()
		}
	}()
	if err != nil {
		return nil, err
	}
	line.Runs = c.Kills
	for _, w := range crew {
		w.Tell("drain")
	}
	j := &judge{line: line, store: store, db: db, table: d.Table, banks: banks, told: t}
	if err := j.settled(ctx); err != nil {
		return nil, err
	}
	for _, w := range crew {
		w.Tell("end")
	}
	for _, w := range crew {
		if err := w.Wait(); err != nil {
			line.Add(&line.Violations, "a worker that was to end did so with %v", err)
		}
	}
	crew = nil
	err = j.judge(ctx)
	return line.End(), err
}

// openBanks begins the process with the providers.
func openBanks(seed uint64) (at map[fakepay.Mode]string, stop func(), err error) {
	said := make(chan processes.Event, len(modes))
	p, err := processes.Spawn("kill/bank", bankRole{seed}, func(e processes.Event) { said <- e })
	if err != nil {
		return nil, nil, err
	}
	at = map[fakepay.Mode]string{}
	for range modes {
		select {
		case e := <-said:
			at[fakepay.Mode(e.Key)] = e.Text
		case <-time.After(time.Minute):
			p.Kill()
			return nil, nil, fmt.Errorf("kill: the providers did not begin within a minute")
		}
	}
	return at, p.Kill, nil
}

// member is a worker, and what is heard of it.
type member struct {
	*processes.Process
	heard chan struct{} // one word at most
}

func hire(role workerRole, t *told) (*member, error) {
	m := &member{heard: make(chan struct{}, 1)}
	var err error
	m.Process, err = processes.Spawn("kill/worker", role, func(e processes.Event) {
		if e.What == "ready" {
			return
		}
		t.hear(e)
		select {
		case m.heard <- struct{}{}:
		default:
		}
	})
	return m, err
}

// killAll kills workers one after the other, and begins new ones in their places.
func killAll(ctx context.Context, c Config, role workerRole, t *told) (crew []*member, err error) {
	for range workers {
		m, err := hire(role, t)
		if err != nil {
			return crew, err
		}
		crew = append(crew, m)
	}
	r := rand.New(rand.NewPCG(c.Seed, 0))
	for range c.Kills {
		if ctx.Err() != nil {
			return crew, ctx.Err()
		}
		m := crew[r.IntN(workers)]
		select { // it works
		case <-m.heard:
		case <-time.After(10 * time.Second): // whatever keeps it: it is killed all the same
		case <-ctx.Done():
		}
		after := time.Duration(r.Int64N(int64(100 * time.Millisecond)))
		if r.IntN(2) == 0 { // right after its last word
			after = time.Duration(r.Int64N(int64(3 * time.Millisecond)))
		}
		pause(ctx.Done(), after)
		m.Kill()
		for i := range crew {
			if crew[i] == m {
				if crew[i], err = hire(role, t); err != nil {
					crew[i] = m
					return crew, err
				}
			}
		}
	}
	return crew, nil
}

// told is what workers said that they had been told.
type told struct {
	mu   sync.Mutex
	list []processes.Event
}

func (t *told) hear(e processes.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.list = append(t.list, e)
}

func rowsOf(ctx context.Context, db *sql.DB, text string, each func(rows *sql.Rows) error) error {
	rows, err := db.QueryContext(ctx, text)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := each(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}
