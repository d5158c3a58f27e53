package demo

import (
	"strings"
	"time"
	"unicode/utf8"

	"github.com/charmbracelet/lipgloss"
)

// ink is how something is drawn. The terminal's own sixteen colours, so that it fits light and dark ones.
type ink uint8

const (
	blank ink = iota
	faint
	good
	bad
	warn
	bold
)

// palette are the styles of the inks.
func palette(r *lipgloss.Renderer) [6]lipgloss.Style {
	color := func(c string) lipgloss.Style { return r.NewStyle().Foreground(lipgloss.Color(c)) }
	return [...]lipgloss.Style{
		blank: r.NewStyle(),
		faint: r.NewStyle().Faint(true),
		good:  color("2").Bold(true),
		bad:   color("1").Bold(true),
		warn:  color("3"),
		bold:  r.NewStyle().Bold(true),
	}
}

// lane is a line of a timeline: time runs from left to right.
type lane struct {
	runes []rune
	inks  []ink
	free  int // where the next label may begin
	span  time.Duration
}

func newLane(width int, span time.Duration) *lane {
	l := &lane{runes: make([]rune, width), inks: make([]ink, width), span: span}
	for i := range l.runes {
		l.runes[i] = ' '
	}
	return l
}

// column is where a time is.
func (l *lane) column(at time.Duration) int {
	return min(max(int(float64(len(l.runes)-1)*float64(at)/float64(l.span)), 0), len(l.runes)-1)
}

// fill draws over what is empty.
func (l *lane) fill(from, to time.Duration, r rune, how ink) {
	for i := l.column(from); i <= l.column(to); i++ {
		l.runes[i], l.inks[i] = r, how
	}
}

// label writes a word at its time, or after what was written before it, or as far to the right as it fits.
func (l *lane) label(at time.Duration, word string, how ink) {
	start := max(l.column(at), l.free)
	if over := start + utf8.RuneCountInString(word) - len(l.runes); over > 0 {
		start = max(start-over, 0)
	}
	runes := []rune(word)
	for i, r := range runes {
		if start+i < len(l.runes) {
			l.runes[start+i], l.inks[start+i] = r, how
		}
	}
	l.free = start + len(runes)
	if len(runes) > 1 {
		l.free++ // words are apart, signs need not be
	}
}

func (l *lane) render(styles [6]lipgloss.Style) string {
	var b strings.Builder
	for from := 0; from < len(l.runes); {
		to := from
		for to < len(l.runes) && l.inks[to] == l.inks[from] {
			to++
		}
		b.WriteString(styles[l.inks[from]].Render(string(l.runes[from:to])))
		from = to
	}
	return b.String()
}

// customerLane shows clicks, the waiting after them, and what the customer is told.
func customerLane(s Snapshot, width int, span time.Duration) *lane {
	l := newLane(width, span)
	for i, e := range s.Events {
		if e.Kind == Clicked {
			l.fill(e.At, s.until(i, Told, Left), '·', faint)
		}
	}
	last, reached := "", false
	for _, e := range s.Events {
		switch e.Kind {
		case Clicked:
			l.label(e.At, "▶", bold)
		case Told:
			word, how := e.Word, warn
			switch {
			case e.OK:
				how = good
			case e.Word == "failed":
				how = bad
			}
			if word == last {
				word = "✗"
			}
			l.label(e.At, word, how)
			last, reached = e.Word, true
		case Left:
			if !reached {
				l.label(e.At, "✗ gives up", bad)
			}
		}
	}
	return l
}

// bankLane shows requests and what came of them.
func bankLane(s Snapshot, width int, span time.Duration) *lane {
	l := newLane(width, span)
	for _, e := range s.Events {
		if e.Kind == Arrived {
			l.fill(e.At, s.over(e.N), '─', faint)
		}
	}
	charges := 0
	for _, e := range s.Events {
		switch {
		case e.Kind == Arrived:
			l.label(e.At, "├", blank)
		case e.Kind == Charged:
			charges++
			how := good
			if charges > 1 {
				how = bad
			}
			l.label(e.At, "€", how)
		case e.Kind == Lost:
			l.label(e.At, "↯", warn)
		case e.Kind == Answered && e.Again:
			l.label(e.At, "✓", good)
		case e.Kind == Answered && !e.OK:
			l.label(e.At, "✗", warn)
		}
	}
	return l
}

// deliveryLane shows what the warehouse and the post office did.
func deliveryLane(s Snapshot, width int, span time.Duration) *lane {
	l := newLane(width, span)
	for _, e := range s.Events {
		switch e.Kind {
		case Parcel:
			l.label(e.At, "■", good)
		case Mailed:
			l.label(e.At, "✉", good)
		}
	}
	return l
}

// until is when the first event of these kinds came after the i-th, or now.
func (s Snapshot) until(i int, kinds ...Kind) time.Duration {
	for _, e := range s.Events[i+1:] {
		for _, k := range kinds {
			if e.Kind == k {
				return e.At
			}
		}
	}
	return s.Now
}

// over is when the n-th request ended, or now.
func (s Snapshot) over(n int) time.Duration {
	for _, e := range s.Events {
		if e.N == n && (e.Kind == Answered || e.Kind == Lost) {
			return e.At
		}
	}
	return s.Now
}
