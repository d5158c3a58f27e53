package lab

import (
	"fmt"
	"strings"
	"time"

	"github.com/steadfast-go/steadfast/examples/store/demo"
	"github.com/steadfast-go/steadfast/internal/fakepay"
)

// tone is how something is shown: by colour, and by a shape and a word as well.
type tone string

const (
	idle    tone = "idle"
	waiting tone = "waiting"
	right   tone = "right"
	wrong   tone = "wrong"
)

// view is what the page shows.
type view struct {
	Settings Settings
	Link     string
	Major    []choice // the scenarios that the lab is about
	Minor    []choice
	Item     string
	Price    string
	Known    bool // there is such a run
	Playing  bool
	CanKill  bool
	Failed   string // why the run broke off
	Busy     bool   // the machine was: times are not exact
	Clock    string
	Say      string
	Sides    [2]side
}

// choice is a scenario that can be chosen.
type choice struct {
	Name, Title, Text string
	Chosen            bool
}

// side is a shop and its surroundings.
type side struct {
	ID       string
	Title    string
	Text     string
	Tone     tone
	Word     string // the verdict, in a word or two
	Screen   screen
	Counters []counter
	Picture  picture
	Ledger   []entry
	Net      string
	Parcels  []struct{}
	Mails    []string
}

// counter is a large number.
type counter struct {
	Icon, Value, Label string
	Tone               tone
}

// entry is a line of the bank's ledger.
type entry struct {
	Icon, ID, What, Amount string
	Tone                   tone
}

// look returns what is to be shown of a run, or of settings for which there is none.
func look(s Settings, r *run) (view, error) {
	v := view{Settings: s, Link: s.Link()}
	for _, c := range choices {
		c.Chosen = c.Name == s.Scenario
		if len(v.Major) < majors {
			v.Major = append(v.Major, c)
		} else {
			v.Minor = append(v.Minor, c)
		}
	}
	stage, err := s.stage()
	if err != nil {
		return v, err
	}
	if r != nil {
		stage, v.Known, v.Playing = r.stage, true, r.plays()
		if err := r.failed(); err != nil {
			v.Failed = "This run broke off: " + err.Error()
		}
	}
	now := stage.Look()
	item := stage.Item()
	v.Item, v.Price, v.Busy = item.Name, euros(item.Cents), now.Outcome.Disturbed
	span := roundUp(now.Span)
	v.Sides[0] = lookAt(now.Naive, item.Cents, span)
	v.Sides[1] = lookAt(now.Protected, item.Cents, span)
	v.Sides[0].ID, v.Sides[0].Title, v.Sides[0].Text = "naive", "Naive", "takes no answer for a no"
	v.Sides[1].ID, v.Sides[1].Title, v.Sides[1].Text = "protected", "Protected", "by steadfast"
	if now.Done {
		v.Sides[0].judge(now.Outcome.Naive.Wrong(), now.Outcome.Naive.OverchargedCents)
		v.Sides[1].judge(now.Outcome.Broken(), now.Outcome.Protected.OverchargedCents)
	}
	v.CanKill = v.Playing && s.Kill == 0
	at := max(now.Naive.Now, now.Protected.Now)
	v.Clock = fmt.Sprintf("%.1f s", at.Seconds())
	v.Say = v.say()
	return v, nil
}

const majors = 3

var choices = []choice{
	{Name: "slow", Title: "Slow bank", Text: "the bank needs 20 s and more; nobody waits that long"},
	{Name: "timeouts", Title: "Lost answers", Text: "the bank charges, and its answer never arrives"},
	{Name: "doubleclick", Title: "Double click", Text: "the customer clicks twice"},
	{Name: "happy", Title: "A good day", Text: "everything works"},
	{Name: "declined", Title: "Declined card", Text: "the first card is declined, another one is taken"},
	{Name: "outage", Title: "Outage", Text: "the bank is out of order for half a minute"},
}

func (v view) say() string {
	if !v.Known {
		return ""
	}
	return fmt.Sprintf("Naive: %s. Protected: %s.", v.Sides[0].Word, v.Sides[1].Word)
}

// lookAt shows a side as it is now. Only what is certain is wrong yet: a second charge.
func lookAt(s demo.Snapshot, price int64, span time.Duration) side {
	totals := s.Books.Ledger.Totals
	excess := int64(0)
	if totals.Charges > 1 {
		excess = max(totals.NetCents-price, 0)
	}
	v := side{Tone: idle, Word: "ready", Net: euros(totals.NetCents)}
	if len(s.Events) > 0 {
		v.Tone, v.Word = waiting, "under way"
	}
	if excess > 0 {
		v.Tone, v.Word = wrong, fmt.Sprintf("charged %d times", totals.Charges)
	}
	v.Screen = screenOf(s)
	v.Counters = []counter{
		{"coin", fmt.Sprint(totals.Charges), plural(totals.Charges, "charge", "charges"), toneOf(totals.Charges, 1)},
		{"parcel", fmt.Sprint(s.Books.Parcels), plural(s.Books.Parcels, "parcel", "parcels"), toneOf(s.Books.Parcels, 1)},
		takenWrongly(excess),
		waited(s),
	}
	v.Picture = draw(s, span)
	v.Ledger = entries(s.Books.Ledger)
	v.Parcels = make([]struct{}, s.Books.Parcels)
	for _, m := range s.Books.Inbox {
		v.Mails = append(v.Mails, m.Subject)
	}
	return v
}

// judge writes the verdict over what seemed so.
func (v *side) judge(fault string, overcharged int64) {
	v.Tone, v.Word = right, "right"
	if fault != "" {
		v.Tone, v.Word = wrong, fault
	}
	v.Counters[2] = takenWrongly(overcharged)
	for i, c := range v.Counters {
		if c.Tone == waiting || c.Tone == idle {
			v.Counters[i].Tone = right
			if c.Value == "0" && i < 2 {
				v.Counters[i].Tone = wrong
			}
		}
	}
	if answer := &v.Counters[3]; fault == "" && answer.Tone == wrong {
		answer.Tone = waiting // on a busy machine, or while the shop was away: late, and nobody's fault
	}
	if overcharged > 0 && len(v.Ledger) > 0 { // at least the last one
		v.Ledger[len(v.Ledger)-1].Tone = wrong
		v.Picture.blame()
	}
}

// toneOf says whether a number may still become, is, or is more than what it should be.
func toneOf(n, want int) tone {
	switch {
	case n == 0:
		return idle
	case n > want:
		return wrong
	}
	return right
}

func takenWrongly(cents int64) counter {
	c := counter{Icon: "purse", Value: euros(cents), Label: "taken wrongly", Tone: right}
	if cents > 0 {
		c.Tone = wrong
	}
	return c
}

// patience is how long people look at a page that does nothing before they think that it is broken.
const patience = 5 * time.Second

// waited is how long the customer saw nothing after the click.
func waited(s demo.Snapshot) counter {
	d, answered := s.First, s.First >= 0
	if !answered {
		d = s.Now
		for _, e := range s.Events {
			if e.Kind == demo.Left {
				d = e.At
				break
			}
		}
	}
	c := counter{Icon: "clock", Value: fmt.Sprintf("%.1f s", d.Seconds()), Label: "first answer", Tone: waiting}
	switch {
	case len(s.Events) == 0:
		c.Tone = idle
	case d > patience:
		c.Tone = wrong
	case answered:
		c.Tone = right
	}
	if !answered && len(s.Events) > 0 {
		c.Label = "no answer"
	}
	return c
}

func entries(l fakepay.Ledger) (lines []entry) {
	taken := 0
	for _, c := range l.Charges {
		e := entry{Icon: "coin", ID: short(c.ID), What: "charge", Amount: euros(c.CapturedCents), Tone: right}
		switch {
		case c.Status == fakepay.Declined:
			e.Icon, e.What, e.Tone = "cross", "declined", idle
		default:
			if taken++; taken > 1 {
				e.What, e.Tone = "charge, again", wrong
			}
		}
		lines = append(lines, e)
	}
	for _, r := range l.Refunds {
		lines = append(lines, entry{Icon: "back", ID: short(r.ID), What: "refund", Amount: "−" + euros(r.AmountCents), Tone: idle})
	}
	return lines
}

// short is enough of an identifier to tell it from another one.
func short(id string) string {
	const enough = 9
	return id[:min(len(id), enough)]
}

func euros(cents int64) string { return fmt.Sprintf("€%d.%02d", cents/100, cents%100) }

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// roundUp makes the axis end at a number that can be read, and not grow with every frame.
func roundUp(d time.Duration) time.Duration {
	const step = 5 * time.Second
	if rest := d % step; rest > 0 {
		d += step - rest
	}
	return d
}

func sentence(s string) string {
	if s == "" {
		return ""
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
