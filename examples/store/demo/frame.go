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
func frame(r *lipgloss.Renderer, stages []*stage, scenes []scene, width, height int) string {
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
func panel(styles [6]lipgloss.Style, l layout, s *stage, now scene, width int) []string {
	span := max(s.scenario.span, now.naive.now, now.protected.now)
	title := styles[bold].Render(s.scenario.Name) + styles[faint].Render("  "+s.scenario.Title+state(now, span))
	lines := []string{lipgloss.NewStyle().MaxWidth(width - 1).Render(title)}
	row := func(name string, draw func(snapshot, int, time.Duration) *lane) {
		lines = append(lines, styles[faint].Width(margin).Render(name)+
			draw(now.naive, l.lane, span).render(styles)+strings.Repeat(" ", gap)+
			draw(now.protected, l.lane, span).render(styles))
	}
	row("customer", customerLane)
	row("bank", bankLane)
	if l.deliver {
		row("delivery", deliveryLane)
	}
	left, right := news(now.naive, l), news(now.protected, l)
	for i := range l.news {
		leftInk, rightInk := faint, faint
		if now.done && i == l.news-1 { // the last line becomes the verdict
			left[i], leftInk = verdict(now.outcome.Naive.Wrong(), l)
			right[i], rightInk = verdict(now.outcome.Broken(), l)
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

func state(now scene, span time.Duration) string {
	text := fmt.Sprintf("  0–%.0f s", span.Seconds())
	if now.tries > 1 {
		text += fmt.Sprintf("  (run %d: the machine was busy)", now.tries)
	}
	return text
}

// news are the last events, as many lines as there is room for.
func news(s snapshot, l layout) []string {
	lines := make([]string, l.news)
	events := s.events[max(len(s.events)-l.news, 0):]
	for i, e := range events {
		lines[i] = clip(fmt.Sprintf("%5.1f s  %s %s", e.at.Seconds(), who[e.kind], e.text), l.lane)
	}
	return lines
}

func clip(s string, width int) string {
	if runes := []rune(s); len(runes) > width {
		return string(runes[:width-1]) + "…"
	}
	return s
}
