// Package report is what every test says in the end: one line of figures.
package report

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Line is what one test found on one store. Duplicates, Lost, Stuck and Violations must be zero.
type Line struct {
	Test  string `json:"test"`
	Store string `json:"store,omitempty"`

	// Runs is how often the test did what it is about: kills, histories, rounds.
	Runs    int `json:"runs"`
	Keys    int `json:"keys"`
	Sends   int `json:"sends"`   // requests that reached the provider, whatever became of them
	Charges int `json:"charges"` // by the provider's ledger

	// Duplicates counts keys that were charged more than once, Lost what was acknowledged and cannot be found again, Stuck calls
	// that are not settled when all faults are over, Violations everything else that the contract forbids.
	Duplicates int `json:"duplicates"`
	Lost       int `json:"lost"`
	Stuck      int `json:"stuck"`
	Violations int `json:"violations"`

	// More are figures that only this test has.
	More map[string]int64 `json:"more,omitempty"`

	Seconds float64 `json:"seconds"`
	// Skipped says why nothing was tested.
	Skipped string `json:"skipped,omitempty"`
	// Wrong are the first few findings, in words.
	Wrong []string `json:"wrong,omitempty"`

	began time.Time
}

// Begin begins a line, and its clock.
func Begin(test, store string) *Line {
	return &Line{Test: test, Store: store, More: map[string]int64{}, began: time.Now()}
}

// End stops the line's clock.
func (l *Line) End() *Line {
	l.Seconds = float64(time.Since(l.began).Milliseconds()) / 1000
	return l
}

// OK reports whether nothing was found.
func (l *Line) OK() bool { return l.Duplicates+l.Lost+l.Stuck+l.Violations == 0 }

const wrongKept = 20

// Add counts a finding, and keeps the first few in words.
func (l *Line) Add(count *int, format string, args ...any) {
	*count++
	if len(l.Wrong) < wrongKept {
		l.Wrong = append(l.Wrong, fmt.Sprintf(format, args...))
	}
}

// Skip says why nothing was tested.
func (l *Line) Skip(format string, args ...any) *Line {
	l.Skipped = fmt.Sprintf(format, args...)
	return l.End()
}

// String is the line for a test's log.
func (l *Line) String() string {
	data, err := json.Marshal(l)
	if err != nil {
		return err.Error() // it holds nothing that cannot be encoded
	}
	return string(data)
}

// Table prints lines as they come.
type Table struct {
	w       *tabwriter.Writer
	encoder *json.Encoder
}

// NewTable begins a table, or, with asJSON, an object per line.
func NewTable(w io.Writer, asJSON bool) *Table {
	if asJSON {
		return &Table{encoder: json.NewEncoder(w)}
	}
	t := &Table{w: tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)}
	fmt.Fprintln(t.w, "test\tstore\truns\tkeys\tsends\tcharges\tduplicates\tlost\tstuck\tviolations\tseconds\t")
	return t
}

// Print adds a line.
func (t *Table) Print(l *Line) error {
	if t.encoder != nil {
		return t.encoder.Encode(l)
	}
	verdict := "ok"
	switch {
	case l.Skipped != "":
		verdict = "SKIPPED: " + l.Skipped
	case !l.OK():
		verdict = "FAILED"
	}
	for _, name := range slices.Sorted(maps.Keys(l.More)) {
		verdict += fmt.Sprintf(", %s %d", name, l.More[name])
	}
	// One line at a time, since the next one may take minutes: the columns are as wide as they need to be so far.
	fmt.Fprintf(t.w, "%-14s\t%-9s\t%6d\t%7d\t%7d\t%7d\t%10d\t%4d\t%5d\t%10d\t%7.1f\t%s\n", l.Test, l.Store, l.Runs, l.Keys, l.Sends, l.Charges,
		l.Duplicates, l.Lost, l.Stuck, l.Violations, l.Seconds, verdict)
	if len(l.Wrong) > 0 {
		fmt.Fprintln(t.w, "  "+strings.Join(l.Wrong, "\n  "))
	}
	return t.w.Flush()
}
