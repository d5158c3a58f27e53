package integration_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/store/memstore"
)

// The statements that say in SQL what transitions say in Go, and all the rest: the same requests, at random, to a database and
// to memory get the same answers, and leave the same records.
func TestAnswersAsMemory(t *testing.T) {
	each(t, func(t *testing.T, d database) {
		s := d.store(t, d.open(t))
		for seed := range uint64(30) {
			m := &twins{T: t, a: memstore.New(memstore.Config{}), b: s, r: rand.New(rand.NewPCG(seed, 1)), seed: seed}
			for range 40 {
				m.step()
			}
		}
	})
}

// twins are two stores that are asked the same.
type twins struct {
	*testing.T
	a, b   idempotency.Store
	r      *rand.Rand
	seed   uint64
	tokens int
	leases []idempotency.Lease
	did    []string
}

func (m *twins) id() idempotency.ID {
	return idempotency.ID{Operation: fmt.Sprint("model ", m.seed), Key: fmt.Sprint(m.r.IntN(3))}
}

func (m *twins) token() idempotency.Token {
	m.tokens++
	return token(int(m.seed)*1000 + m.tokens)
}

// lease is one that was held once, or none.
func (m *twins) lease() idempotency.Lease {
	if len(m.leases) == 0 || m.r.IntN(8) == 0 {
		return idempotency.Lease{ID: m.id(), Fence: uint64(m.r.IntN(4)), Token: m.token()}
	}
	return m.leases[max(0, len(m.leases)-1-m.r.IntN(4))]
}

func (m *twins) step() {
	m.Helper()
	coin := func() bool { return m.r.IntN(2) == 0 }
	due := []time.Duration{0, 0, 0, time.Hour, idempotency.Never}[m.r.IntN(5)]
	switch m.r.IntN(10) {
	case 0, 1, 2:
		c := claim("", 0)
		c.ID, c.Token, c.Mode, c.Sending = m.id(), m.token(), idempotency.ClaimMode([]int{0, 0, 0, 1, 2}[m.r.IntN(5)]), coin()
		c.Notify = coin()
		c.Request = []byte(fmt.Sprint("request ", m.tokens))
		if r, err := m.a.Get(m.Context(), c.ID); err == nil && m.r.IntN(4) > 0 {
			c.Fence, c.Lapsed = r.Fence, r.Lapsed
		}
		ra := m.same(fmt.Sprintf("Acquire %+v", c), func(s idempotency.Store) (idempotency.Record, error) { return s.Acquire(m.Context(), c) })
		if ra.Owned {
			m.leases = append(m.leases, idempotency.Lease{ID: ra.ID, Fence: ra.Fence, Token: c.Token})
		}
	case 3, 4, 5:
		l, o := m.lease(), m.outcome(due)
		m.same(fmt.Sprintf("Settle %+v %+v", l, o), func(s idempotency.Store) (idempotency.Record, error) { return s.Settle(m.Context(), l, o) })
	case 6, 7:
		l, o := m.lease(), m.outcome(due)
		l.Token = idempotency.Token{}
		switch m.r.IntN(3) {
		case 0:
			l.Fence, o.State = 0, idempotency.StateCancelled
		case 1:
			o.State = idempotency.StateSucceeded
		}
		m.same(fmt.Sprintf("verdict %+v %+v", l, o), func(s idempotency.Store) (idempotency.Record, error) { return s.Settle(m.Context(), l, o) })
	case 8:
		l, sending, d := m.lease(), coin(), []time.Duration{time.Hour, time.Millisecond}[m.r.IntN(2)]
		m.same(fmt.Sprintf("Extend %+v %v %v", l, d, sending), func(s idempotency.Store) (idempotency.Record, error) {
			stands, err := s.Extend(m.Context(), []idempotency.Lease{l}, d, sending)
			if err == nil && !stands[0] {
				err = errors.New("it does not stand")
			}
			return idempotency.Record{}, err
		})
		if d < time.Hour {
			time.Sleep(4 * time.Millisecond) // run out in both
		}
	case 9:
		c := idempotency.DueClaim{Operation: m.id().Operation, Token: m.token(), Lease: time.Hour, N: 10}
		taken := map[idempotency.ID]idempotency.Record{}
		a, err := m.a.AcquireDue(m.Context(), c)
		b, err2 := m.b.AcquireDue(m.Context(), c)
		for _, r := range a {
			taken[r.ID] = r
			m.leases = append(m.leases, idempotency.Lease{ID: r.ID, Fence: r.Fence, Token: c.Token})
		}
		m.did = append(m.did, fmt.Sprintf("AcquireDue %+v", c))
		if err != nil || err2 != nil || len(a) != len(b) {
			m.fail("memory gives %d (%v), the database %d (%v)", len(a), err, len(b), err2)
		}
		for _, r := range b {
			m.compare(taken[r.ID], r)
		}
	}
	for key := range 3 {
		id := idempotency.ID{Operation: m.id().Operation, Key: fmt.Sprint(key)}
		m.same("Get "+id.Key, func(s idempotency.Store) (idempotency.Record, error) { return s.Get(m.Context(), id) })
		m.did = m.did[:len(m.did)-1]
	}
}

func (m *twins) outcome(due time.Duration) idempotency.Outcome {
	states := []idempotency.State{
		idempotency.StateFree, idempotency.StateScheduled, idempotency.StateAccepted, idempotency.StateUnknown, idempotency.StateAbandoned,
		idempotency.StateSucceeded, idempotency.StateRejected, idempotency.StateCancelled,
	}
	o := idempotency.Outcome{
		State: states[m.r.IntN(len(states))], Attempts: m.r.IntN(2), Due: due, Notify: m.r.IntN(2) == 0, ReplayedError: m.r.IntN(4) == 0,
		Ambiguous: m.r.IntN(2) == 0, Code: "code", Message: fmt.Sprint("message ", m.tokens),
		NotifyIn: []time.Duration{0, time.Hour}[m.r.IntN(2)],
	}
	o.Ambiguous = o.Ambiguous || o.State == idempotency.StateUnknown
	if m.r.IntN(3) == 0 {
		o.Ref, o.Value = fmt.Sprint("ref ", m.tokens), []byte("value")
	}
	return o
}

// same asks both stores.
func (m *twins) same(what string, ask func(idempotency.Store) (idempotency.Record, error)) idempotency.Record {
	m.Helper()
	m.did = append(m.did, what)
	a, errA := ask(m.a)
	b, errB := ask(m.b)
	for _, kind := range []error{idempotency.ErrNoRecord, idempotency.ErrLeaseLost, idempotency.ErrConflict} {
		if errors.Is(errA, kind) != errors.Is(errB, kind) {
			m.fail("memory says %v, the database %v", errA, errB)
		}
	}
	if (errA == nil) != (errB == nil) {
		m.fail("memory says %v, the database %v", errA, errB)
	}
	m.compare(a, b)
	return a
}

func (m *twins) compare(a, b idempotency.Record) {
	m.Helper()
	x, y := reflect.ValueOf(a), reflect.ValueOf(b)
	for i := range x.NumField() {
		var same bool
		switch v := x.Field(i).Interface().(type) {
		case []byte:
			same = bytes.Equal(v, y.Field(i).Bytes())
		case time.Duration:
			w := time.Duration(y.Field(i).Int())
			same = v == w || v != idempotency.Never && w != idempotency.Never && (v-w).Abs() < 10*time.Second
		default:
			same = v == y.Field(i).Interface()
		}
		if !same {
			m.fail("%s: memory has %v, the database %v", x.Type().Field(i).Name, x.Field(i), y.Field(i))
		}
	}
}

func (m *twins) fail(format string, args ...any) {
	m.Helper()
	for _, what := range m.did {
		m.Log(what)
	}
	m.Fatalf("seed %d: %s", m.seed, fmt.Sprintf(format, args...))
}
