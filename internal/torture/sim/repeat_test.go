package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"testing"
)

// TestSameSeedSameTrace plays seeds in two processes, which share nothing that is drawn at random when a process starts: the order of
// maps, the hash of the store's shards, the scheduler's luck. The traces are the same, byte for byte.
func TestSameSeedSameTrace(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector's scheduler tosses coins")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	seeds := seedCount() / 10
	traces := make([][]byte, 2)
	for i := range traces {
		cmd := exec.CommandContext(t.Context(), self, "-test.run=^TestSimulation$", "-sim.trace", fmt.Sprint("-sim.seeds=", seeds))
		cmd.Env = append(os.Environ(), "GOMAXPROCS=1", "GODEBUG=asyncpreemptoff=1")
		if traces[i], err = cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, traces[i])
		}
	}
	if n := bytes.Count(traces[0], []byte("\nseed ")); n < len(modes)*seeds-1 {
		t.Fatalf("%d seeds of %d modes left %d traces", seeds, len(modes), n)
	}
	a, b := bytes.SplitAfter(traces[0], []byte("\n")), bytes.SplitAfter(traces[1], []byte("\n"))
	var seed []byte
	for i, line := range a {
		if bytes.HasPrefix(line, []byte("seed ")) {
			seed = line
		}
		if i >= len(b) || !bytes.Equal(line, b[i]) {
			other := []byte("the end")
			if i < len(b) {
				other = b[i]
			}
			t.Fatalf("the second time, line %d differs\n%s%s%s", i+1, seed, line, other)
		}
	}
}
