package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// mutant is a defect that the simulation must find. Old stands exactly once in the file, so that a mutant which the code has outgrown
// is noticed; the tree is not touched, the compiler is handed a patched copy.
type mutant struct {
	name string
	file string // in the root module
	old  string
	new  string
}

// mutants are what a careless author of such a library would do. Each must be caught within 1,000 seeds of a mode.
var mutants = []mutant{
	{"a timeout counts as not sent", "idempotency/attempt.go",
		"	case classUnknown:\n		s.ambiguous = true\n", "	case classUnknown:\n"},
	{"a crashed sender counts as not sent", "store/internal/record/record.go",
		"if r.Sending && r.From != idempotency.StateAbandoned {", "if r.Sending && r.From == idempotency.StateUnknown {"},
	{"settle without fence and token", "store/internal/record/record.go",
		"return l.Token != idempotency.Token{} && l.Token == r.Token && l.Fence == r.Fence", "return l.Token != idempotency.Token{}"},
	{"a live lease is stolen", "store/internal/record/record.go",
		"state, due = r.fallback(), r.LeaseEnd", "state, due = r.fallback(), r.LeaseEnd-Moment(4e9)"},
	{"leases are not renewed", "idempotency/lease.go",
		"	wait := l.e.leaseFor / 3\n", "	wait := l.e.leaseFor * 2\n"},
	{"a lease is believed to hold for ever", "idempotency/lease.go",
		"return now.Before(until) && now.Round(0).Before(until.Round(0))", "return true || until.IsZero()"},
	{"repeated without asking whether it was cancelled", "idempotency/attempt.go",
		"marked = false // a repetition", "marked = true // a repetition"},
	{"a fresh provider key for each attempt", "idempotency/attempt.go",
		"providerKey(r.e.namespace, r.rec.ID)", "providerKey(r.e.namespace+string(rune('a'+number%26)), r.rec.ID)"},
	{"one provider key for all scopes", "idempotency/attempt.go",
		"providerKey(r.e.namespace, r.rec.ID)", "providerKey(r.e.namespace, ID{Operation: r.rec.ID.Operation, Key: r.rec.ID.Key})"},
	{"sent again beyond the key's life", "idempotency/rules.go",
		"return firstSent < p.keyLife-p.keyMargin", "return p.keyLife > 0"},
	{"sent again although the provider forgets", "idempotency/rules.go",
		"return p.harmless || p.keyAlive(firstSent) && !replayedError", "return true"},
	{"a stored error is asked for again", "idempotency/rules.go",
		"return p.harmless || p.keyAlive(firstSent) && !replayedError", "return p.harmless || p.keyAlive(firstSent)"},
	{"not found is believed at once", "idempotency/rules.go",
		"return r.LastSent >= p.settling ||", "return true ||"},
	{"a no settles an ambiguous call", "idempotency/rules.go",
		"	if !ambiguous || p.harmless {\n", "	if true {\n"},
	{"an accepted call is sent again", "idempotency/rules.go",
		"	case StateAccepted: // asked, never sent\n", "	case StateAccepted:\n		return stepSend\n"},
	{"the caller's context settles", "idempotency/run.go",
		"return &r.detached", "return r.values"},
	{"the request is not compared while the call runs", "idempotency/flight.go",
		"	if f := e.flights[key]; f != nil {\n", "	for k := range e.flights {\n		if k.id == key.id {\n			key = k\n		}\n	}\n	if f := e.flights[key]; f != nil {\n"},
	{"the request is never compared", "idempotency/run.go",
		"	if len(rec.Fingerprint) == 0 ||", "	if true ||"},
	{"a success that comes late is dropped", "idempotency/settle.go",
		"	if o.State == StateSucceeded {\n", "	if false {\n"},
	{"the outcome is given up when the store fails", "idempotency/settle.go",
		"err = r.recordLater(l, o, err)", "return err"},
	{"a claim whose reply was lost is forgotten", "idempotency/acquire.go",
		"			e.disown(cl)\n", ""},
	{"OnSettled is told once, whether it worked or not", "idempotency/settle.go",
		"o.Notify, o.NotifyIn = true,", "o.NotifyIn ="},
	{"what nobody can find out is due again at once", "idempotency/attempt.go",
		"o = r.e.rest(&r.rec, r.rec.Ambiguous, r.e.dueIn(Never, &r.rec))", "o = r.e.rest(&r.rec, r.rec.Ambiguous, 0)"},
	{"a verdict that is out of date settles", "store/internal/record/verdict.go",
		"if l.Fence != r.Fence || r.State == idempotency.StateRunning || r.Lapsed || r.LeaseEnd > now {", "if false {"},
	{"a cancellation does not wait for the attempt", "store/internal/record/verdict.go",
		"		r.CancelWanted, r.Tell = true, r.Tell || o.Notify\n		return true\n", "		r.lose()\n		r.rest(now, idempotency.StateCancelled)\n"},
	{"what was given up can be cancelled, and told, again", "store/internal/record/verdict.go",
		"		if r.From == idempotency.StateAbandoned {\n", "		if false {\n"},
	{"unknown is told as not sent", "idempotency/explain.go",
		"	switch rec.State {\n	case StateSucceeded:\n", "	if rec.State == StateUnknown {\n		return &notSentYet{hidden: hidden{cause}}\n	}\n	switch rec.State {\n	case StateSucceeded:\n"},
}

// found is how a mutant fared.
type found struct {
	Test    string  `json:"test"`
	Mutant  string  `json:"mutant"`
	After   int     `json:"seeds"` // of the mode that was first
	Mode    string  `json:"mode"`
	By      string  `json:"caught_by"`
	Missed  int     `json:"missed"` // 1: nobody noticed, or it could not be tried
	Seconds float64 `json:"seconds"`

	err error
}

// mutants plays seeds with each defect.
func (o *options) mutants(ctx context.Context) (ok bool, err error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/steadfast-go/steadfast").Output()
	if err != nil {
		return false, fmt.Errorf("go list -m: %w", err)
	}
	root := strings.TrimSpace(string(out))
	chosen := slices.DeleteFunc(slices.Clone(mutants), func(m mutant) bool { return !strings.Contains(m.name, o.only) })
	if len(chosen) == 0 {
		return false, fmt.Errorf("-only %q: no mutant is called so", o.only)
	}
	results := make([]chan found, len(chosen))
	hands := make(chan struct{}, o.procs)
	var wg sync.WaitGroup
	defer wg.Wait()
	for i, m := range chosen {
		results[i] = make(chan found, 1)
		wg.Go(func() {
			hands <- struct{}{}
			defer func() { <-hands }()
			results[i] <- o.hunt(ctx, root, i, m)
		})
	}
	ok = true
	for i := range results {
		f := <-results[i]
		if f.err != nil {
			f.Missed = 1
		}
		ok, err = ok && f.Missed == 0, errors.Join(err, f.err)
		switch {
		case o.json:
			line, _ := json.Marshal(f) // of numbers and names
			fmt.Fprintln(os.Stdout, string(line))
		case f.err != nil:
			fmt.Fprintf(os.Stdout, "%-50s %v\n", f.Mutant, f.err)
		case f.Missed > 0:
			fmt.Fprintf(os.Stdout, "%-50s NOT CAUGHT in %d seeds of each mode\n", f.Mutant, o.seeds)
		default:
			fmt.Fprintf(os.Stdout, "%-50s %5d %-5s %s\n", f.Mutant, f.After, f.Mode, f.By)
		}
	}
	return ok, err
}

// hunt compiles the tests with the defect, and plays seeds until one fails.
func (o *options) hunt(ctx context.Context, root string, n int, m mutant) found {
	f := found{Test: "mutation", Mutant: m.name}
	overlay, err := o.patch(root, n, m)
	if err != nil {
		f.err = err
		return f
	}
	bin, err := o.compile(ctx, fmt.Sprint("mutant", n), "-overlay="+overlay)
	if err != nil {
		f.err = err
		return f
	}
	args := []string{"-test.run=^TestSimulation$", "-sim.mode=" + o.mode, fmt.Sprint("-sim.seeds=", o.seeds), fmt.Sprint("-sim.first=", o.first)}
	sums, failed, err := child(ctx, io.Discard, bin, o.race, args...)
	if err != nil && len(sums) == 0 {
		f.err = fmt.Errorf("its tests did not end: %w", err)
		return f
	}
	for _, s := range sums {
		f.Seconds += s.Seconds
		if s.Failed > 0 && (f.After == 0 || s.Runs < f.After) {
			f.After, f.Mode, f.By = s.Runs, s.Mode, s.First
		}
	}
	if f.After == 0 {
		f.Missed = 1
		if failed {
			f.err = errors.New("its tests failed without a violation")
		}
	}
	return f
}

// patch writes the file with the defect, and the overlay that puts it in the place of the real one.
func (o *options) patch(root string, n int, m mutant) (overlay string, err error) {
	path := filepath.Join(root, filepath.FromSlash(m.file))
	text, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	if count := strings.Count(string(text), m.old); count != 1 {
		return "", fmt.Errorf("%q stands %d times in %s: anchor the mutant anew", m.old, count, m.file)
	}
	patched, overlay := filepath.Join(o.dir, fmt.Sprint(n, ".go")), filepath.Join(o.dir, fmt.Sprint(n, ".json"))
	replaced, err := json.Marshal(map[string]map[string]string{"Replace": {path: patched}})
	return overlay, cmp.Or(err,
		os.WriteFile(patched, []byte(strings.Replace(string(text), m.old, m.new, 1)), 0o600),
		os.WriteFile(overlay, replaced, 0o600))
}
