package lab

import (
	"bytes"
	"embed"
	"errors"
	"html/template"
	"net/http"
)

//go:embed pages
var pageFiles embed.FS

var pages = template.Must(template.New("").Funcs(template.FuncMap{
	"sentence": sentence,
	"part":     func(s side, v view) part { return part{s, v} },
}).ParseFS(pageFiles, "pages/*.html"))

// part is a side, for the templates that are also sent alone.
type part struct {
	Side side
	Page view
}

// show shows a run, or what may become one.
func (l *Lab) show(w http.ResponseWriter, r *http.Request) {
	settings, err := ParseSettings(r.URL.Query())
	if err != nil {
		l.refuse(w, err)
		return
	}
	v, err := look(settings, l.runs.find(settings))
	if err != nil {
		l.refuse(w, err)
		return
	}
	l.render(w, http.StatusOK, "lab.html", v)
}

// play starts a run. Whoever sends the form twice joins the first one.
func (l *Lab) play(w http.ResponseWriter, r *http.Request) {
	settings, err := l.form(r)
	if err == nil {
		_, err = l.runs.start(settings)
	}
	if err != nil {
		l.refuse(w, err)
		return
	}
	http.Redirect(w, r, settings.Link(), http.StatusSeeOther)
}

// kill kills the shops of a run that plays.
func (l *Lab) kill(w http.ResponseWriter, r *http.Request) {
	settings, err := l.form(r)
	if err != nil {
		l.refuse(w, err)
		return
	}
	if run := l.runs.kill(settings); run != nil {
		settings = run.set()
	}
	http.Redirect(w, r, settings.Link(), http.StatusSeeOther)
}

func (l *Lab) form(r *http.Request) (Settings, error) {
	if err := r.ParseForm(); err != nil {
		return Settings{}, &BadSetting{"form", "not readable", "send the form of this page: " + err.Error()}
	}
	return ParseSettings(r.PostForm)
}

// problem is a page that says what is wrong, and what to do.
type problem struct {
	Title, Text string
	Bad         *BadSetting
}

func (l *Lab) refuse(w http.ResponseWriter, err error) {
	var bad *BadSetting
	switch {
	case errors.As(err, &bad):
		l.render(w, http.StatusBadRequest, "problem.html", problem{Title: "This is not a run", Text: "The link or the form has a value that the lab does not know.", Bad: bad})
	case errors.Is(err, errBusy):
		w.Header().Set("Retry-After", "5")
		l.render(w, http.StatusServiceUnavailable, "problem.html", problem{
			Title: "The lab is busy", Text: "As many runs play as may. Each ends by itself within some seconds: go back, and try again then.",
		})
	case errors.Is(err, errClosed):
		l.render(w, http.StatusServiceUnavailable, "problem.html", problem{Title: "The lab closes", Text: "No more runs are played."})
	default:
		l.log.Error("lab: not played", "err", err)
		l.render(w, http.StatusInternalServerError, "problem.html", problem{Title: "Something went wrong", Text: "The run could not be played. The log says why."})
	}
}

// render sends a whole page or, if that cannot be made, none of it.
func (l *Lab) render(w http.ResponseWriter, status int, name string, data any) {
	var page bytes.Buffer
	if err := pages.ExecuteTemplate(&page, name, data); err != nil {
		l.log.Error("lab: page not made", "page", name, "err", err)
		http.Error(w, "The page could not be made. The log says why.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = page.WriteTo(w) // the visitor may have gone
}
