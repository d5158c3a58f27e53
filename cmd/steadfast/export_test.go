package main

import (
	"os"
	"testing"
)

// TestMain lets the test's own binary be the command, in a process of its own, with the race detector if the tests have it.
func TestMain(m *testing.M) {
	if os.Getenv("STEADFAST_TEST_COMMAND") != "" {
		main()
	}
	os.Exit(m.Run())
}
