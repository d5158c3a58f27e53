package fakepay

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"time"
)

// webhooks sends events. A delivery that is not answered with 2xx is tried again, until Webhook.Attempts.
type webhooks struct {
	cfg      Webhook
	seed     uint64
	client   *http.Client
	clock    clock
	activity *activity
	book     *book
	slots    chan struct{} // bounds the requests under way
}

func newWebhooks(cfg Config, c clock, a *activity, b *book) *webhooks {
	client := cfg.Webhook.Client
	if client == nil {
		// No connection is kept: none is left behind when the server closes.
		client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	}
	return &webhooks{cfg: cfg.Webhook, seed: cfg.Seed, client: client, clock: c, activity: a, book: b, slots: make(chan struct{}, 16)}
}

// send delivers an event in the background, once or twice.
func (h *webhooks) send(e Event) {
	h.activity.spawn(func() { h.deliver(e, false) })
	if stream(h.seed, 0, "duplicate", e.ID).Float64() < h.cfg.Duplicate {
		h.activity.spawn(func() { h.deliver(e, true) })
	}
}

func (h *webhooks) deliver(e Event, isCopy bool) {
	purpose := "delay"
	if isCopy {
		purpose = "delay of the copy"
	}
	body, header := marshal(e), SignatureHeader
	if e.stripe != nil {
		body, header = marshal(e.stripe), StripeSignatureHeader
	}
	wait := h.cfg.Delay.draw(stream(h.seed, 0, purpose, e.ID))
	for n := 1; n <= h.cfg.Attempts; n++ {
		if !h.clock.sleep(wait, h.activity.done) {
			return
		}
		d := h.book.delivering(Delivery{EventID: e.ID, Type: e.Type, ChargeID: e.Charge.ID, At: h.clock.now(), Number: n, Copy: isCopy})
		status := h.post(body, header)
		h.book.delivered(d, status)
		if status/100 == 2 {
			return
		}
		wait = min(h.cfg.Backoff<<(n-1), time.Hour)
	}
}

func marshal(body any) []byte {
	b, err := json.Marshal(body)
	if err != nil {
		panic(err) // our own types
	}
	return b
}

// post returns the status of the answer, 0 if there is none.
func (h *webhooks) post(body []byte, header string) int {
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
	case <-h.activity.done:
		return 0
	}
	ctx, cancel := context.WithTimeout(context.Background(), h.clock.real(h.cfg.Timeout))
	defer cancel()
	go func() {
		select {
		case <-h.activity.done:
			cancel()
		case <-ctx.Done():
		}
	}()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.cfg.URL, bytes.NewReader(body))
	if err != nil {
		return 0
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(header, Sign(h.cfg.Secret, body, time.Now()))
	resp, err := h.client.Do(req)
	if err != nil {
		return 0
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, MaxBodyBytes)) // a receiver's words are of no use, only its status
	return resp.StatusCode
}
