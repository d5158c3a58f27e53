package retry_test

import (
	"context"
	"testing"
	"time"

	"github.com/steadfast-go/steadfast/retry"
)

// A call that succeeds at once: the usual case, and it must cost next to nothing. internal/bench compares it with peers.
func BenchmarkDo(b *testing.B) {
	ctx := context.Background()
	fn := func(context.Context) (int, error) { return 1, nil }
	for name, p := range map[string]retry.Policy{
		"zero":    {},
		"budget":  {Budget: retry.NewBudget(0.1, 10)},
		"elapsed": {Elapsed: time.Minute},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = retry.Do(ctx, p, fn)
			}
		})
	}
}

func BenchmarkNext(b *testing.B) {
	b.ReportAllocs()
	p := retry.Policy{Attempts: 3}
	for b.Loop() {
		s := p.Schedule()
		_, _ = s.Next(errDown)
	}
}

func BenchmarkDelay(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		retry.Policy{}.Delay(4)
	}
}
