package main

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"runtime"
	"sync"
	"time"

	"github.com/steadfast-go/steadfast/internal/torture/fuzz"
	"github.com/steadfast-go/steadfast/internal/torture/report"
)

// What runs as ordinary tests, for longer.

const here = "github.com/steadfast-go/steadfast/internal/torture/"

// goTest runs tests of a package, and says how many were skipped.
func goTest(ctx context.Context, l *report.Line, args ...string) *report.Line {
	cmd := exec.CommandContext(ctx, "go", append([]string{"test", "-count=1", "-v"}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		l.Add(&l.Violations, "%v\n%s", err, out)
	}
	if skipped := bytes.Count(out, []byte("--- SKIP: ")); skipped > 0 {
		l.More["skipped"] = int64(skipped)
	}
	return l.End()
}

func stateMachines(ctx context.Context, o options, print func(*report.Line)) error {
	for _, m := range []struct {
		test   string
		checks int
	}{{"TestStore", o.size(200, 5_000)}, {"TestWrapper", o.size(20_000, 1_000_000)}} {
		l := report.Begin("machine "+m.test[len("Test"):], "")
		l.Runs = m.checks
		print(goTest(ctx, l, "-timeout=4h", "-run=^"+m.test+"$", here+"machine", fmt.Sprint("-rapid.checks=", m.checks)))
	}
	return nil
}

func goldenRecords(ctx context.Context, _ options, print func(*report.Line)) error {
	l := report.Begin("golden", "")
	l.Runs = 1
	print(goTest(ctx, l, "-skip=^TestMake$", here+"golden"))
	return nil
}

func fuzzed(ctx context.Context, o options, print func(*report.Line)) error {
	targets, err := fuzz.Targets(ctx)
	if err != nil {
		return err
	}
	// Each is a process with one thread's work.
	var mu sync.Mutex
	var wg sync.WaitGroup
	slots := make(chan struct{}, runtime.NumCPU())
	for _, t := range targets {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			line := fuzz.Run(ctx, t, time.Duration(o.size(20, 600))*time.Second)
			mu.Lock()
			defer mu.Unlock()
			print(line)
		})
	}
	wg.Wait()
	return nil
}
