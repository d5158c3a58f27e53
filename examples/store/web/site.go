// Package web shows the shop to its customers, and to whoever operates it: pages from templates, forms that work without
// JavaScript, and nothing that has to be built.
//
// Read submit in checkout.go first, then order.go.
package web

import (
	"embed"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/steadfast-go/steadfast/examples/store/mail"
	"github.com/steadfast-go/steadfast/examples/store/shop"
)

// Config is what the site needs. Shop, AdminPassword and Stopping are required.
type Config struct {
	Shop          *shop.Shop
	Mailbox       *mail.Mailbox // nil: the messages go to a real mail server, and there is no page to read them on
	AdminPassword string
	BankSince     time.Time       // since when the bank's list is compared with ours
	Lab           http.Handler    // nil: there is none
	Stopping      <-chan struct{} // closed when the server stops: pages that are kept open end then
	Log           *slog.Logger    // nil: no log
}

// Site is the web site.
type Site struct {
	Config
	pages pages
}

// New returns the site's handler.
func New(c Config) (http.Handler, error) {
	if c.Shop == nil || c.AdminPassword == "" {
		return nil, errors.New("web: Shop and AdminPassword are required")
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	pages, err := parsePages()
	if err != nil {
		return nil, err
	}
	s := &Site{Config: c, pages: pages}
	return s.secure(s.routes()), nil
}

//go:embed static
var static embed.FS

func (s *Site) routes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.catalogue)
	mux.HandleFunc("GET /basket", s.basket)
	mux.HandleFunc("POST /basket", s.fillBasket)
	mux.HandleFunc("GET /checkout", s.checkout)
	mux.HandleFunc("POST /checkout", s.submit)
	mux.HandleFunc("GET /orders", s.orders)
	mux.HandleFunc("GET /orders/{id}", s.order)
	mux.HandleFunc("GET /orders/{id}/live", s.live)
	mux.HandleFunc("GET /orders/{id}/events", s.events)
	mux.HandleFunc("POST /orders/{id}/pay", s.payAgain)
	mux.HandleFunc("POST /orders/{id}/cancel", s.cancel)
	if s.Mailbox != nil {
		mux.HandleFunc("GET /mailbox", s.mailbox)
	}
	if s.Lab != nil {
		mux.Handle("/lab", s.Lab)
		mux.Handle("/lab/", s.Lab)
	}
	mux.Handle("/admin", s.operator(s.adminRoutes()))
	mux.Handle("/admin/", s.operator(s.adminRoutes()))
	mux.Handle("GET /static/", cached(http.FileServerFS(static)))
	mux.HandleFunc("/", s.notFound)
	return mux
}
