package integration_test

import (
	"database/sql"
	"testing"
	"testing/synctest"
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/store/sqlstore"
)

// T16: a process whose clock stands in the year 2000 (that of a synctest bubble), and one with the right time: all times
// are the database's, so neither lease nor age is any different.
func TestClocksOfProcesses(t *testing.T) {
	each(t, func(t *testing.T, d database) {
		if d.processes() < 2 {
			t.Skip("a database in memory belongs to one process")
		}
		db := d.open(t)
		name := table(t, db)
		right := d.storeOn(t, db, name)
		synctest.Test(t, func(t *testing.T) {
			if time.Now().Year() != 2000 {
				t.Fatal("the bubble's clock is right")
			}
			other := d.open(t)
			r, err := d.storeOn(t, other, name).Acquire(t.Context(), claim("k", 1))
			if err != nil || !r.Owned {
				t.Fatalf("Acquire: owned is %v, %v", r.Owned, err)
			}
			if err := other.Close(); err != nil {
				t.Fatal(err)
			}
		})
		r, err := right.Get(t.Context(), claim("k", 1).ID)
		if err != nil {
			t.Fatal(err)
		}
		wantFresh(t, r)
	})
}

// T16, T28: the time zone of a session does not matter.
func TestTimeZonesOfSessions(t *testing.T) {
	postgres, mysql := openPostgres(t), openMySQL(t)
	for _, row := range []struct {
		d       database
		db      *sql.DB
		another *sql.DB
	}{
		{databases[2], postgres, postgresWith(t, "TimeZone=Pacific/Kiritimati")},
		{databases[3], mysql, mysqlWith(t, "time_zone", "'+13:00'")},
	} {
		t.Run(row.d.name, func(t *testing.T) {
			name := table(t, row.db)
			succeed(t, row.d.storeOn(t, row.another, name), "k")
			if _, err := row.d.storeOn(t, row.another, name).Acquire(t.Context(), claim("running", 2)); err != nil {
				t.Fatal(err)
			}
			r, err := row.d.storeOn(t, row.db, name).Get(t.Context(), claim("running", 2).ID)
			if err != nil {
				t.Fatal(err)
			}
			wantFresh(t, r)
		})
	}
}

// T28: in a long transaction the clock goes on.
func TestClockInALongTransaction(t *testing.T) {
	each(t, func(t *testing.T, d database) {
		db := d.open(t)
		s := d.store(t, db)
		tx := begin(t, db)
		ctx := sqlstore.WithTx(t.Context(), tx)
		if _, err := s.Get(ctx, claim("k", 1).ID); err == nil {
			t.Fatal("there is a record")
		}
		time.Sleep(300 * time.Millisecond)
		c := claim("k", 1)
		c.Mode = idempotency.ClaimSchedule
		began := time.Now()
		if _, err := s.Acquire(ctx, c); err != nil {
			t.Fatal(err)
		}
		time.Sleep(100 * time.Millisecond)
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
		r, err := s.Get(t.Context(), c.ID)
		if err != nil {
			t.Fatal(err)
		}
		if most := time.Since(began) + 100*time.Millisecond; r.Created < 90*time.Millisecond || r.Created > most {
			t.Errorf("made 100 ms ago or more, but less than %v, in a transaction that had begun 300 ms before, it says that it is %v old", most, r.Created)
		}
	})
}

// wantFresh insists that a claim of an hour was made just now.
func wantFresh(t *testing.T, r idempotency.Record) {
	t.Helper()
	const slack = 20 * time.Second
	if r.State != idempotency.StateRunning || r.Created.Abs() > slack || r.FirstSent.Abs() > slack || (r.Lease-time.Hour).Abs() > slack {
		t.Errorf("claimed just now for an hour, it is %s, %v old, and its lease ends in %v", r.State, r.Created, r.Lease)
	}
}
