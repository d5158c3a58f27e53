package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
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
		for callers, f := range map[int]failing{6: failing(patience / 4), 64: failing(2 * patience)} {
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
							ctx, cancel := context.WithTimeout(t.Context(), f.some())
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
