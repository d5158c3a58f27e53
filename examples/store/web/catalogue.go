package web

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/steadfast-go/steadfast/examples/store/goods"
	"github.com/steadfast-go/steadfast/examples/store/shop"
)

func (s *Site) catalogue(w http.ResponseWriter, r *http.Request) {
	s.render(w, r, http.StatusOK, "catalogue", goods.All())
}

func (s *Site) basket(w http.ResponseWriter, r *http.Request) {
	basket, err := s.Shop.Basket(r.Context(), customerOf(r))
	if err != nil {
		s.failed(w, r, err)
		return
	}
	s.render(w, r, http.StatusOK, "basket", basket)
}

// fillBasket adds an item, or sets how many there are to be.
func (s *Site) fillBasket(w http.ResponseWriter, r *http.Request) {
	if !s.form(w, r) {
		return
	}
	customer, item := welcome(w, r), r.PostFormValue("item")
	var err error
	if wanted := r.PostFormValue("quantity"); wanted == "" {
		err = s.Shop.Add(r.Context(), customer, item)
	} else if n, malformed := strconv.ParseInt(wanted, 10, 32); malformed != nil {
		s.problem(w, r, http.StatusUnprocessableEntity, "How many?", "The quantity has to be a number.")
		return
	} else {
		err = s.Shop.SetQuantity(r.Context(), customer, item, n)
	}
	next := "/basket"
	if r.PostFormValue("then") == "checkout" {
		next = "/checkout"
	}
	switch {
	case errors.Is(err, shop.ErrNoItem):
		s.problem(w, r, http.StatusUnprocessableEntity, "We do not sell that", "Please choose something from the catalogue.")
	case err != nil:
		s.failed(w, r, err)
	default:
		http.Redirect(w, r, next, http.StatusSeeOther)
	}
}
