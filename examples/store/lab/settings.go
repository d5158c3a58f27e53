package lab

import (
	"fmt"
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/steadfast-go/steadfast/examples/store/demo"
)

// Settings are all that a run depends on. They are written as a query, and read from one or from a form.
type Settings struct {
	Scenario string
	Seed     uint64
	Speed    float64 // demo seconds per real second; 0: whatever suits the scenario
	Latency  float64 // seconds; 0: as the scenario says
	Lost     int     // per cent of the answers
	Failing  int     // per cent of the requests
	Kill     float64 // seconds after the first click; 0: never
}

// Limits of settings. The others are package demo's.
const (
	maxSpeed = 40
	minSpeed = 0.5
)

// BadSetting says what is wrong with a field.
type BadSetting struct{ Field, Value, Remedy string }

func (e *BadSetting) Error() string {
	return fmt.Sprintf("lab: %s is %q: %s", e.Field, e.Value, e.Remedy)
}

// ParseSettings reads settings. What is missing has its default; what is wrong is a *BadSetting.
func ParseSettings(v url.Values) (Settings, error) {
	p := parser{values: v}
	s := Settings{
		Scenario: p.scenario(),
		Seed:     p.seed(),
		Speed:    p.number("speed", maxSpeed, "times"),
		Latency:  p.number("latency", demo.MaxLatency.Seconds(), "seconds"),
		Lost:     int(p.number("lost", 100*demo.MaxLost, "per cent")),
		Failing:  int(p.number("failing", 100*demo.MaxFailing, "per cent")),
		Kill:     p.number("kill", demo.MaxKill.Seconds(), "seconds"),
	}
	if s.Speed != 0 && s.Speed < minSpeed {
		p.bad("speed", v.Get("speed"), fmt.Sprintf("use %v to %v, or 0 for what suits the scenario", minSpeed, maxSpeed))
	}
	if p.wrong != nil {
		return Settings{}, p.wrong
	}
	return s, nil
}

// parser notes the first thing that is wrong.
type parser struct {
	values url.Values
	wrong  error
}

func (p *parser) bad(field, value, remedy string) {
	const enough = 80
	if p.wrong == nil {
		p.wrong = &BadSetting{field, value[:min(len(value), enough)], remedy}
	}
}

// get returns a field's only value, or its default.
func (p *parser) get(field, byDefault string) string {
	switch values := p.values[field]; {
	case len(values) > 1:
		p.bad(field, strings.Join(values, ", "), "give it once")
		return byDefault
	case len(values) == 0 || values[0] == "":
		return byDefault
	default:
		return values[0]
	}
}

func (p *parser) scenario() string {
	name := p.get("scenario", "timeouts")
	if _, found := find(name); !found {
		var names []string
		for _, s := range demo.Scenarios() {
			names = append(names, s.Name)
		}
		p.bad("scenario", name, "use "+strings.Join(names, ", "))
	}
	return name
}

func (p *parser) seed() uint64 {
	text := p.get("seed", "1")
	seed, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		p.bad("seed", text, "use a whole number from 0")
	}
	return seed
}

// number reads a number from 0 with at most one digit after the point, as a link has it.
func (p *parser) number(field string, most float64, unit string) float64 {
	text := p.get(field, "0")
	x, err := strconv.ParseFloat(text, 64)
	if err != nil || !(x >= 0 && x <= most) {
		p.bad(field, text, fmt.Sprintf("use 0 to %v (%s)", most, unit))
		return 0
	}
	return math.Round(x*10) / 10
}

// Query returns the settings as the link to them has them: those that say something, in one order.
func (s Settings) Query() string {
	v := url.Values{"scenario": {s.Scenario}, "seed": {strconv.FormatUint(s.Seed, 10)}}
	for field, x := range map[string]float64{
		"speed": s.Speed, "latency": s.Latency, "lost": float64(s.Lost), "failing": float64(s.Failing), "kill": s.Kill,
	} {
		if x != 0 {
			v.Set(field, strconv.FormatFloat(x, 'f', -1, 64))
		}
	}
	return v.Encode()
}

// Link returns the address that repeats exactly this run.
func (s Settings) Link() string { return Path + "?" + s.Query() }

// stage returns a stage for the settings.
func (s Settings) stage() (*demo.Stage, error) {
	scenario, _ := find(s.Scenario)
	speed := s.Speed
	if speed == 0 {
		speed = s.fitting()
	}
	return demo.NewStage(scenario, s.Seed, speed, demo.Change{
		Latency: seconds(s.Latency), Lost: float64(s.Lost) / 100, Failing: float64(s.Failing) / 100, Kill: seconds(s.Kill),
	})
}

// fitting is a speed at which a run takes some seconds: long enough to see what happens, and short enough to stay.
func (s Settings) fitting() float64 {
	if s.Kill > 0 {
		return 8 // what the dead process had leased lies for half a minute
	}
	switch s.Scenario {
	case "slow", "declined":
		return 4
	case "timeouts", "outage":
		return 6
	}
	return 0.5
}

func seconds(x float64) time.Duration { return time.Duration(x * float64(time.Second)) }

func find(name string) (demo.Scenario, bool) {
	for _, s := range demo.Scenarios() {
		if s.Name == name {
			return s, true
		}
	}
	return demo.Scenario{}, false
}
