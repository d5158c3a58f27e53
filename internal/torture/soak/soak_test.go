package soak_test

import (
	"testing"
	"time"

	"github.com/steadfast-go/steadfast/internal/torture/databases"
	"github.com/steadfast-go/steadfast/internal/torture/soak"
)

// A leak is seen: rows of which none expires. (That there is none, minutes and hours show: the command.)
func TestSeesALeak(t *testing.T) {
	t.Parallel()
	line, err := soak.Run(t.Context(), soak.Config{Store: databases.SQLite, For: 4 * time.Second, Leak: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Log(line)
	if line.Violations == 0 || line.Keys == 0 {
		t.Error("nothing was seen to grow: the test is blind")
	}
}
