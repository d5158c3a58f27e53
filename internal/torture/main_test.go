package main

import (
	"strings"
	"testing"

	"github.com/steadfast-go/steadfast/internal/torture/databases"
	"github.com/steadfast-go/steadfast/internal/torture/report"
)

// Also the command skips what is missing, with a line that says so, and fails where STEADFAST_REQUIRE names it.
func TestMissing(t *testing.T) {
	t.Setenv("PATH", t.TempDir()) // nothing is installed
	t.Setenv("STEADFAST_TEST_POSTGRES", "postgres://postgres@127.0.0.1:1/test?sslmode=disable")
	o := options{short: true, store: databases.Postgres, kills: 1}
	for _, test := range tests {
		switch test.name {
		case "sigkill", "crash", "linear", "winner", "wire", "soak":
		default:
			continue
		}
		t.Run(test.name, func(t *testing.T) {
			t.Setenv("STEADFAST_REQUIRE", "mysql")
			var lines []*report.Line
			keep := func(l *report.Line) { lines = append(lines, l) }
			if err := test.run(t.Context(), o, keep); err != nil || len(lines) == 0 {
				t.Fatalf("not required: %v, %d lines", err, len(lines))
			}
			for _, l := range lines {
				if !strings.Contains(l.Skipped, "postgres is missing") {
					t.Errorf("not required: %v", l)
				}
			}
			lines = nil
			t.Setenv("STEADFAST_REQUIRE", "mysql,postgres")
			if err := test.run(t.Context(), o, keep); err == nil || !strings.Contains(err.Error(), "postgres is missing") || len(lines) > 0 {
				t.Errorf("required: %v, %v", err, lines)
			}
		})
	}
}
