package fakepay

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"time"
)

// z99 is the standard normal's 99th percentile: it places P99 on a lognormal's tail.
const z99 = 2.3263478740408408

// Latency is a distribution of times. The zero value is no time at all; P50 alone is constant; Min and Max alone are
// uniform; P50 and P99 are lognormal, a body with a long tail, kept within Min and, where it is not 0, Max.
type Latency struct {
	P50, P99, Min, Max time.Duration
}

// ParseLatency reads "800ms" (constant), "100ms..2s" (uniform) or "p50=800ms,p99=8s,max=60s".
func ParseLatency(s string) (Latency, error) {
	var l Latency
	s = strings.TrimSpace(s)
	if s == "" {
		return l, nil
	}
	parts := strings.Split(s, ",")
	if low, high, ok := strings.Cut(s, ".."); ok {
		parts = []string{"min=" + low, "max=" + high}
	} else if !strings.Contains(s, "=") {
		parts = []string{"p50=" + s}
	}
	err := l.set(parts)
	return l, err
}

func (l *Latency) set(parts []string) error {
	for _, part := range parts {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		d, err := time.ParseDuration(value)
		if err != nil {
			return fmt.Errorf("fakepay: latency %s is %q: use a duration as in 800ms: %w", name, value, err)
		}
		switch name {
		case "p50":
			l.P50 = d
		case "p99":
			l.P99 = d
		case "min":
			l.Min = d
		case "max":
			l.Max = d
		default:
			return fmt.Errorf("fakepay: latency parameter is %q: use p50, p99, min or max", name)
		}
	}
	return l.validate("Latency")
}

// String returns a form that ParseLatency reads.
func (l Latency) String() string {
	switch {
	case l == Latency{P50: l.P50}:
		return l.P50.String()
	case l == Latency{Min: l.Min, Max: l.Max}:
		return l.Min.String() + ".." + l.Max.String()
	}
	s := fmt.Sprintf("p50=%v,p99=%v", l.P50, l.P99)
	if l.Min != 0 {
		s += fmt.Sprintf(",min=%v", l.Min)
	}
	if l.Max != 0 {
		s += fmt.Sprintf(",max=%v", l.Max)
	}
	return s
}

// MarshalText returns what String returns.
func (l Latency) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText reads what ParseLatency reads.
func (l *Latency) UnmarshalText(text []byte) (err error) {
	*l, err = ParseLatency(string(text))
	return err
}

func (l Latency) validate(field string) error {
	switch {
	case l.P50 < 0 || l.P99 < 0 || l.Min < 0 || l.Max < 0:
		return fmt.Errorf("fakepay: %s is %v: use no negative time", field, l)
	case l.P99 != 0 && (l.P50 == 0 || l.P99 < l.P50):
		return fmt.Errorf("fakepay: %s is %v: with P99, give a P50 that is not above it", field, l)
	case l.Max != 0 && l.Max < l.Min:
		return fmt.Errorf("fakepay: %s is %v: let Max be at least Min", field, l)
	}
	return nil
}

func (l Latency) draw(r *rand.Rand) time.Duration {
	d := l.P50
	switch {
	case l.P50 == 0:
		d = l.Min + time.Duration(r.Float64()*float64(max(l.Max-l.Min, 0)))
	case l.P99 > l.P50:
		sigma := math.Log(float64(l.P99)/float64(l.P50)) / z99
		// A day bounds what the tail may do to a test that forgot Max.
		d = time.Duration(min(float64(l.P50)*math.Exp(sigma*r.NormFloat64()), float64(24*time.Hour)))
	}
	d = max(d, l.Min)
	if l.Max > 0 {
		d = min(d, l.Max)
	}
	return d
}
