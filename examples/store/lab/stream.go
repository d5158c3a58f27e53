package lab

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// frame is how often a stream is looked at: ten times a second is a film.
const frame = 100 * time.Millisecond

// pieces are the parts of the page that change, by the id of the element that they fill.
type pieces map[string]string

// changing are the templates of a side that are sent again and again; the id is "<side>-<name>".
var changing = []string{"verdict", "screen", "counters", "picture", "ledger", "deliveries"}

func piecesOf(s Settings, r *run) (pieces, error) {
	v, err := look(s, r)
	if err != nil {
		return nil, err
	}
	all := make(pieces)
	var text bytes.Buffer
	add := func(id, name string, data any) error {
		text.Reset()
		err := pages.ExecuteTemplate(&text, name, data)
		all[id] = text.String()
		return err
	}
	for i := range v.Sides {
		for _, name := range changing {
			if err := add(v.Sides[i].ID+"-"+name, name, v.Sides[i]); err != nil {
				return nil, err
			}
		}
	}
	return all, firstOf(add("say", "say", v), add("run", "run", v))
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// since returns the pieces that are not as they were.
func (p pieces) since(before pieces) pieces {
	news := make(pieces)
	for id, text := range p {
		if was, known := before[id]; !known || was != text {
			news[id] = text
		}
	}
	return news
}

// stream sends the changing pieces of a run as server-sent events, until it is over. Whoever finds no place asks for the
// state instead.
func (l *Lab) stream(w http.ResponseWriter, r *http.Request) {
	settings, err := ParseSettings(r.URL.Query())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	run := l.runs.find(settings)
	if run == nil {
		w.WriteHeader(http.StatusNoContent) // tells an EventSource to ask no more
		return
	}
	select {
	case l.viewers <- struct{}{}:
		defer func() { <-l.viewers }()
	default:
		w.Header().Set("Retry-After", "5")
		http.Error(w, "As many look at streams as may: ask for the state instead.", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	s := sender{w: w, to: http.NewResponseController(w)}
	_ = s.to.SetReadDeadline(time.Time{}) // the server's is for requests that end sooner
	ticker := time.NewTicker(frame)
	defer ticker.Stop()
	for plays := true; plays; {
		if err := s.update(settings, run); err != nil {
			return
		}
		select {
		case <-ticker.C:
		case <-run.over:
			plays = false
		case <-r.Context().Done():
			return
		}
	}
	if err := s.update(settings, run); err == nil {
		_ = s.send("end", struct{}{})
	}
}

// sender sends events.
type sender struct {
	w    http.ResponseWriter
	to   *http.ResponseController
	sent pieces
}

func (s *sender) update(settings Settings, r *run) error {
	now, err := piecesOf(settings, r)
	if err != nil {
		return err
	}
	news := now.since(s.sent)
	s.sent = now
	if len(news) == 0 {
		return nil
	}
	return s.send("pieces", news)
}

func (s *sender) send(event string, data any) error {
	text, err := json.Marshal(data)
	if err != nil {
		return err
	}
	// A viewer that does not read is let go. Servers that know no deadlines do without.
	const patient = 10 * time.Second
	_ = s.to.SetWriteDeadline(time.Now().Add(patient))
	if _, err := fmt.Fprintf(s.w, "event: %s\ndata: %s\n\n", event, text); err != nil {
		return err
	}
	return s.to.Flush()
}

// state is what a stream would say, at once, for those who cannot have one.
func (l *Lab) state(w http.ResponseWriter, r *http.Request) {
	settings, err := ParseSettings(r.URL.Query())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	run := l.runs.find(settings)
	if run == nil {
		http.NotFound(w, r)
		return
	}
	over := !run.plays() // asked first: what follows is final then
	now, err := piecesOf(settings, run)
	if err != nil {
		l.refuse(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(struct {
		Over   bool   `json:"over"`
		Pieces pieces `json:"pieces"`
	}{over, now})
}
