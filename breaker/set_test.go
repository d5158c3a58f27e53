package breaker_test

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/steadfast-go/steadfast/breaker"
)

func TestSetKeepsABreakerPerKey(t *testing.T) {
	s := breaker.NewSet[string](breaker.Config{Name: "psp"}, 10)
	require.NoError(t, s.Validate())
	eu := s.Get("eu")
	assert.Same(t, eu, s.Get("eu"))
	assert.NotSame(t, eu, s.Get("us"))
	eu.Trip()
	_, err := breaker.Do(t.Context(), s.Get("eu"), succeed)
	require.ErrorIs(t, err, breaker.ErrOpen)
	assert.ErrorContains(t, err, `"psp[eu]"`)
	_, err = breaker.Do(t.Context(), s.Get("us"), succeed)
	require.NoError(t, err)
	assert.Equal(t, 2, s.Len())
}

// T32: bounded, and what is under way is not evicted.
func TestSetIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := breaker.NewSet[int](breaker.Config{OpenFor: time.Minute}, 10)
		s.Get(0).Trip()
		busy := s.Get(1)
		for key := 2; key < 1000; key++ {
			s.Get(key)
			require.LessOrEqual(t, s.Len(), 10)
			require.Same(t, busy, s.Get(1), "what is in use is kept, while others come and go: key %d", key)
		}
		assert.Equal(t, breaker.Open, s.Get(0).State(), "an open breaker is kept, however long nobody asks for it")

		time.Sleep(time.Minute)
		for key := range 100 {
			s.Get(1000 + key)
		}
		assert.Equal(t, breaker.Closed, s.Get(0).State(), "until its time is over")
	})
}

func TestSetWithoutRoomShares(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := breaker.NewSet[int](breaker.Config{OpenFor: time.Minute}, 100)
		for key := range 100 {
			s.Get(key).Trip()
		}
		spare := s.Get(100)
		assert.Same(t, spare, s.Get(101))
		assert.Equal(t, breaker.Closed, spare.State(), "new keys are not punished for the old ones")
		assert.Equal(t, 100, s.Len())
		assert.Equal(t, breaker.Open, s.Get(5).State())

		time.Sleep(time.Minute)
		assert.NotSame(t, spare, s.Get(100), "there is room again")
	})
}

func TestSetIsSafeForConcurrentUse(t *testing.T) {
	s := breaker.NewSet[string](breaker.Config{MinCalls: 1}, 8)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 500 {
				_, _ = breaker.Do(t.Context(), s.Get(fmt.Sprint((i*j)%20)), fail)
				s.Len()
			}
		})
	}
	wg.Wait()
	assert.Equal(t, 8, s.Len())
}

func TestAnInvalidSetRefusesEveryCall(t *testing.T) {
	for says, s := range map[string]*breaker.Set[string]{
		"Config.OpenFor is -1ns":     breaker.NewSet[string](breaker.Config{OpenFor: -1}, 1),
		"maximum of NewSet is 0":     breaker.NewSet[string](breaker.Config{}, 0),
		"maximum of NewSet is -1000": breaker.NewSet[string](breaker.Config{}, -1000),
	} {
		require.ErrorContains(t, s.Validate(), says)
		refusesEverything(t, s.Get("eu"), says)
		assert.Zero(t, s.Len())
	}
}

// talkative is a key whose String asks the set that it is made for.
type talkative struct {
	set **breaker.Set[talkative]
	n   int
}

func (k talkative) String() string { return fmt.Sprint("key ", k.n, " of ", (*k.set).Len()+1) }

// A key's String is not the set's code: called under the set's lock, one that asks the set waits for ever.
func TestSetCallsNoKeyUnderItsLock(t *testing.T) {
	s := breaker.NewSet[talkative](breaker.Config{Name: "psp"}, 3)
	done := make(chan error, 1)
	go func() {
		b := s.Get(talkative{&s, 1})
		b.Trip()
		_, err := breaker.Do(t.Context(), b, succeed)
		done <- err
	}()
	select {
	case err := <-done:
		require.ErrorIs(t, err, breaker.ErrOpen)
		assert.ErrorContains(t, err, "psp[key 1 of 1]")
	case <-time.After(10 * time.Second):
		t.Fatal("Set.Get does not return: it calls the key's String under its lock")
	}
}
