package breaker_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/steadfast-go/steadfast/breaker"
)

var errDown = errors.New("the service is down")

func succeed(context.Context) (int, error) { return 1, nil }

func fail(context.Context) (int, error) { return 0, errDown }

var configs = []struct {
	name string
	breaker.Config
}{
	{"window", breaker.Config{}},
	{"window+slow", breaker.Config{SlowCall: time.Second}},
	{"last calls", breaker.Config{LastCalls: 100}},
}

// Calls that succeed, through a closed breaker. Run it with -cpu 1,2,4: the time per call of a window must not rise.
func BenchmarkDoClosed(b *testing.B) {
	for _, c := range configs {
		b.Run(c.name, func(b *testing.B) {
			br := breaker.New(c.Config)
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					_, _ = breaker.Do(context.Background(), br, succeed)
				}
			})
		})
	}
}

func BenchmarkAllowClosed(b *testing.B) {
	for _, c := range configs {
		b.Run(c.name, func(b *testing.B) {
			br := breaker.New(c.Config)
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					done, err := br.Allow()
					if err != nil {
						b.Error(err)
						return
					}
					done(nil)
				}
			})
		})
	}
}

// A failure is judged at once: the shards are added up.
func BenchmarkDoFailing(b *testing.B) {
	br := breaker.New(breaker.Config{FailureRate: 0.999})
	for range 1000 {
		_, _ = breaker.Do(context.Background(), br, succeed)
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			_, _ = breaker.Do(context.Background(), br, fail)
			_, _ = breaker.Do(context.Background(), br, succeed)
		}
	})
}

func BenchmarkDoOpen(b *testing.B) {
	br := breaker.New(breaker.Config{OpenFor: time.Hour})
	br.Trip()
	b.ReportAllocs()
	for b.Loop() {
		_, _ = breaker.Do(context.Background(), br, succeed)
	}
}

func BenchmarkAllowOpen(b *testing.B) {
	br := breaker.New(breaker.Config{OpenFor: time.Hour})
	br.Trip()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := br.Allow(); err == nil {
			b.Fatal("let through")
		}
	}
}

func BenchmarkSetGet(b *testing.B) {
	s := breaker.NewSet[string](breaker.Config{}, 10)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			s.Get("eu")
		}
	})
}
