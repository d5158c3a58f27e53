package lab

import (
	"fmt"
	"time"

	"github.com/steadfast-go/steadfast/examples/store/demo"
	"github.com/steadfast-go/steadfast/internal/fakepay"
)

// picture is a timeline in units of its own: time runs from left to right, and every request to the bank has a line.
type picture struct {
	Width, Height float64
	Ticks         []tick
	Lanes         []laneLabel
	Bars          []bar
	Marks         []mark
	Alt           string
}

type tick struct {
	X, Y2 float64
	Text  string
}

type laneLabel struct {
	Y    float64
	Icon string
	Name string
}

type bar struct {
	X, Y, W, H float64
	Kind       string
	Title      string
}

type mark struct {
	X, Y, Size float64 // of its upper left corner
	Icon       string
	Tone       tone
	Title      string
	Burst      bool // it must hit the eye
}

// Measures of a picture.
const (
	width      = 520.0
	plotLeft   = 46.0
	plotRight  = 484.0
	axisHeight = 24.0
	laneHeight = 36.0
	rowHeight  = 34.0
	minRows    = 2
	maxRows    = 7
	barHeight  = 12.0
	small      = 20.0
	medium     = 26.0
	large      = 44.0
)

// draw draws one side.
func draw(s demo.Snapshot, span time.Duration) picture {
	requests := requestsOf(s)
	rows := min(max(len(requests), minRows), maxRows)
	d := &drawing{
		picture: picture{Width: width, Height: axisHeight + 2*laneHeight + float64(rows)*rowHeight + 8}, span: span,
	}
	customer := axisHeight + laneHeight/2
	bank := axisHeight + laneHeight + rowHeight/2
	delivery := axisHeight + laneHeight + float64(rows)*rowHeight + laneHeight/2 + 4
	d.Lanes = []laneLabel{{customer, "person", "customer"}, {bank, "bank", "bank"}, {delivery, "van", "deliveries"}}
	d.axis()
	d.downtime(s, delivery)
	d.customer(s, customer)
	for i, r := range requests {
		d.request(r, bank+float64(min(i, maxRows-1))*rowHeight)
	}
	d.deliveries(s, delivery)
	d.Alt = fmt.Sprintf("%d requests to the bank, %d charges, %d parcels", len(requests), s.Books.Ledger.Totals.Charges, s.Books.Parcels)
	return d.picture
}

// blame marks the last charge: nothing came of it for the customer.
func (p *picture) blame() {
	for i := len(p.Marks) - 1; i >= 0; i-- {
		if m := &p.Marks[i]; m.Icon == "coin" {
			if !m.Burst {
				m.X, m.Y, m.Size = m.X-(large-m.Size)/2, m.Y-(large-m.Size)/2, large
			}
			m.Tone, m.Burst = wrong, true
			return
		}
	}
}

// drawing is a picture while it is drawn.
type drawing struct {
	picture
	span   time.Duration
	landed float64 // where the line of deliveries is free
}

func (d *drawing) x(at time.Duration) float64 {
	return plotLeft + (plotRight-plotLeft)*min(max(at.Seconds()/d.span.Seconds(), 0), 1)
}

func (d *drawing) axis() {
	const most = 7
	step, end := 1, int(d.span/time.Second)
	for _, larger := range []int{2, 5, 10, 20, 30, 60} {
		if end/step > most {
			step = larger
		}
	}
	for s := 0; s <= end; s += step {
		d.Ticks = append(d.Ticks, tick{X: d.x(seconds(float64(s))), Y2: d.Height, Text: fmt.Sprintf("%d s", s)})
	}
}

// put places a mark in the middle of a line, not over the one before it there.
func (d *drawing) put(free *float64, at time.Duration, y, size float64, m mark) {
	middle := max(d.x(at), *free+size/2)
	middle = min(middle, width-size/2)
	*free = middle + size/2
	m.X, m.Y, m.Size = middle-size/2, y-size/2, size
	d.Marks = append(d.Marks, m)
}

func (d *drawing) fill(from, to time.Duration, y, height float64, kind, title string) {
	x := d.x(from)
	d.Bars = append(d.Bars, bar{X: x, Y: y - height/2, W: max(d.x(to)-x, 2), H: height, Kind: kind, Title: title})
}

// downtime shows when the shop was dead.
func (d *drawing) downtime(s demo.Snapshot, y float64) {
	for i, e := range s.Events {
		if e.Kind != demo.Killed {
			continue
		}
		until := s.Now
		for _, later := range s.Events[i:] {
			if later.Kind == demo.Reopened {
				until = later.At
			}
		}
		d.fill(e.At, until, d.Height/2+axisHeight/2, d.Height-axisHeight, "down", "the shop was killed")
		d.put(&d.landed, e.At, y, medium, mark{Icon: "skull", Tone: wrong, Title: fmt.Sprintf("killed after %.1f s", e.At.Seconds())})
	}
}

// customer shows clicks, what was seen, and how long nothing was.
func (d *drawing) customer(s demo.Snapshot, y float64) {
	from, waits := time.Duration(0), false
	for _, e := range s.Events {
		switch e.Kind {
		case demo.Clicked:
			if !waits {
				from, waits = e.At, true
			}
		case demo.Told, demo.Left:
			if waits {
				d.fill(from, e.At, y, barHeight, "wait", "the customer waits")
				waits = false
			}
		}
	}
	if waits {
		d.fill(from, s.Now, y, barHeight, "wait", "the customer waits")
	}
	free := 0.0
	for _, e := range s.Events {
		switch title := fmt.Sprintf("%.1f s: %s", e.At.Seconds(), e.Text); e.Kind {
		case demo.Clicked:
			d.put(&free, e.At, y, small, mark{Icon: "click", Tone: idle, Title: title})
		case demo.Told:
			p := page(e)
			d.put(&free, e.At, y, medium, mark{Icon: p.Icon, Tone: p.Tone, Title: title})
		case demo.Left:
			d.put(&free, e.At, y, medium, mark{Icon: "door", Tone: idle, Title: title})
		}
	}
}

// request shows what became of one request to the bank.
func (d *drawing) request(r request, y float64) {
	kind := "keyless"
	if r.Key != "" {
		kind = "keyed"
	}
	d.fill(r.from, r.to, y, barHeight, kind, fmt.Sprintf("request %d: %s", r.number, r.what))
	free := 0.0
	if r.Key != "" {
		d.put(&free, r.from, y, small, mark{Icon: "key", Tone: idle, Title: fmt.Sprintf("key %.8s", r.Key)})
	}
	switch {
	case r.charge > 1:
		d.put(&free, r.effect, y, large, mark{Icon: "coin", Tone: wrong, Burst: true, Title: "charges a second time"})
	case r.charge == 1:
		d.put(&free, r.effect, y, medium, mark{Icon: "coin", Tone: right, Title: "charges"})
	}
	switch {
	case !r.Done:
	case !r.Delivered:
		d.put(&free, r.to, y, small, mark{Icon: "lost", Tone: wrong, Title: "the answer reaches nobody"})
	case r.Status/100 == 2 && r.Replayed:
		d.put(&free, r.to, y, small, mark{Icon: "tick", Tone: right, Title: "the same key: charged before, not again"})
	case r.Status/100 == 2:
		d.put(&free, r.to, y, small, mark{Icon: "tick", Tone: right, Title: "answered: charged"})
	default:
		d.put(&free, r.to, y, small, mark{Icon: "cross", Tone: waiting, Title: fmt.Sprintf("answered: %d %s", r.Status, r.Code)})
	}
}

func (d *drawing) deliveries(s demo.Snapshot, y float64) {
	parcels := 0
	for _, e := range s.Events {
		switch title := fmt.Sprintf("%.1f s: %s", e.At.Seconds(), e.Text); e.Kind {
		case demo.Parcel:
			m := mark{Icon: "parcel", Tone: right, Title: title}
			if parcels++; parcels > 1 {
				m.Tone, m.Burst = wrong, true
			}
			d.put(&d.landed, e.At, y, medium, m)
		case demo.Mailed:
			d.put(&d.landed, e.At, y, medium, mark{Icon: "mail", Tone: right, Title: title})
		}
	}
}

// request is a request to charge as the bank saw it, on the customer's clock.
type request struct {
	fakepay.Attempt
	number           int
	from, effect, to time.Duration
	charge           int // which one it made, from 1; 0: none
	what             string
}

// requestsOf reads the bank's ledger. Its clock is the provider's: the event of the same arrival tells the difference.
func requestsOf(s demo.Snapshot) (list []request) {
	arrivals := make(map[int]time.Duration)
	for _, e := range s.Events {
		if e.Kind == demo.Arrived {
			arrivals[e.N] = e.At
		}
	}
	charges := 0
	for _, a := range s.Books.Ledger.Attempts {
		at, seen := arrivals[a.N]
		if a.Op != fakepay.OpCharge || !seen {
			continue
		}
		r := request{Attempt: a, number: len(list) + 1, from: at, to: s.Now, what: string(a.Fault.Kind)}
		if a.Done {
			r.to = at + a.DoneAt - a.At
		}
		if a.Effect {
			r.effect = at + a.EffectAt - a.At
		}
		list = append(list, r)
	}
	// Which charge was the first one is a question of when, not of who asked first.
	for {
		next := -1
		for i, r := range list {
			if r.Effect && r.charge == 0 && (next < 0 || r.effect < list[next].effect) {
				next = i
			}
		}
		if next < 0 {
			return list
		}
		charges++
		list[next].charge = charges
	}
}
