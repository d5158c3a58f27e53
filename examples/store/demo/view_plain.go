package demo

import (
	"fmt"
	"io"
	"strings"
)

// watchPlain prints what happened in every scenario as soon as it is over, a line for each event. The function that it
// returns waits for the last one.
func watchPlain(w io.Writer, stages []*Stage) (curtain func() error) {
	printed := make(chan error, 1)
	go func() { printed <- printPlain(w, stages) }()
	return func() error { return <-printed }
}

func printPlain(w io.Writer, stages []*Stage) error {
	for _, s := range stages {
		<-s.over
		now := s.Look()
		if !now.Done {
			continue
		}
		if _, err := fmt.Fprintf(w, "%s: %s\n%s\n", s.scenario.Name, s.scenario.Title, plainLines(now)); err != nil {
			return err
		}
	}
	return nil
}

// plainLines are the events of both sides, in order of time.
func plainLines(s Scene) string {
	var b strings.Builder
	left, right := s.Naive.Events, s.Protected.Events
	for len(left)+len(right) > 0 {
		side, from := "naive", &left
		if len(left) == 0 || len(right) > 0 && right[0].At < left[0].At {
			side, from = "protected", &right
		}
		e := (*from)[0]
		*from = (*from)[1:]
		fmt.Fprintf(&b, "%7.1f s  %-9s  %-9s  %s\n", e.At.Seconds(), side, who[e.Kind], e.Text)
	}
	return b.String()
}

// seedLine sums a report up in a line.
func seedLine(r Report) string {
	words := []string{fmt.Sprintf("seed %-3d ok", r.Seed)}
	if !r.OK {
		words[0] = fmt.Sprintf("seed %-3d WRONG", r.Seed)
	}
	for _, o := range r.Scenarios {
		word := o.Name + ": naive " + orFine(o.Naive.Wrong())
		if broken := o.Broken(); broken != "" {
			word += ", protected " + strings.ToUpper(broken)
		}
		switch {
		case o.Disturbed:
			word += " (disturbed)"
		case o.Repeated > 0:
			word += " (repeated)"
		}
		words = append(words, word)
	}
	return strings.Join(words, " | ")
}

func orFine(wrong string) string {
	if wrong == "" {
		return "fine"
	}
	return wrong
}
