package web

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/steadfast-go/steadfast/examples/store/shop"
)

// orders lists a customer's orders.
func (s *Site) orders(w http.ResponseWriter, r *http.Request) {
	list, err := s.Shop.Orders(r.Context(), customerOf(r))
	if err != nil {
		s.failed(w, r, err)
		return
	}
	s.render(w, r, http.StatusOK, "orders", list)
}

// noScriptRefresh is how often the page of an order under way loads itself again, in seconds, without JavaScript.
const noScriptRefresh = 2

// order shows an order. Somebody else's does not exist.
func (s *Site) order(w http.ResponseWriter, r *http.Request) {
	page, ok := s.look(w, r)
	if !ok {
		return
	}
	refresh := 0
	if !page.Final {
		refresh = noScriptRefresh
	}
	s.renderRefreshing(w, r, http.StatusOK, "order", page, refresh)
}

// live is the part of the page that changes, for browsers that ask again and again.
func (s *Site) live(w http.ResponseWriter, r *http.Request) {
	if page, ok := s.look(w, r); ok {
		s.write(w, r, http.StatusOK, "order", "live", page)
	}
}

// look finds out what is known about an order, or answers that there is none.
func (s *Site) look(w http.ResponseWriter, r *http.Request) (page orderPage, ok bool) {
	p, err := s.Shop.Progress(r.Context(), customerOf(r), r.PathValue("id"))
	switch {
	case errors.Is(err, shop.ErrNoOrder):
		s.notFound(w, r)
	case err != nil:
		s.failed(w, r, err)
	default:
		return describe(p, r.URL.Query().Get("again") != ""), true
	}
	return page, false
}

// cancel gives an order up that has not been paid.
func (s *Site) cancel(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	switch err := s.Shop.Cancel(r.Context(), customerOf(r), id); {
	case errors.Is(err, shop.ErrNoOrder):
		s.notFound(w, r)
	case err != nil:
		s.failed(w, r, err)
	default:
		http.Redirect(w, r, "/orders/"+url.PathEscape(id), http.StatusSeeOther)
	}
}

func (s *Site) mailbox(w http.ResponseWriter, r *http.Request) {
	s.render(w, r, http.StatusOK, "mailbox", s.Mailbox.Messages())
}
