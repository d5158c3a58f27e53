package main

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
)

// TestPaths walks a tree whose forks depend on each other, and writes each path down and reads it again.
func TestPaths(t *testing.T) {
	var c choices
	var seen []string
	for more := true; more; more = c.next() {
		first, path := c.choose(3), ""
		for i := range first {
			path += fmt.Sprint(c.choose(2), i)
		}
		seen = append(seen, fmt.Sprint(first, path))
		again, err := parsePath(c.String())
		if err != nil {
			t.Fatal(err)
		}
		for len(again) < c.at { // zeros at the end are not written
			again = append(again, 0)
		}
		if !reflect.DeepEqual(again, c.taken[:c.at]) {
			t.Errorf("%v was written as %q, and read as %v", c.taken[:c.at], &c, again)
		}
	}
	if want := 1 + 2 + 4; len(seen) != want || len(slices.Compact(slices.Sorted(slices.Values(seen)))) != want {
		t.Errorf("the tree has %d leaves, these were seen: %v", want, seen)
	}
	for _, wrong := range []string{"1,x", "-1,1", "1,-1"} {
		if taken, err := parsePath(wrong); err == nil {
			t.Errorf("%q was read as %v", wrong, taken)
		}
	}
}
