package lab

import (
	"context"
	"errors"
	"sync"

	"github.com/steadfast-go/steadfast/examples/store/demo"
)

// errBusy says that enough runs play.
var errBusy = errors.New("lab: as many runs play as may: wait for one to end")

// errClosed says that the lab is closed.
var errClosed = errors.New("lab: closed")

// run is one run, while it plays and after that.
type run struct {
	stage *demo.Stage
	over  chan struct{} // closed when nothing will change any more

	mu       sync.Mutex
	settings Settings // with what was done to it: a kill
	was      string   // its query before that
	err      error
}

// runs are the runs by their settings. Those that are over are forgotten, oldest first, when there are too many.
type runs struct {
	maxPlaying, maxKept int

	// What plays goes on when the visitor who started it has gone: it ends with the lab.
	play func(*run)
	end  context.CancelFunc

	mu      sync.Mutex
	closed  bool
	playing int
	kept    map[string]*run // by their settings' query
	order   []string        // oldest first
	players sync.WaitGroup
}

func newRuns(maxPlaying, maxKept int) *runs {
	ctx, end := context.WithCancel(context.Background())
	return &runs{
		maxPlaying: maxPlaying, maxKept: maxKept, end: end, kept: make(map[string]*run),
		play: func(r *run) {
			_, err := r.stage.Show(ctx)
			r.fail(err)
		},
	}
}

// start starts a run, or joins the one that plays with the same settings.
func (s *runs) start(settings Settings) (*run, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	query := settings.Query()
	if r := s.kept[query]; r != nil && r.plays() {
		return r, nil
	}
	switch {
	case s.closed:
		return nil, errClosed
	case s.playing == s.maxPlaying:
		return nil, errBusy
	}
	stage, err := settings.stage()
	if err != nil {
		return nil, err
	}
	r := &run{stage: stage, over: make(chan struct{}), settings: settings}
	s.keep(query, r)
	s.playing++
	s.players.Go(func() {
		s.play(r)
		s.mu.Lock()
		s.playing--
		s.mu.Unlock()
		close(r.over)
	})
	return r, nil
}

// keep remembers a run, in the place of what had the same settings, and forgets the oldest of those that are over.
func (s *runs) keep(query string, r *run) {
	s.forget(query)
	s.kept[query] = r
	s.order = append(s.order, query)
	for i := 0; len(s.order) > s.maxKept && i < len(s.order); {
		if old := s.order[i]; s.kept[old].plays() || s.kept[old] == r {
			i++
		} else {
			s.forget(old)
		}
	}
}

func (s *runs) forget(query string) {
	delete(s.kept, query)
	for i, q := range s.order {
		if q == query {
			s.order = append(s.order[:i:i], s.order[i+1:]...)
			return
		}
	}
}

// find returns the latest run with these settings, or nil.
func (s *runs) find(settings Settings) *run {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.kept[settings.Query()]
}

// kill kills the shops of a run now, and returns the run, which is nil if there is none. From then on it is the run that
// kills them at that time, and has its link: who asks for the same again finds it.
func (s *runs) kill(settings Settings) *run {
	s.mu.Lock()
	defer s.mu.Unlock()
	query := settings.Query()
	r := s.kept[query]
	if r == nil {
		return s.killedBefore(query)
	}
	if at, killed := r.stage.Kill(); killed {
		s.forget(query)
		s.keep(r.killedAt(at).Query(), r)
	}
	return r
}

func (s *runs) killedBefore(query string) *run {
	for _, r := range s.kept {
		if r.plays() && r.before() == query {
			return r
		}
	}
	return nil
}

func (s *runs) close(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.end()
	done := make(chan struct{})
	go func() {
		s.players.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
