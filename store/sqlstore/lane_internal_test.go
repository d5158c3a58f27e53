package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steadfast-go/steadfast/idempotency"
)

// failing is a driver that takes up to eight such times, and then fails: whoever goes to the database comes back with an error.
type failing time.Duration

var errFailing = errors.New("the database fails")

func (f failing) Connect(context.Context) (driver.Conn, error) {
	time.Sleep(f.some())
	return nil, errFailing
}
func (f failing) Driver() driver.Driver { return nil }

// some time, of which there are few: so things happen at the same moment.
func (f failing) some() time.Duration {
	return time.Duration(f) / 8 * rand.N[time.Duration](8) //nolint:gosec // any will do
}

// However callers come and leave, and however long the database takes: each is answered, and in the end the lane is free. Time is virtual.
func TestALaneIsFreeInTheEnd(t *testing.T) {
	for _, d := range []Dialect{PostgreSQL, SQLite} {
		for callers, f := range map[int]failing{6: failing(patience / 16), 64: failing(2 * patience)} {
			synctest.Test(t, func(t *testing.T) {
				db := sql.OpenDB(f)
				defer func() { require.NoError(t, db.Close()) }()
				s, err := New(db, Config{Dialect: d})
				require.NoError(t, err)
				c := &conn{texts: newTexts(flavour{dialect: d, table: DefaultTable}), store: s}
				var l lane
				var done sync.WaitGroup
				for i := range callers {
					done.Go(func() {
						for n := range 500 {
							ctx, cancel := context.WithCancel(t.Context())
							if i%2 == 0 { // the others do not give up
								ctx, cancel = context.WithTimeout(t.Context(), f.some())
							}
							r := &request{id: idempotency.ID{Operation: "charge", Key: fmt.Sprint(i % 40)}, settles: n%2 == 1}
							r.args = make([]any, max(len(freshColumns), len(settleParams)))
							_, err := l.do(ctx, c, r)
							cancel()
							if !errors.Is(err, errFailing) && !errors.Is(err, context.DeadlineExceeded) {
								t.Errorf("one was told %v", err)
							}
						}
					})
				}
				done.Wait()
				time.Sleep(time.Minute) // batches that everybody has left come back
				l.mu.Lock()
				defer l.mu.Unlock()
				require.Zero(t, l.alone)
				require.False(t, l.batch)
				require.Empty(t, l.waiting)
				require.Equal(t, time.Duration(f) > patience, l.turn > 0, "somebody took too long")
			})
		}
	}
}

// slowly is a driver whose first connections come when nobody waits for them any more.
type slowly struct{ first atomic.Int64 }

func (s *slowly) Connect(ctx context.Context) (driver.Conn, error) {
	if s.first.Add(-1) >= 0 {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return nil, errFailing
}
func (s *slowly) Driver() driver.Driver { return nil }

// Who has less patience than others must have for what is slow does not keep them, or those who come later, from going.
func TestImpatientCallersGoToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s slowly
		db := sql.OpenDB(&s)
		defer func() { require.NoError(t, db.Close()) }()
		store, err := New(db, Config{Dialect: PostgreSQL})
		require.NoError(t, err)
		c := &conn{texts: newTexts(flavour{dialect: PostgreSQL, table: DefaultTable}), store: store}
		s.first.Store(int64(c.abreast()))
		var l lane
		ask := func(key string, within time.Duration) error {
			ctx, cancel := context.WithTimeout(t.Context(), within)
			defer cancel()
			r := &request{id: idempotency.ID{Operation: "charge", Key: key}, args: make([]any, len(freshColumns))}
			_, err := l.do(ctx, c, r)
			return err
		}
		var done sync.WaitGroup
		for i := range c.abreast() {
			done.Go(func() { _ = ask(fmt.Sprint("slow", i), time.Hour) })
		}
		synctest.Wait()
		for i := range 10 {
			want := errFailing
			if i == 0 {
				want = context.DeadlineExceeded
			}
			require.ErrorIs(t, ask(fmt.Sprint(i), patience*9/10), want, i)
		}
		done.Wait()
	})
}
