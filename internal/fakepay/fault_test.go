package fakepay_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/steadfast-go/steadfast/internal/fakepay"
)

// Each row sends one keyed charge that meets the fault, waits until nothing is under way, and sends the same again.
func TestFaults(t *testing.T) {
	t.Parallel()
	const lost = 0
	rows := []struct {
		fault  string
		status int           // the client's first answer
		took   time.Duration // until it had it, or gave up
		effect int           // charges after the first request
		at     time.Duration // when the effect was, from the arrival
		again  int           // the second answer,
		replay bool          // whether it was a replay,
		total  int           // and the charges then
	}{
		{fault: "none", status: 201, effect: 1, again: 201, replay: true, total: 1},
		{fault: "latency=9s", status: 201, took: 9 * time.Second, effect: 1, at: 9 * time.Second, again: 201, replay: true, total: 1},
		{fault: "latency=45s", status: lost, took: 30 * time.Second, effect: 1, at: 45 * time.Second, again: 201, replay: true, total: 1},
		{fault: "request_lost", status: lost, again: 201, total: 1},
		{fault: "request_lost;cut=hang", status: lost, took: 30 * time.Second, again: 201, total: 1},
		{fault: "reset", status: lost, again: 201, total: 1},
		{fault: "reply_lost", status: lost, effect: 1, again: 201, replay: true, total: 1},
		{fault: "reply_lost;cut=hang", status: lost, took: 30 * time.Second, effect: 1, again: 201, replay: true, total: 1},
		{fault: "reply_lost,latency=5s", status: lost, took: 5 * time.Second, effect: 1, at: 5 * time.Second, again: 201, replay: true, total: 1},
		{fault: "reply_late;delay=20s", status: 201, took: 20 * time.Second, effect: 1, again: 201, replay: true, total: 1},
		{fault: "reply_late;delay=60s", status: lost, took: 30 * time.Second, effect: 1, again: 201, replay: true, total: 1},
		{fault: "lands_late;delay=40s", status: lost, effect: 1, at: 40 * time.Second, again: 201, replay: true, total: 1},
		{fault: "lands_late;delay=40s;cut=hang", status: lost, took: 30 * time.Second, effect: 1, at: 40 * time.Second, again: 201, replay: true, total: 1},
		{fault: "duplicate", status: 201, effect: 1, again: 201, replay: true, total: 1},
		{fault: "duplicate;delay=3s", status: 201, effect: 1, again: 201, replay: true, total: 1},
		{fault: "error_before", status: 500, again: 201, total: 1},
		{fault: "error_before;status=502", status: 502, again: 201, total: 1},
		{fault: "error_after", status: 500, effect: 1, again: 201, replay: true, total: 1},
		{fault: "error_stored", status: 500, again: 500, replay: true, total: 0},
		{fault: "error_stored;status=503", status: 503, again: 503, replay: true, total: 0},
		{fault: "error_stored_after", status: 500, effect: 1, again: 500, replay: true, total: 1},
		{fault: "rate_limited;delay=1500ms", status: 429, again: 201, total: 1},
		{fault: "key_in_use", status: 409, again: 201, total: 1},
		{fault: "decline;code=expired_card", status: 402, again: 201, total: 1},
		{fault: "accept;delay=5s", status: 202, effect: 1, again: 202, replay: true, total: 1},
		{fault: "unavailable", status: 503, again: 201, total: 1},
		{fault: "unavailable;latency=4s", status: 503, took: 4 * time.Second, again: 201, total: 1},
	}
	tried := make(map[fakepay.Kind]bool)
	for _, row := range rows {
		f, err := fakepay.ParseFault(row.fault)
		require.NoError(t, err)
		tried[f.Kind] = true
		t.Run(row.fault, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				b := open(t, fakepay.Config{})
				first := b.pay("order", "key", row.fault)
				assert.Equal(t, row.status, first.status, "the first answer: %s", first.body)
				assert.Equal(t, row.status == lost, first.lost)
				assert.Equal(t, row.took, first.took, "how long the client waited")

				l := b.settled()
				assert.Equal(t, row.effect, l.Totals.Charges, "charges after the first request")
				a := l.Attempts[0]
				assert.Equal(t, row.effect == 1, a.Effect)
				assert.Equal(t, row.status != lost, a.Delivered, "what the provider believes of the delivery")
				assert.True(t, a.Done)
				if row.effect == 1 {
					assert.Equal(t, row.at, a.EffectAt-a.At, "when it took effect")
				}

				second := b.pay("order", "key", "")
				assert.Equal(t, row.again, second.status, "the second answer: %s", second.body)
				assert.Equal(t, row.replay, second.replayed)
				assert.Equal(t, row.total, b.settled().Totals.Charges, "charges in the end")
			})
		})
	}
	for _, kind := range fakepay.Kinds()[1:] {
		assert.Truef(t, tried[kind], "no row for %s", kind)
	}
}

// The same faults where nobody remembers keys: the second request is a second charge.
func TestFaultsWithoutKeys(t *testing.T) {
	t.Parallel()
	for fault, want := range map[string]int{
		"none": 2, "request_lost": 1, "reset": 1, "reply_lost": 2, "reply_late": 2, "lands_late": 2, "duplicate": 3, "duplicate;delay=1m": 3,
		"error_before": 1, "error_after": 2, "error_stored": 1, "error_stored_after": 2, "rate_limited": 1, "key_in_use": 1,
		"decline": 1, "accept;delay=1s": 2, "unavailable": 1,
	} {
		for _, mode := range []fakepay.Mode{fakepay.Ask, fakepay.None} {
			t.Run(string(mode)+"/"+fault, func(t *testing.T) {
				t.Parallel()
				bubble(t, func(t *testing.T) {
					b := open(t, fakepay.Config{Mode: mode})
					b.pay("order", "key", fault)
					second := b.pay("order", "key", "")
					assert.Equal(t, 201, second.status)
					assert.False(t, second.replayed)
					l := b.settled()
					assert.Equal(t, want, l.Totals.Charges)
					assert.Equal(t, int64(want)*4200, l.Totals.CapturedCents)
					ids := make(map[string]bool)
					for _, c := range l.Charges {
						ids[c.ID] = true
					}
					assert.Len(t, ids, len(l.Charges), "every charge has an id of its own")
				})
			})
		}
	}
}

func TestRetryAfterIsInWholeSecondsAndNotLess(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := open(t, fakepay.Config{})
		assert.Equal(t, "2", b.pay("a", "", "rate_limited;delay=1500ms").retryAfter)
		assert.Equal(t, "1", b.pay("b", "", "rate_limited").retryAfter)
		assert.Empty(t, b.pay("c", "", "unavailable").retryAfter)
		assert.Equal(t, "60", b.pay("c", "", "unavailable;delay=1m").retryAfter)
	})
}

func TestScripts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := open(t, fakepay.Config{
			Faults:  []fakepay.Fault{{Kind: fakepay.Unavailable, Rate: 1}},
			Scripts: map[string][]fakepay.Fault{"order": {{Kind: fakepay.ErrorBefore}, {}}},
		})
		assert.Equal(t, 500, b.pay("order", "k", "").status, "the first request meets the first entry")
		assert.Equal(t, 429, b.pay("order", "k", "rate_limited").status, "its own fault goes first")
		assert.Equal(t, 503, b.pay("other", "l", "").status, "a script is for its reference only")
		paid := b.pay("order", "k", "")
		assert.Equal(t, 201, paid.status, "the entry was not used up by a request that brought its own")
		assert.Equal(t, 503, b.pay("order", "k", "").status, "after the script, Faults apply")

		require.NoError(t, b.srv.Script("refund:order", fakepay.Fault{Kind: fakepay.Decline}, fakepay.Fault{}))
		require.NoError(t, b.srv.Script("lookup:order", fakepay.Fault{Kind: fakepay.RateLimited}))
		assert.Equal(t, 402, b.call("POST", "/charges/"+paid.charge.ID+"/refund", "", "", nil).status)
		assert.Equal(t, 201, b.call("POST", "/charges/"+paid.charge.ID+"/refund", "", "", nil).status)
		assert.Equal(t, 429, b.call("GET", "/charges?reference=order", "", "", nil).status)
		assert.Equal(t, 200, b.call("GET", "/charges?reference=order", "", "", nil).status, "Faults leave reads alone")
		assert.Error(t, b.srv.Script("order", fakepay.Fault{Kind: "nonsense"}))
	})
}

func TestSetConditions(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := open(t, fakepay.Config{Latency: fakepay.Latency{P50: time.Second}})
		faults := []fakepay.Fault{{Kind: fakepay.Unavailable, Rate: 1}}
		require.NoError(t, b.srv.SetConditions(fakepay.Conditions{Faults: &faults}))
		faults[0].Kind = fakepay.Reset // the server keeps a copy
		assert.Equal(t, 503, b.pay("order", "", "").status)
		none := []fakepay.Fault{}
		require.NoError(t, b.srv.SetConditions(fakepay.Conditions{Faults: &none}))
		assert.Equal(t, time.Second, b.pay("order", "", "").took, "the latency was left alone")
		assert.Error(t, b.srv.SetConditions(fakepay.Conditions{Latency: &fakepay.Latency{}, Scripts: map[string][]fakepay.Fault{"a": {{Kind: "b"}}}}))
		assert.Equal(t, fakepay.Latency{P50: time.Second}, *b.srv.Conditions().Latency, "what is refused changes nothing")
	})
}

func TestFaultReads(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := open(t, fakepay.Config{FaultReads: true, Faults: []fakepay.Fault{{Kind: fakepay.Unavailable, Rate: 1}}})
		assert.Equal(t, 503, b.call("GET", "/charges", "", "", nil).status)
	})
}

func TestOutages(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := open(t, fakepay.Config{Speed: 10, Outages: []fakepay.Outage{{From: 10 * time.Second, To: 20 * time.Second}}})
		assert.Equal(t, 201, b.pay("order", "", "").status)
		time.Sleep(time.Second) // ten of the provider's
		assert.Equal(t, 503, b.pay("order", "", "").status)
		assert.Equal(t, 503, b.call("GET", "/charges", "", "", nil).status)
		require.NoError(t, b.srv.Outage(0, fakepay.Fault{}))
		assert.Equal(t, 201, b.pay("order", "", "").status, "ended by hand")
		require.NoError(t, b.srv.Outage(time.Minute, fakepay.Fault{Kind: fakepay.Reset}))
		assert.True(t, b.pay("order", "", "").lost)
		time.Sleep(6 * time.Second)
		assert.Equal(t, 201, b.pay("order", "", "").status, "over by itself")
		assert.Error(t, b.srv.Outage(-1, fakepay.Fault{}))
		assert.Error(t, b.srv.Outage(1, fakepay.Fault{Kind: "nonsense"}))
	})
}

func TestParseFault(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]fakepay.Fault{
		"reply_lost":                       {Kind: fakepay.ReplyLost},
		"reply_lost, latency=45s":          {Kind: fakepay.ReplyLost, Latency: 45 * time.Second},
		"latency=0s":                       {Latency: -1},
		"lands_late=0.5;delay=1m;cut=hang": {Kind: fakepay.LandsLate, Rate: 0.5, Delay: time.Minute, Cut: fakepay.CutHang},
		"error_after;status=504":           {Kind: fakepay.ErrorAfter, Status: 504},
		"decline;code=expired_card":        {Kind: fakepay.Decline, Code: "expired_card"},
	} {
		got, err := fakepay.ParseFault(text)
		require.NoError(t, err, text)
		assert.Equal(t, want, got, text)
		back, err := fakepay.ParseFault(got.String())
		require.NoError(t, err, got.String())
		assert.Equal(t, got.String(), back.String(), "String is read back")
	}
	for _, text := range []string{
		"nonsense", "reply_lost=2", "reply_lost=-1", "reply_lost=NaN", "reply_lost;speed=1", "delay=x", "delay=-1s", "cut=scissors", "error_after;status=200", "latency",
	} {
		_, err := fakepay.ParseFault(text)
		assert.ErrorContains(t, err, "fakepay: ", text)
	}
	mix, err := fakepay.ParseFaults("reply_lost=0.1, lands_late=0.05;delay=40s,")
	require.NoError(t, err)
	assert.Equal(t, []fakepay.Fault{{Kind: fakepay.ReplyLost, Rate: 0.1}, {Kind: fakepay.LandsLate, Rate: 0.05, Delay: 40 * time.Second}}, mix)
	_, err = fakepay.ParseFaults("reply_lost=0.6,reset=0.6")
	assert.ErrorContains(t, err, "add up to 1.2")
}
