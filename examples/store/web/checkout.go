package web

import (
	"errors"
	"net/http"
	netmail "net/mail"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/steadfast-go/steadfast/examples/store/bank"
	"github.com/steadfast-go/steadfast/examples/store/shop"
)

// checkoutPage is the form that places an order and pays for it.
type checkoutPage struct {
	shop.Basket
	Form   shop.Form
	Errors map[string]string // by field
}

// checkout shows the form. It carries the key of the payment that it is about to make, which was made with the basket: so
// loading it again, going back to it and opening it in a second tab all mean the same payment.
func (s *Site) checkout(w http.ResponseWriter, r *http.Request) {
	s.showCheckout(w, r, http.StatusOK, shop.Form{}, nil)
}

func (s *Site) showCheckout(w http.ResponseWriter, r *http.Request, status int, filled shop.Form, wrong map[string]string) {
	customer := customerOf(r)
	if customer == "" {
		http.Redirect(w, r, "/basket", http.StatusSeeOther)
		return
	}
	basket, err := s.Shop.BeginCheckout(r.Context(), customer)
	switch {
	case err != nil:
		s.failed(w, r, err)
	case len(basket.Lines) == 0:
		s.orderedBefore(w, r, customer)
	default:
		// Going back may show the page as it was: its form is worth no less than a new one.
		w.Header().Set("Cache-Control", "private, no-cache")
		s.render(w, r, status, "checkout", checkoutPage{basket, filled, wrong})
	}
}

// orderedBefore answers who asks for the checkout of an empty basket. Most have just ordered what was in it, and load the
// page that says "Paying…" again: their order's page tells them that nothing was charged twice.
func (s *Site) orderedBefore(w http.ResponseWriter, r *http.Request, customer string) {
	const justNow = 15 * time.Minute
	orders, err := s.Shop.Orders(r.Context(), customer)
	switch {
	case err != nil:
		s.failed(w, r, err)
	case len(orders) > 0 && time.Since(orders[0].Created) < justNow:
		http.Redirect(w, r, pageOf(orders[0].ID, true), http.StatusSeeOther)
	default:
		http.Redirect(w, r, "/basket", http.StatusSeeOther) // it says that it is empty
	}
}

// submit places the order, and waits a moment for its payment. Whatever came of it, the answer is the order's page, which
// says what is known: it can be reloaded, closed and opened again.
func (s *Site) submit(w http.ResponseWriter, r *http.Request) {
	if !s.form(w, r) {
		return
	}
	f, wrong := readForm(r.PostForm)
	if len(wrong) > 0 {
		s.showCheckout(w, r, http.StatusUnprocessableEntity, f, wrong)
		return
	}
	customer := customerOf(r)
	order, again, err := s.Shop.Submit(r.Context(), customer, f)
	if err != nil {
		s.refuse(w, r, order, err)
		return
	}
	s.showPayment(w, r, customer, order, again)
}

// payAgain pays for an order with another card, after one was declined.
func (s *Site) payAgain(w http.ResponseWriter, r *http.Request) {
	if !s.form(w, r) {
		return
	}
	customer, order, card := customerOf(r), r.PathValue("id"), r.PostFormValue("card")
	if !bank.Known(card) {
		s.problem(w, r, http.StatusUnprocessableEntity, "Please choose a card", "Nothing was charged.")
		return
	}
	again, err := s.Shop.PayAgain(r.Context(), customer, order, r.PostFormValue("payment"), card)
	if err != nil {
		s.refuse(w, r, order, err)
		return
	}
	s.showPayment(w, r, customer, order, again)
}

func (s *Site) showPayment(w http.ResponseWriter, r *http.Request, customer, order string, again bool) {
	if err := s.Shop.Await(r.Context(), customer, order); err != nil {
		s.Log.Error("waiting for a payment failed, which goes on", "order", order, "err", err)
	}
	http.Redirect(w, r, pageOf(order, again), http.StatusSeeOther)
}

// pageOf is where an order's page is; again for who has sent its form again.
func pageOf(order string, again bool) string {
	page := "/orders/" + url.PathEscape(order)
	if again {
		page += "?again=1"
	}
	return page
}

// refuse says why nothing was charged by a form.
func (s *Site) refuse(w http.ResponseWriter, r *http.Request, order string, err error) {
	var out *shop.SoldOutError
	switch {
	case errors.Is(err, shop.ErrNoOrder):
		s.notFound(w, r)
	case errors.Is(err, shop.ErrNoCheckout):
		s.problem(w, r, http.StatusUnprocessableEntity, "This form is no longer valid",
			"Nothing was charged by it. Your orders and your basket show how things stand.")
	case errors.Is(err, shop.ErrBasketChanged):
		s.problem(w, r, http.StatusConflict, "Your basket has changed",
			"It is no longer what the form showed, perhaps because of another tab. Nothing was charged. Please look at it again.")
	case errors.Is(err, shop.ErrOtherDetails):
		s.problem(w, r, http.StatusConflict, "This payment was sent before, with other details",
			"It counts as it was sent first (order "+order+"), and nothing was charged by this form. For something else, please begin a new checkout.")
	case errors.As(err, &out):
		s.problem(w, r, http.StatusConflict, "Sold out", "There is not enough left of: "+out.Line.Name()+". Nothing was charged.")
	default:
		s.failed(w, r, err)
	}
}

var telephone = regexp.MustCompile(`^[0-9+() /-]{5,30}$`)

// readForm reads the checkout's form, and says by field what is wrong with it.
func readForm(in url.Values) (f shop.Form, wrong map[string]string) {
	f = shop.Form{
		Payment: in.Get("payment"), Basket: in.Get("basket"), Card: in.Get("card"),
		Email: strings.TrimSpace(in.Get("email")), Phone: strings.TrimSpace(in.Get("phone")),
	}
	wrong = make(map[string]string)
	if address, err := netmail.ParseAddress(f.Email); err != nil || address.Address != f.Email || len(f.Email) > 254 {
		wrong["email"] = "We need an address to write to, such as ada@example.com."
	}
	if f.Phone != "" && !telephone.MatchString(f.Phone) {
		wrong["phone"] = "A telephone number has digits; or leave it empty."
	}
	if !bank.Known(f.Card) {
		wrong["card"] = "Please choose a card."
	}
	return f, wrong
}
