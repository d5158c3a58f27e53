package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"
)

// call makes one call on behalf of a caller, who is numbered from 0.
type call func(ctx context.Context, caller int) error

// round is what callers did in one round.
type round struct {
	perS      float64
	latencies []time.Duration
}

// play lets callers make calls, each one after the other, until it is over. The garbage of what ran before is collected first,
// so that each side pays for its own only.
func play(ctx context.Context, callers int, over func(since time.Duration) bool, do call) (round, error) {
	runtime.GC()
	latencies := make([][]time.Duration, callers)
	errs := make([]error, callers)
	var wg sync.WaitGroup
	start := time.Now()
	for i := range callers {
		wg.Go(func() {
			for began := start; !over(began.Sub(start)); {
				if errs[i] = do(ctx, i); errs[i] != nil {
					return
				}
				now := time.Now()
				latencies[i] = append(latencies[i], now.Sub(began))
				began = now
			}
		})
	}
	wg.Wait()
	took := time.Since(start)
	if err := errors.Join(errs...); err != nil {
		return round{}, err
	}
	all := slices.Concat(latencies...)
	return round{float64(len(all)) / took.Seconds(), all}, ctx.Err()
}

// after is when a round of this length is over.
func after(length time.Duration) func(time.Duration) bool {
	return func(since time.Duration) bool { return since >= length }
}

// side is one of the two that a case compares.
type side struct {
	do     call
	rounds []round
}

const warmUps = 2

// contest gives two sides one round each in turn, beginning with another one each time, so that a machine that slows down or
// is disturbed slows both down alike. The first rounds are not counted: connections are made in them, and statements prepared.
func contest(ctx context.Context, o options, callers int, ours, floor call) (line, error) {
	sides := []*side{{do: ours}, {do: floor}}
	for n := range warmUps + o.rounds {
		for i := range sides {
			s := sides[(n+i)%len(sides)]
			r, err := play(ctx, callers, after(o.round), s.do)
			if err != nil {
				return line{}, err
			}
			if n >= warmUps {
				s.rounds = append(s.rounds, r)
			}
		}
	}
	return compared(callers, sides[0].rounds, sides[1].rounds), nil
}

func compared(callers int, ours, floor []round) line {
	ratios := make([]float64, len(ours))
	for i := range ours {
		ratios[i] = ours[i].perS / floor[i].perS
	}
	l := line{
		Callers: callers, CallsPerS: rate(ours), FloorPerS: rate(floor),
		RatioMin: slices.Min(ratios), RatioMax: slices.Max(ratios), certain: true,
	}
	l.Ratio = l.CallsPerS / l.FloorPerS
	l.P50, l.P99 = percentiles(ours)
	l.FloorP50, l.FloorP99 = percentiles(floor)
	return l
}

// atLeast holds the ratio against a bar.
func (l *line) atLeast(ratio float64) {
	l.Bar, l.OK = fmt.Sprintf("ratio >= %.3g", ratio), l.Ratio >= ratio
}

func rate(rounds []round) float64 {
	rates := make([]float64, len(rounds))
	for i, r := range rounds {
		rates[i] = r.perS
	}
	return median(rates)
}

func median(of []float64) float64 {
	of = slices.Sorted(slices.Values(of))
	mid := len(of) / 2
	if len(of)%2 == 0 {
		return (of[mid-1] + of[mid]) / 2
	}
	return of[mid]
}

// percentiles are those of all calls of all rounds, in microseconds.
func percentiles(rounds []round) (p50, p99 float64) {
	var all []time.Duration
	for _, r := range rounds {
		all = append(all, r.latencies...)
	}
	slices.Sort(all)
	at := func(share float64) float64 {
		return float64(all[min(len(all)-1, int(float64(len(all))*share))].Nanoseconds()) / 1000
	}
	return at(0.50), at(0.99)
}
