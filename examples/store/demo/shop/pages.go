package shop

import (
	"context"
	_ "embed"
	"errors"
	"html/template"
	"net/http"

	"github.com/steadfast-go/steadfast/examples/store/bank"
	"github.com/steadfast-go/steadfast/examples/store/goods"
	"github.com/steadfast-go/steadfast/idempotency"
)

const (
	maxForm  = 8 << 10
	currency = "eur"
	visitor  = "visitor" // the cookie that says whose orders these are
)

func (s *Shop) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /orders", s.place)
	mux.HandleFunc("GET /orders/{id}", s.show)
	mux.HandleFunc("POST /orders/{id}/pay", s.pay)
	return http.MaxBytesHandler(http.NewCrossOriginProtection().Handler(mux), maxForm)
}

// pay starts the payment of an order, or joins it, and waits for a moment. Whatever happened, the answer is the order's
// page: the customer can reload it, and finds there what is known.
func (s *Shop) pay(w http.ResponseWriter, r *http.Request) {
	order, begun, err := s.orders.beginPayment(r.PathValue("id"), customerOf(r), r.FormValue("payment"), r.FormValue("card"))
	if err != nil {
		http.NotFound(w, r)
		return
	}
	if begun {
		err := s.charge(r.Context(), order, r.FormValue("card"))
		if errors.Is(err, idempotency.ErrKeyReused) {
			http.Error(w, "This payment was sent before with another card. It counts as it was sent first: go back and reload.", http.StatusConflict)
			return
		}
		if err != nil {
			// Declined, still under way, or not known; perhaps not even whether the store took the commitment. chargeSettled
			// is told in any case, since sweep starts what was not, and the page says what is known.
			s.log.Info("not paid at once", "order", order.ID, "err", err)
		}
	}
	http.Redirect(w, r, "/orders/"+order.ID, http.StatusSeeOther)
}

// charge commits to the payment, so that it is made even if this process dies, and waits for its outcome. All of it takes
// no longer than a customer likes to wait.
func (s *Shop) charge(ctx context.Context, order Order, card string) error {
	ctx, cancel := context.WithTimeout(ctx, s.timing.Wait)
	defer cancel()
	charges, payment := s.calls.charge.For(order.Customer), paymentOf(order, card)
	if _, err := charges.Start(ctx, order.Payment, payment); err != nil {
		return err
	}
	_, err := charges.Do(ctx, order.Payment, payment)
	return err
}

func paymentOf(order Order, card string) bank.Payment {
	return bank.Payment{Order: order.ID, Cents: order.Cents, Currency: currency, Card: card}
}

// place takes an order. Its payment key is made with it.
func (s *Shop) place(w http.ResponseWriter, r *http.Request) {
	email := r.FormValue("email")
	item, found := goods.Find(r.FormValue("item"))
	if email == "" || !found {
		http.Error(w, "An order needs an item and an e-mail address.", http.StatusUnprocessableEntity)
		return
	}
	customer := customerOf(r)
	if customer == "" {
		customer = idempotency.NewKey()
		http.SetCookie(w, &http.Cookie{Name: visitor, Value: customer, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode})
	}
	order := s.orders.place(customer, email, item)
	http.Redirect(w, r, "/orders/"+order.ID, http.StatusSeeOther)
}

// customerOf returns whose browser it is, or "". A cookie that place would not have set is none: so every customer is a
// scope that steadfast takes, and no payment is refused after its order says that it is under way.
func customerOf(r *http.Request) string {
	cookie, err := r.Cookie(visitor)
	if err != nil || len(cookie.Value) > idempotency.MaxKey {
		return ""
	}
	return cookie.Value
}

//go:embed order.html
var orderHTML string

var orderPage = template.Must(template.New("order").Parse(orderHTML))

// page is what the template shows.
type page struct {
	Order
	Status  string // in one word
	Text    string
	Form    bool // whether there is anything to pay
	Refresh bool // whether there will be news
}

func (s *Shop) show(w http.ResponseWriter, r *http.Request) {
	order, err := s.orders.get(r.PathValue("id"), customerOf(r))
	if err != nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store") // Back must not show an old form
	w.Header().Set("Content-Security-Policy", "default-src 'none'; form-action 'self'")
	if err := orderPage.Execute(w, s.describe(order)); err != nil {
		s.log.Info("page not delivered", "order", order.ID, "err", err)
	}
}

// describe says what is known about an order, and never more. There is a pay button only where nothing is under way.
func (s *Shop) describe(order Order) page {
	p := page{Order: order}
	switch order.State {
	case Placed:
		p.Status, p.Text, p.Form = "open", "Your order is waiting for your payment.", true
	case Paying:
		p.Status, p.Refresh = "pending", true
		p.Text = "We are still checking your payment. You can close this page, we will e-mail you. Please do not pay again."
		if s.paused() {
			p.Status = "paused"
			p.Text = "Card payments are paused at the moment. Your order is saved, we will e-mail you. Please do not pay again."
		}
	case Declined:
		p.Status, p.Text, p.Form = "declined", "Your card was declined ("+order.Decline+"). Nothing was charged. You can use another one.", true
	case Paid:
		p.Status, p.Text, p.Refresh = "paid", "Thank you, your payment has arrived. We are packing your parcel.", true
	case Shipped:
		p.Status, p.Text = "shipped", "Thank you. Your parcel "+order.Tracking+" is on its way."
	}
	return p
}
