package integration_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/steadfast-go/steadfast/store/sqlstore"
)

// A server that may lose what it has acknowledged is warned of, once, by the setting's name.
func TestWarnsOfLoss(t *testing.T) {
	sqlite := "file:" + filepath.Join(dir(t), "calls.db")
	for _, row := range []struct{ driver, dsn, want string }{
		{"pgx", postgresDSN("options=-c%20synchronous_commit%3Doff"), "synchronous_commit"},
		{"pgx", postgresDSN(""), ""},
		{"sqlite", sqlite + "?_pragma=synchronous(NORMAL)&_pragma=busy_timeout(1000)", "synchronous"},
		{"sqlite", sqlite + "?_pragma=synchronous(FULL)", "busy_timeout"},
		{"sqlite", sqlite + "?_pragma=synchronous(EXTRA)&_pragma=busy_timeout(1000)", ""},
	} {
		service := row.driver
		if service == "pgx" {
			openPostgres(t) // or skip
		}
		db := pool(t, row.driver, row.dsn)
		var warnings []string
		s, err := sqlstore.New(db, sqlstore.Config{Table: table(t, db), Warn: func(message string) { warnings = append(warnings, message) }})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		succeed(t, s, "k")
		succeed(t, s, "k2")
		switch {
		case row.want == "" && len(warnings) > 0:
			t.Errorf("%s: warned without reason: %q", row.dsn, warnings)
		case row.want != "" && (len(warnings) != 1 || !strings.Contains(warnings[0], row.want)):
			t.Errorf("%s: the warnings are %q, want one of %s", row.dsn, warnings, row.want)
		}
	}
}
