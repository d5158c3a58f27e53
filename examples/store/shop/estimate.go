package shop

import (
	"context"
	"slices"
	"sync"
	"time"
)

// Estimate is how long recent payments took.
type Estimate struct {
	Median time.Duration
	P95    time.Duration // 19 of 20 were faster
	Of     int           // how many there were; zero: nothing can be said
}

const (
	recentPayments = 100
	estimateFor    = 2 * time.Second // it is asked for by every page that waits
)

// estimator keeps the last estimate for a while.
type estimator struct {
	mu   sync.Mutex
	at   time.Time
	last Estimate
}

// Estimate says how long recent payments took, from their intent to the bank's answer, however many attempts that needed.
func (s *Shop) Estimate(ctx context.Context) (Estimate, error) {
	e := &s.estimate
	e.mu.Lock()
	defer e.mu.Unlock()
	if time.Since(e.at) < estimateFor {
		return e.last, nil
	}
	var took []time.Duration
	err := s.db.Query(ctx, func(scan func(...any) error) error {
		var began, ended int64
		err := scan(&began, &ended)
		took = append(took, time.Duration(ended-began)*time.Microsecond)
		return err
	}, "SELECT began, ended FROM shop_payments WHERE ended IS NOT NULL ORDER BY ended DESC LIMIT ?", recentPayments)
	if err != nil {
		return Estimate{}, err
	}
	e.at, e.last = time.Now(), estimate(took)
	return e.last, nil
}

func estimate(took []time.Duration) Estimate {
	if len(took) == 0 {
		return Estimate{}
	}
	slices.Sort(took)
	at := func(share float64) time.Duration { return took[int(share*float64(len(took)-1))] }
	return Estimate{Median: at(0.5), P95: at(0.95), Of: len(took)}
}
