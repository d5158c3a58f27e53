package fakepay

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Kind names what goes wrong with a request.
type Kind string

// The kinds of faults. Those marked (Delay) use Fault.Delay, by default DefaultDelay unless said otherwise.
const (
	NoFault          Kind = "none"
	RequestLost      Kind = "request_lost"       // never arrives: no effect, the connection is closed without a reply
	Reset            Kind = "reset"              // the same by a TCP reset
	ReplyLost        Kind = "reply_lost"         // takes effect, then the connection is reset
	ReplyLate        Kind = "reply_late"         // takes effect, and is answered (Delay) later
	LandsLate        Kind = "lands_late"         // the connection is closed at once, the request arrives (Delay) later
	Duplicate        Kind = "duplicate"          // arrives a second time, (Delay) later; by default at once after the first
	ErrorBefore      Kind = "error_before"       // 500, no effect, nothing stored
	ErrorAfter       Kind = "error_after"        // takes effect, is answered 500; the key replays what happened
	ErrorStored      Kind = "error_stored"       // 500, no effect; replayed for as long as the key lives
	ErrorStoredAfter Kind = "error_stored_after" // takes effect, is answered 500; that is replayed
	RateLimited      Kind = "rate_limited"       // 429, no effect, Retry-After: Delay in whole seconds, by default 1
	KeyInUse         Kind = "key_in_use"         // 409 as if the first request with the key were still under way, no effect
	Decline          Kind = "decline"            // 402 with Fault.Code, by default card_declined
	Accept           Kind = "accept"             // charges only: 202, decided (Delay) later, by default Config.DecideAfter; declined if Code is set
	Unavailable      Kind = "unavailable"        // 503, no effect
)

// Kinds returns all kinds, NoFault first.
func Kinds() []Kind {
	return []Kind{
		NoFault, RequestLost, Reset, ReplyLost, ReplyLate, LandsLate, Duplicate, ErrorBefore, ErrorAfter,
		ErrorStored, ErrorStoredAfter, RateLimited, KeyInUse, Decline, Accept, Unavailable,
	}
}

// Cut is how a client that gets no reply learns of it.
type Cut string

// The ways to cut a connection.
const (
	CutClose Cut = "close" // FIN
	CutReset Cut = "reset" // RST, where the connection is TCP
	CutHang  Cut = "hang"  // not at all: it waits until it gives up
)

// Fault is what one request meets. Its text form, also in JSON, is that of ParseFault.
type Fault struct {
	Kind    Kind          // "": NoFault
	Rate    float64       // in Config.Faults only: the share of requests that meet it
	Latency time.Duration // replaces the drawn latency; negative: no latency; 0: as drawn
	Delay   time.Duration // 0: the default of the kind
	Cut     Cut           // for the kinds that lose a reply; "": CutReset for Reset and ReplyLost, else CutClose
	Status  int           // for the kinds that answer 5xx: 500 to 599; 0: as the kind says
	Code    string        // for Decline and Accept
}

// ParseFault reads a fault: a kind, with "=" and a rate where one is wanted, and parameters after commas or semicolons.
//
//	reply_lost
//	reply_lost=0.1
//	lands_late;delay=40s;cut=hang
//	latency=45s
//
// Parameters are latency, delay, cut, status and code.
func ParseFault(s string) (Fault, error) {
	var f Fault
	for i, part := range strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ';' }) {
		name, value, given := strings.Cut(strings.TrimSpace(part), "=")
		var err error
		switch name {
		case "latency":
			f.Latency, err = time.ParseDuration(value)
			if err == nil && f.Latency == 0 {
				f.Latency = -1
			}
		case "delay":
			f.Delay, err = time.ParseDuration(value)
		case "cut":
			f.Cut = Cut(value)
		case "status":
			f.Status, err = strconv.Atoi(value)
		case "code":
			f.Code = value
		default:
			if i > 0 {
				return Fault{}, fmt.Errorf("fakepay: fault parameter is %q: use latency, delay, cut, status or code", name)
			}
			f.Kind = Kind(name)
			if given {
				f.Rate, err = strconv.ParseFloat(value, 64)
			}
		}
		if err != nil {
			return Fault{}, fmt.Errorf("fakepay: %s of fault %q is %q: %w", name, s, value, err)
		}
	}
	return f, f.validate()
}

// ParseFaults reads faults with rates, separated by commas, with parameters after semicolons:
//
//	reply_lost=0.1,lands_late=0.05;delay=40s
func ParseFaults(s string) ([]Fault, error) {
	var faults []Fault
	for part := range strings.SplitSeq(s, ",") {
		if strings.TrimSpace(part) == "" {
			continue
		}
		f, err := ParseFault(part)
		if err != nil {
			return nil, err
		}
		faults = append(faults, f)
	}
	return faults, validateMix(faults)
}

// String returns the form that ParseFault reads.
func (f Fault) String() string {
	var b strings.Builder
	b.WriteString(string(f.kind()))
	if f.Rate != 0 {
		b.WriteString("=" + strconv.FormatFloat(f.Rate, 'g', -1, 64))
	}
	if f.Latency != 0 {
		fmt.Fprintf(&b, ";latency=%v", max(f.Latency, 0))
	}
	if f.Delay != 0 {
		fmt.Fprintf(&b, ";delay=%v", f.Delay)
	}
	if f.Cut != "" {
		fmt.Fprintf(&b, ";cut=%s", f.Cut)
	}
	if f.Status != 0 {
		fmt.Fprintf(&b, ";status=%d", f.Status)
	}
	if f.Code != "" {
		fmt.Fprintf(&b, ";code=%s", f.Code)
	}
	return b.String()
}

// MarshalText returns what String returns.
func (f Fault) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// UnmarshalText reads what ParseFault reads.
func (f *Fault) UnmarshalText(text []byte) (err error) {
	*f, err = ParseFault(string(text))
	return err
}

func (f Fault) kind() Kind {
	if f.Kind == "" {
		return NoFault
	}
	return f.Kind
}

func (f Fault) delay(byDefault time.Duration) time.Duration {
	if f.Delay > 0 {
		return f.Delay
	}
	return byDefault
}

func (f Fault) cut() Cut {
	switch {
	case f.Cut != "":
		return f.Cut
	case f.Kind == Reset || f.Kind == ReplyLost:
		return CutReset
	}
	return CutClose
}

func (f Fault) status(byDefault int) int {
	if f.Status != 0 {
		return f.Status
	}
	return byDefault
}

func (f Fault) validate() error {
	bad := func(field string, value any, remedy string) error {
		return fmt.Errorf("fakepay: %s of fault %q is %v: %s", field, f.kind(), value, remedy)
	}
	switch {
	case !slices.Contains(Kinds(), f.kind()):
		return fmt.Errorf("fakepay: fault is %q: use one of %v", f.Kind, Kinds())
	case !(f.Rate >= 0 && f.Rate <= 1):
		return bad("Rate", f.Rate, "use 0 to 1")
	case f.Delay < 0:
		return bad("Delay", f.Delay, "use a positive time, or 0 for the default")
	case f.Cut != "" && f.Cut != CutClose && f.Cut != CutReset && f.Cut != CutHang:
		return bad("Cut", fmt.Sprintf("%q", f.Cut), "use close, reset or hang")
	case f.Status != 0 && (f.Status < 500 || f.Status > 599):
		return bad("Status", f.Status, "use 500 to 599")
	case strings.ContainsAny(f.Code, ",;= \t\r\n"):
		return bad("Code", fmt.Sprintf("%q", f.Code), "use a word without separators")
	}
	return nil
}

func validateMix(faults []Fault) error {
	sum := 0.0
	for _, f := range faults {
		if err := f.validate(); err != nil {
			return err
		}
		sum += f.Rate
	}
	if sum > 1+1e-9 {
		return fmt.Errorf("fakepay: the rates of Faults add up to %g: let them stay within 1", sum)
	}
	return nil
}

func validateScripts(scripts map[string][]Fault) error {
	var errs []error
	for _, reference := range slices.Sorted(maps.Keys(scripts)) {
		for i, f := range scripts[reference] {
			if err := f.validate(); err != nil {
				errs = append(errs, fmt.Errorf("Scripts[%q][%d]: %w", reference, i, err))
			}
		}
	}
	return errors.Join(errs...)
}
