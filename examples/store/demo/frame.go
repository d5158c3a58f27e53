package demo

import (
	"fmt"
	"strings"
	"time"

	"github.com/charmbracelet/lipgloss"
)

const (
	margin   = 9 // for the names of the lanes
	gap      = 3 // between the columns
	maxWidth = 140
	minLane  = 20
)

// layout is what fits into a terminal.
type layout struct {
	lane    int // the width of one
	deliver bool
	news    int // lines of text for each scenario
}

func layoutFor(width, height, stages int) layout {
	l := layout{lane: max((min(width, maxWidth)-1-margin-gap)/2, minLane)}
	const (
		around = 3 // two lines above, one below
		least  = 3 // of a scenario: its title and two lanes
	)
	room := (height-around)/stages - least
	l.deliver = room >= 1
	const most = 14
	l.news = min(max(room-1, 0), most)
	return l
}

// frame draws all scenarios: naive on the left, protected on the right, time from left to right.
func frame(r *lipgloss.Renderer, stages []*Stage, scenes []Scene, width, height int) string {
	styles, l := palette(r), layoutFor(width, height, len(stages))
	lines := []string{
		strings.Repeat(" ", margin) + styles[bold].Width(l.lane+gap).Render("NAIVE") + styles[bold].Render("PROTECTED"),
		legend(styles, width),
	}
	for i, s := range stages {
		lines = append(lines, panel(styles, l, s, scenes[i], width)...)
	}
	return strings.Join(lines, "\n")
}

func legend(styles [6]lipgloss.Style, width int) string {
	return styles[faint].MaxWidth(width - 1).Render(strings.Repeat(" ", margin) + "▶ click ├─ request € charged ✓ known ✗ refused ↯ reply lost ■ parcel ✉ mail")
}

// panel draws one scenario.
func panel(styles [6]lipgloss.Style, l layout, s *Stage, now Scene, width int) []string {
	title := styles[bold].Render(s.scenario.Name) + styles[faint].Render("  "+s.scenario.Title+state(now))
	lines := []string{lipgloss.NewStyle().MaxWidth(width - 1).Render(title)}
	row := func(name string, draw func(Snapshot, int, time.Duration) *lane) {
		lines = append(lines, styles[faint].Width(margin).Render(name)+
			draw(now.Naive, l.lane, now.Span).render(styles)+strings.Repeat(" ", gap)+
			draw(now.Protected, l.lane, now.Span).render(styles))
	}
	row("customer", customerLane)
	row("bank", bankLane)
	if l.deliver {
		row("delivery", deliveryLane)
	}
	left, right := news(now.Naive, l), news(now.Protected, l)
	for i := range l.news {
		leftInk, rightInk := faint, faint
		if now.Done && i == l.news-1 { // the last line becomes the verdict
			left[i], leftInk = verdict(now.Outcome.Naive.Wrong(), l)
			right[i], rightInk = verdict(now.Outcome.Broken(), l)
		}
		lines = append(lines, strings.Repeat(" ", margin)+
			styles[leftInk].Width(l.lane+gap).Render(left[i])+styles[rightInk].Render(right[i]))
	}
	return lines
}

func verdict(wrong string, l layout) (string, ink) {
	if wrong == "" {
		return "✓ right", good
	}
	return clip("✗ "+wrong, l.lane), bad
}

func state(now Scene) string {
	text := fmt.Sprintf("  0–%.0f s", now.Span.Seconds())
	if now.tries > 1 {
		text += fmt.Sprintf("  (run %d: the machine was busy)", now.tries)
	}
	return text
}

// news are the last events, as many lines as there is room for.
func news(s Snapshot, l layout) []string {
	lines := make([]string, l.news)
	events := s.Events[max(len(s.Events)-l.news, 0):]
	for i, e := range events {
		lines[i] = clip(fmt.Sprintf("%5.1f s  %s %s", e.At.Seconds(), who[e.Kind], e.Text), l.lane)
	}
	return lines
}

func clip(s string, width int) string {
	if runes := []rune(s); len(runes) > width {
		return string(runes[:width-1]) + "…"
	}
	return s
}
