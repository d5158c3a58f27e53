package crash_test

import (
	"os"
	"testing"

	"github.com/steadfast-go/steadfast/internal/torture/crash"
	"github.com/steadfast-go/steadfast/internal/torture/databases"
	"github.com/steadfast-go/steadfast/internal/torture/processes"
)

func TestMain(m *testing.M) {
	processes.Main(crash.Parts())
	os.Exit(m.Run())
}

// What a database has acknowledged it knows after a crash. (The command crashes more often, and MariaDB too.)
func TestCrash(t *testing.T) {
	for _, name := range []string{databases.SQLite, databases.Postgres} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			line, err := crash.Run(t.Context(), crash.Config{Store: name, Kills: 1})
			databases.Check(t, err)
			t.Log(line)
			if !line.OK() || line.Keys == 0 {
				t.Error("see above")
			}
		})
	}
}

// A database that acknowledges before it has written is caught.
func TestSeesLostClaims(t *testing.T) {
	t.Parallel()
	// The writer that writes them down later comes seldom; but others may write for it, so one crash is not enough.
	line, err := crash.Run(t.Context(), crash.Config{
		Store: databases.Postgres, Kills: 5, Settings: []string{"synchronous_commit=off", "wal_writer_delay=10s", "wal_writer_flush_after=0"},
	})
	databases.Check(t, err)
	t.Log(line)
	if line.Lost == 0 {
		t.Error("nothing was lost: the test is blind")
	}
}
