package web

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/steadfast-go/steadfast/examples/store/shop"
)

// The plots are drawn on the server, as SVG within the page: coordinates are computed here, the rest is the template's.

const (
	plotWidth  = 560
	plotHeight = 160
	plotDots   = 200
	labels     = 150 // how wide those of the lines are
	rateSpan   = 60  // seconds

	notSent = "not sent" // the class of what the breaker refused: the bank saw nothing of it
)

// dot is an attempt: further right is later, higher up is slower.
type dot struct {
	X, Y  float64
	Class string // of the attempt
	Title string
}

// rule is a line across the plot, with a label above it or below.
type rule struct {
	Y    float64
	DY   float64 // how far the label's foot is below it, in heights of a letter
	Text string
}

// latencyPlot shows how long the last requests to the bank took.
type latencyPlot struct {
	Dots  []dot
	Rules []rule
}

// plotLatency draws the last attempts to charge. Its scale is logarithmic: what matters is how many times slower than usual.
func plotLatency(attempts []shop.Attempt) (p latencyPlot) {
	var last []shop.Attempt
	for _, a := range slices.Backward(attempts) {
		if a.Operation == "charge" && a.Class != notSent && len(last) < plotDots {
			last = append(last, a)
		}
	}
	slices.Reverse(last)
	if len(last) == 0 {
		return p
	}
	const fastest, slowest = 0.001, 60.0 // seconds
	y := func(d time.Duration) float64 {
		share := math.Log(min(max(d.Seconds(), fastest), slowest)/fastest) / math.Log(slowest/fastest)
		return plotHeight * (1 - share)
	}
	took := make([]time.Duration, 0, len(last))
	for i, a := range last {
		x := labels + (plotWidth-labels)*(float64(i)+0.5)/float64(len(last))
		p.Dots = append(p.Dots, dot{x, y(a.Took), class(a.Class), fmt.Sprintf("%s, %s, %s", a.At.Format(time.TimeOnly), a.Class, precisely(a.Took))})
		took = append(took, a.Took)
	}
	slices.Sort(took)
	median, p95 := took[len(took)/2], took[len(took)*95/100]
	const above, below = -0.35, 1.1 // away from each other, however close the lines are
	if p95 == median {
		p.Rules = []rule{{y(median), above, "median " + precisely(median)}}
	} else {
		p.Rules = []rule{{y(median), below, "median " + precisely(median)}, {y(p95), above, "p95 " + precisely(p95)}}
	}
	return p
}

// precisely writes out a duration that may be much shorter than a customer would notice.
func precisely(d time.Duration) string {
	switch ms := d.Round(time.Millisecond); {
	case ms == 0:
		return "under 1 ms"
	case ms < time.Second:
		return fmt.Sprintf("%d ms", ms.Milliseconds())
	}
	return seconds(d)
}

func class(of string) string {
	switch of {
	case "succeeded", "accepted":
		return "good"
	case "rejected":
		return "warn"
	}
	return "bad"
}

// column is a second of the last minute.
type column struct{ X, Y, Width, Height float64 }

// ratePlot shows how many requests this process made each second.
type ratePlot struct {
	Columns []column
	Most    int // in one second
	Last    int // in the minute
}

func plotRate(attempts []shop.Attempt, now time.Time) (p ratePlot) {
	var counts [rateSpan]int
	for _, a := range attempts {
		if ago := int(now.Sub(a.At).Seconds()); ago >= 0 && ago < rateSpan && a.Class != notSent {
			counts[rateSpan-1-ago]++
			p.Last++
		}
	}
	p.Most = slices.Max(counts[:])
	const width = float64(plotWidth) / rateSpan
	for i, n := range counts {
		if n > 0 {
			height := plotHeight * float64(n) / float64(p.Most)
			p.Columns = append(p.Columns, column{float64(i) * width, plotHeight - height, width - 2, height})
		}
	}
	return p
}
