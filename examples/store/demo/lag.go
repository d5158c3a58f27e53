package demo

import "time"

// lag measures how late goroutines get to run. On a machine that is busy with other things a demo second is no longer
// one: a page that is answered after 3 s would seem to take 5.
type lag struct {
	quit  chan struct{}
	worst chan time.Duration
}

const lagTick = 5 * time.Millisecond

func watchLag() *lag {
	l := &lag{quit: make(chan struct{}), worst: make(chan time.Duration)}
	go l.watch()
	return l
}

func (l *lag) watch() {
	ticker := time.NewTicker(lagTick)
	defer ticker.Stop()
	worst, last := time.Duration(0), time.Now()
	for {
		select {
		case <-ticker.C:
			now := time.Now()
			worst, last = max(worst, now.Sub(last)-lagTick), now
		case <-l.quit:
			l.worst <- max(worst, time.Since(last)-lagTick)
			return
		}
	}
}

// stop ends the measurement and returns the longest lag.
func (l *lag) stop() time.Duration {
	close(l.quit)
	return <-l.worst
}
