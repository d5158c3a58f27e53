package fakepay

import (
	"math"
	"time"
)

// clock is provider time: Speed times as fast as real time, zero when the provider began.
type clock struct {
	start time.Time
	speed float64
}

func (c clock) now() time.Duration {
	return time.Duration(float64(time.Since(c.start)) * c.speed)
}

// date is a provider time as it is shown to clients.
func (c clock) date(t time.Duration) time.Time { return c.start.Add(t).UTC() }

// real is how long d takes on a wall clock.
func (c clock) real(d time.Duration) time.Duration {
	return time.Duration(min(float64(d)/c.speed, math.MaxInt64/2))
}

// sleep waits for d of provider time, and reports false if done was closed before it was over.
func (c clock) sleep(d time.Duration, done <-chan struct{}) bool {
	if d <= 0 {
		select {
		case <-done:
			return false
		default:
			return true
		}
	}
	t := time.NewTimer(c.real(d))
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-done:
		return false
	}
}
