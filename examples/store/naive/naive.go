// Package naive is the same shop as such shops are mostly written. Nothing in it is silly: it waits patiently, tries again
// when the bank does not answer, never ships twice, and confirms every order. It goes wrong all the same, since it takes
// "no answer" for "did not happen" and each click for a new wish.
package naive

import (
	"bytes"
	"context"
	"crypto/rand"
	_ "embed"
	"encoding/json"
	"errors"
	"html/template"
	"net/http"
	"sync"
	"time"

	"github.com/steadfast-go/steadfast/examples/store/database"
	"github.com/steadfast-go/steadfast/examples/store/goods"
	"github.com/steadfast-go/steadfast/examples/store/mail"
	"github.com/steadfast-go/steadfast/internal/fakepay"
)

// Warehouse sends a parcel for an order.
type Warehouse interface {
	Ship(ctx context.Context, key, order string) (tracking string, err error)
}

// Config is what the shop needs.
type Config struct {
	BankURL   string
	Warehouse Warehouse
	Mail      mail.Sender
	Timeout   time.Duration // of a request to the bank; the usual 30 s
	Pause     time.Duration // between two tries; the usual second
}

// Shop is the shop.
type Shop struct {
	Config
	client *http.Client

	mu     sync.Mutex
	orders map[string]*order
	db     *database.DB // nil: orders are forgotten when the process ends
}

type order struct {
	ID     string
	Email  string
	Item   goods.Item
	Status string // open, paid, declined or failed
	Thanks bool   // the thank-you page was shown
}

// New opens a shop.
func New(c Config) *Shop {
	return &Shop{
		Config: c,
		client: &http.Client{Timeout: c.Timeout, Transport: &http.Transport{}},
		orders: make(map[string]*order),
	}
}

// Close closes idle connections.
func (s *Shop) Close() { s.client.CloseIdleConnections() }

// Handler serves the shop's pages.
func (s *Shop) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /orders", s.place)
	mux.HandleFunc("GET /orders/{id}", s.show)
	mux.HandleFunc("POST /orders/{id}/pay", s.pay)
	mux.HandleFunc("GET /orders/{id}/thanks", s.thanks)
	return mux
}

// pay charges the card, ships the order, and sends the customer to the thank-you page.
func (s *Shop) pay(w http.ResponseWriter, r *http.Request) {
	o, ok := s.find(r.PathValue("id"))
	if !ok {
		http.NotFound(w, r)
		return
	}
	status, next := "paid", "/orders/"+o.ID+"/thanks"
	if err := s.charge(o, r.FormValue("card")); errors.Is(err, errDeclined) {
		status, next = "declined", "/orders/"+o.ID
	} else if err != nil {
		status, next = "failed", "/orders/"+o.ID
	}
	was, err := s.set(o.ID, status)
	if err == nil && status == "paid" && was != "paid" { // never ship twice
		err = s.ship(o)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	http.Redirect(w, r, next, http.StatusSeeOther)
}

// thanks confirms the order, on the page and by e-mail.
func (s *Shop) thanks(w http.ResponseWriter, r *http.Request) {
	o, ok := s.find(r.PathValue("id"))
	if !ok {
		http.NotFound(w, r)
		return
	}
	first, err := s.firstThanks(o.ID)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	if first {
		// The page is more important than the e-mail: if that fails, so be it.
		_ = s.Mail.Send(r.Context(), mail.Message{ID: rand.Text(), To: o.Email, Status: "paid", Subject: "Thank you for your order"})
	}
	render(w, o)
}

var errDeclined = errors.New("declined")

// charge takes the money. Payments are important, so it tries three times.
func (s *Shop) charge(o order, card string) (err error) {
	for try := range 3 {
		if try > 0 {
			time.Sleep(s.Pause) //nolint:forbidigo // as such shops are written
		}
		if err = s.chargeOnce(o, card); err == nil || errors.Is(err, errDeclined) {
			return err
		}
	}
	return err
}

func (s *Shop) chargeOnce(o order, card string) error {
	body, err := json.Marshal(fakepay.ChargeRequest{AmountCents: o.Item.Cents, Currency: "eur", Source: card, Reference: o.ID})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, s.BankURL+"/charges", bytes.NewReader(body))
	if err != nil {
		return err
	}
	res, err := s.client.Do(req)
	if err != nil {
		return err // a timeout, a broken connection: the payment has failed
	}
	_ = res.Body.Close()
	switch res.StatusCode {
	case http.StatusCreated:
		return nil
	case http.StatusPaymentRequired:
		return errDeclined
	}
	return errors.New("the bank answered " + res.Status)
}

// ship sends the parcel. A warehouse that wants a key gets one.
func (s *Shop) ship(o order) (err error) {
	if _, err = s.Warehouse.Ship(context.Background(), rand.Text(), o.ID); err != nil {
		_, err = s.set(o.ID, "failed")
	}
	return err
}

func (s *Shop) place(w http.ResponseWriter, r *http.Request) {
	item, found := goods.Find(r.FormValue("item"))
	if !found {
		http.NotFound(w, r)
		return
	}
	id, err := s.add(item, r.FormValue("email"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	http.Redirect(w, r, "/orders/"+id, http.StatusSeeOther)
}

func (s *Shop) show(w http.ResponseWriter, r *http.Request) {
	o, ok := s.find(r.PathValue("id"))
	if !ok {
		http.NotFound(w, r)
		return
	}
	render(w, o)
}

//go:embed order.html
var orderHTML string

var orderPage = template.Must(template.New("order").Parse(orderHTML))

func render(w http.ResponseWriter, o order) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = orderPage.Execute(w, o) // the customer has gone
}
