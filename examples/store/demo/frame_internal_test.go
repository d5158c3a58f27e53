package demo

import (
	"io"
	"strings"
	"testing"

	"github.com/charmbracelet/lipgloss"
	"github.com/stretchr/testify/assert"

	"github.com/steadfast-go/steadfast/internal/fakepay"
)

// A line that is too long would wrap, and everything painted in place would drift.
func TestFrameFitsIntoTheTerminal(t *testing.T) {
	stages := newStages(Scenarios(), 1, 4)
	for _, s := range stages {
		for _, line := range []*timeline{s.naive, s.protected} {
			busy(line)
		}
		s.done, s.outcome = true, Outcome{Naive: Result{Charges: 2, OverchargedCents: 1}}
	}
	var scenes []Scene
	for _, s := range stages {
		scenes = append(scenes, s.Look())
	}
	renderer := lipgloss.NewRenderer(io.Discard)
	for _, size := range [][2]int{{80, 24}, {80, 50}, {100, 40}, {120, 60}, {200, 100}, {60, 22}} {
		lines := strings.Split(frame(renderer, stages, scenes, size[0], size[1]), "\n")
		assert.Less(t, len(lines), size[1], "at %v", size)
		for _, line := range lines {
			assert.Less(t, lipgloss.Width(line), size[0], "at %v: %q", size, line)
		}
	}
}

// busy fills a timeline with more than fits.
func busy(line *timeline) {
	line.begin()
	for n := range 8 {
		line.click("clicks")
		line.attempt(fakepay.Attempt{N: n, Op: fakepay.OpCharge})
		line.effect(fakepay.Event{Type: fakepay.ChargeSucceeded})
		line.attempt(fakepay.Attempt{N: n, Op: fakepay.OpCharge, Done: true, Delivered: n%2 == 0, Status: 201})
		line.page("failed", "")
		line.sent("order-1")
	}
	line.page("shipped", "")
	line.add(Event{Kind: Left, Text: strings.Repeat("gives up ", 20)})
}

func TestClosingTableFits(t *testing.T) {
	side := Result{
		Attempts: 12, Charges: 3, Parcels: 1, Emails: 2, OverchargedCents: 378_00, FirstAnswerMS: 42_900,
		Told: []string{"declined", "paid", "shipped"},
	}
	var r Report
	for _, s := range Scenarios() {
		r.Scenarios = append(r.Scenarios, Outcome{Name: s.Name, Naive: side, Protected: side})
	}
	for _, width := range []int{80, 100, 120} {
		for line := range strings.SplitSeq(renderTable(lipgloss.NewRenderer(io.Discard), r, width), "\n") {
			assert.LessOrEqual(t, lipgloss.Width(line), width, "%q", line)
		}
	}
}

func TestPlansFollowFromTheSeed(t *testing.T) {
	for _, s := range Scenarios() {
		one, again, other := s.planFor(1), s.planFor(1), s.planFor(2)
		assert.Equal(t, one, again, s.Name)
		assert.NotEqual(t, one, other, s.Name)
	}
}
