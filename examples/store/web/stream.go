package web

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/steadfast-go/steadfast/examples/store/shop"
)

const (
	lookEvery  = time.Second      // the clock on the page moves, and other processes tell nothing
	streamFor  = 10 * time.Minute // the browser comes back by itself
	writeLimit = 10 * time.Second // for a browser that reads nothing
)

// events sends the part of an order's page that changes, whenever it does: server-sent events, for EventSource.
func (s *Site) events(w http.ResponseWriter, r *http.Request) {
	customer, id := customerOf(r), r.PathValue("id")
	if _, err := s.Shop.Order(r.Context(), customer, id); errors.Is(err, shop.ErrNoOrder) {
		s.notFound(w, r)
		return
	}
	fresh, end, ok := s.Shop.Follow(customer)
	if !ok { // the page asks, then
		s.problem(w, r, http.StatusServiceUnavailable, "Too many pages listen", "This one asks instead, now and then. Nothing is lost by that.")
		return
	}
	defer end()
	w.Header().Set("Content-Type", "text/event-stream")
	if err := http.NewResponseController(w).SetReadDeadline(time.Time{}); err != nil { // the server's is for requests that end
		s.failed(w, r, err)
		return
	}
	tick, limit := time.NewTicker(lookEvery), time.NewTimer(streamFor)
	defer tick.Stop()
	defer limit.Stop()
	for last := ""; ; {
		p, err := s.Shop.Progress(r.Context(), customer, id)
		if err != nil {
			return // the browser tries again
		}
		page := describe(p, false)
		var part bytes.Buffer
		if err := s.pages["order"].ExecuteTemplate(&part, "live", page); err != nil {
			s.Log.Error("a page cannot be made", "page", "order", "err", err)
			return
		}
		if part.String() != last {
			last = part.String()
			if err := send(w, "order", last); err != nil {
				return
			}
		}
		if page.Final {
			_ = send(w, "over", "") // or the browser asks again, and hears the same
			return
		}
		select {
		case <-fresh:
		case <-tick.C:
		case <-limit.C:
			return
		case <-s.Stopping:
			return
		case <-r.Context().Done():
			return
		}
	}
}

// send writes one event. The server's own limit on answers does not hold for one that has no end: each event has its own.
func send(w http.ResponseWriter, name, data string) error {
	to := http.NewResponseController(w)
	if err := to.SetWriteDeadline(time.Now().Add(writeLimit)); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(w, "event: %s\nretry: 1000\ndata: %s\n\n", name, strings.ReplaceAll(data, "\n", "\ndata: ")); err != nil {
		return err
	}
	return to.Flush()
}
