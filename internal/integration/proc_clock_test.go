package integration_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
)

// T16: two processes whose clocks are an hour apart, and some decades behind the database's, drive one call between them. Its
// lease, the life of its key, its retention and its time to be given up are all half an hour or less, and would be over for the one
// or not have begun for the other, were anything but the database's clock compared.
func TestClocksAnHourApart(t *testing.T) {
	eachServed(t, func(t *testing.T, d database) {
		db := d.open(t)
		name := table(t, db)
		d.storeOn(t, db, name)
		early := spawn(t, d, role{Part: "clock", Table: name, Key: "k", Ahead: time.Nanosecond})
		late := spawn(t, d, role{Part: "clock", Table: name, Key: "k", Ahead: time.Hour})
		apart := late.want("ready").Took - early.want("ready").Took
		if (apart - time.Hour).Abs() > time.Minute {
			t.Fatalf("the clocks are %v apart", apart)
		}

		early.tell("do")
		key := early.want("sending").Key

		// To the other one, it runs: nothing has run out.
		late.tell("status")
		if e := late.want("running"); e.Took.Abs() > slack {
			t.Errorf("sent just now, the call is %v old to the process whose clock is ahead", e.Took)
		}
		late.tell("recover")
		if e := late.want("recovered"); e.N != 0 {
			t.Errorf("the process whose clock is ahead took %d calls from who has the lease", e.N)
		}
		late.tell("do")
		late.want("pending")

		// No answer comes. The key still lives, so the other one sends again.
		early.tell("lost")
		early.want("unknown")
		eventually(t, func() bool {
			late.tell("recover")
			e := late.next()
			if e.What == "recovered" {
				if e.N > 0 {
					t.Errorf("it was taken up and not sent again")
				}
				return e.N > 0
			}
			if e.What != "sending" || e.Key != key || e.Took.Abs() > slack {
				t.Errorf("it says %+v, want a sending with %s, first sent just now", e, key)
			}
			late.tell("paid")
			late.want("recovered")
			return true
		})
		for _, p := range []*process{late, early} {
			p.tell("do")
			if e := p.want("paid"); e.Text != "book of k" || e.Took.Abs() > slack {
				t.Errorf("settled just now, the value is %q, and settled %v ago", e.Text, e.Took)
			}
			p.tell("purge")
			if e := p.want("purged"); e.N != 0 {
				t.Errorf("%d records are purged half an hour too early", e.N)
			}
			p.end()
		}
	})
}

// slack is how long something may have taken that was done just now.
const slack = 20 * time.Second

// kind is an error in a word.
func kind(err error) string {
	var pending *idempotency.PendingError
	var unknown *idempotency.UnknownError
	switch {
	case errors.As(err, &pending):
		return "pending"
	case errors.As(err, &unknown):
		return "unknown"
	}
	return "failed"
}

func playClock(t *testing.T, p *player) {
	const half = 30 * time.Minute
	w := wrap(t, p.store, func(_ context.Context, a idempotency.Attempt, in order) (receipt, error) {
		p.say(event{What: "sending", Key: a.Key, Took: time.Since(a.FirstSent)})
		if p.hear() == "lost" {
			return receipt{}, errNoAnswer
		}
		return charged(a, in), nil
	}, func(c *call) {
		c.Namespace, c.KeyLife, c.Retention, c.StubFor, c.GiveUp = "test", half, half, half, half
		c.CacheBytes = -1
	})
	if _, err := p.store.Get(t.Context(), idempotency.ID{Operation: "charge", Key: p.Key}); err == nil { // it is open
		t.Fatal("there is a record")
	}
	p.say(event{What: "ready", Took: time.Since(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC))})
	for p.in.Scan() {
		switch word := p.in.Text(); word {
		case "do":
			// In the bubble this time passes as soon as nobody is busy.
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			res, err := w.Do(ctx, p.Key, order{"book"})
			cancel()
			e := event{What: "paid", Text: res.Value.ID, Took: time.Since(res.SettledAt)}
			if err != nil {
				e = event{What: kind(err), Text: err.Error()}
			}
			p.say(e)
		case "status":
			st, err := w.Status(t.Context(), p.Key)
			if err != nil {
				t.Fatal(err)
			}
			p.say(event{What: st.State.String(), Took: st.Age})
		case "recover":
			n, err := w.Recover(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			p.say(event{What: "recovered", N: n})
		case "purge":
			n, err := p.store.Purge(t.Context(), 100)
			if err != nil {
				t.Fatal(err)
			}
			p.say(event{What: "purged", N: n})
		}
	}
}
