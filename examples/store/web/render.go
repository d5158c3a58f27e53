package web

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/steadfast-go/steadfast/examples/store/bank"
	"github.com/steadfast-go/steadfast/examples/store/shop"
)

//go:embed templates
var templates embed.FS

// pages are the templates by name, each within the layout.
type pages map[string]*template.Template

func parsePages() (pages, error) {
	layout, err := template.New("").Funcs(template.FuncMap{
		"euros":     shop.Euros,
		"precisely": precisely,
		"time":      func(t time.Time) string { return clock(t, time.Now()) },
		"cards":     bank.Cards,
	}).ParseFS(templates, "templates/layout.html", "templates/parts.html")
	if err != nil {
		return nil, err
	}
	files, err := fs.Glob(templates, "templates/*.html")
	if err != nil {
		return nil, err
	}
	all := make(pages)
	for _, file := range files {
		page, err := layout.Clone()
		if err != nil {
			return nil, err
		}
		if all[strings.TrimSuffix(path.Base(file), ".html")], err = page.ParseFS(templates, file); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// view is what the layout shows around every page.
type view struct {
	Basket  int64 // how much is in it
	Mailbox bool
	Lab     bool
	Refresh int // seconds, for browsers without JavaScript; 0: the page stays as it is
	Page    any
}

// render answers with a page.
func (s *Site) render(w http.ResponseWriter, r *http.Request, status int, page string, data any) {
	s.renderRefreshing(w, r, status, page, data, 0)
}

func (s *Site) renderRefreshing(w http.ResponseWriter, r *http.Request, status int, page string, data any, refresh int) {
	v := view{Page: data, Mailbox: s.Mailbox != nil, Lab: s.Lab != nil, Refresh: refresh}
	if customer := customerOf(r); customer != "" {
		if basket, err := s.Shop.Basket(r.Context(), customer); err == nil { // the page matters more than this number
			v.Basket = basket.Count()
		}
	}
	s.write(w, r, status, page, "layout", v)
}

// write answers with a template. It is made in full first, so that there is no half a page.
func (s *Site) write(w http.ResponseWriter, r *http.Request, status int, page, part string, data any) {
	var body bytes.Buffer
	if err := s.pages[page].ExecuteTemplate(&body, part, data); err != nil {
		s.Log.Error("a page cannot be made", "page", page, "err", err)
		http.Error(w, "Something went wrong on our side.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	if _, err := body.WriteTo(w); err != nil {
		s.Log.Debug("a page was not delivered", "path", r.URL.Path, "err", err)
	}
}

// trouble is a page that says what went wrong, and what to do.
type trouble struct {
	Status int
	Title  string
	Text   string
}

func (s *Site) problem(w http.ResponseWriter, r *http.Request, status int, title, text string) {
	s.render(w, r, status, "problem", trouble{status, title, text})
}

func (s *Site) notFound(w http.ResponseWriter, r *http.Request) {
	s.problem(w, r, http.StatusNotFound, "There is nothing here", "If you are looking for an order: open it in the browser that you ordered with.")
}

// failed answers when the shop itself did not work.
func (s *Site) failed(w http.ResponseWriter, r *http.Request, err error) {
	s.Log.Error("a request failed", "method", r.Method, "path", r.URL.Path, "err", err)
	s.problem(w, r, http.StatusInternalServerError, "Something went wrong on our side",
		"Please reload the page in a moment. If you were paying, you can send the form again: it is the same payment, and you cannot be charged twice.")
}

// clock writes when something was: the time of today, or a day.
func clock(t, now time.Time) string {
	if t.Format(time.DateOnly) == now.Format(time.DateOnly) {
		return t.Format(time.TimeOnly)
	}
	return t.Format("2 Jan 2006, 15:04")
}

// seconds writes a duration for people.
func seconds(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < 2*time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	default:
		return fmt.Sprintf("%.0f min", d.Minutes())
	}
}
