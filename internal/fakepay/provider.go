package fakepay

import (
	"net/http"
	"time"
)

// provider is all that Reset replaces.
type provider struct {
	cfg        Config
	clock      clock
	activity   *activity
	conditions *conditions
	keyring    *keyring
	book       *book
	webhooks   *webhooks // nil: none
	mux        *http.ServeMux
}

func newProvider(cfg Config) *provider {
	p := &provider{
		cfg:        cfg,
		clock:      clock{start: time.Now(), speed: cfg.Speed},
		activity:   newActivity(),
		conditions: newConditions(cfg),
		keyring:    newKeyring(cfg.KeyLife),
		book:       newBook(),
	}
	if cfg.Webhook.URL != "" {
		p.webhooks = newWebhooks(cfg, p.clock, p.activity, p.book)
	}
	p.mux = p.routes()
	return p
}

func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !p.activity.enter() {
		cut(w, CutReset)
		return
	}
	defer p.activity.leave()
	p.mux.ServeHTTP(w, r)
}

// later runs f after d, whether or not anybody still waits for it.
func (p *provider) later(d time.Duration, f func()) {
	p.activity.spawn(func() {
		if p.clock.sleep(d, p.activity.done) {
			f()
		}
	})
}

// emit tells of an effect.
func (p *provider) emit(e *Event) {
	if e == nil {
		return
	}
	if p.cfg.OnEvent != nil {
		p.cfg.OnEvent(*e)
	}
	if p.webhooks != nil {
		p.webhooks.send(*e)
	}
}

func (p *provider) decide(chargeID, code string) error {
	event, refused := p.book.decide(chargeID, code, p.clock.date(p.clock.now()))
	if refused != nil {
		return refused
	}
	p.emit(event)
	return nil
}
