// Bench compares steadfast with its peers: both are measured in the same run, round by round in turn, and the medians of
// the rounds are held against the bars that the project has set itself. Exit status 1 says that a bar was missed.
//
//	go run ./internal/bench            a table
//	go run ./internal/bench -json      a JSON object per case
//	go run ./internal/bench -case ^b   cases by name
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"runtime/debug"
	"strings"
	"text/tabwriter"
	"time"
)

// A contest is one case: ours, a peer's nearest equivalent, and the bar.
type contest struct {
	name string
	ours side
	peer side
	// what names the peer, modules lists what it is made of: their versions are read from this program's build info.
	what    string
	modules []string

	maxRatio  float64 // ours over peer; zero: no bar
	maxNs     float64 // zero: no bar
	maxAllocs uint64
	// scales: ours at GOMAXPROCS 2 must not cost more per call than at GOMAXPROCS 1.
	scales bool
}

// line is what is printed of a case.
type line struct {
	Case        string   `json:"case"`
	OursNs      float64  `json:"ours_ns"`
	OursAllocs  uint64   `json:"ours_allocs"`
	Peer        string   `json:"peer"`
	PeerVersion string   `json:"peer_version"`
	PeerNs      float64  `json:"peer_ns"`
	PeerAllocs  uint64   `json:"peer_allocs"`
	Ratio       float64  `json:"ratio"`
	Bar         string   `json:"bar"`
	OK          bool     `json:"ok"`
	OursOneCPU  *float64 `json:"ours_1cpu_ns,omitempty"`
	PeerOneCPU  *float64 `json:"peer_1cpu_ns,omitempty"`

	allocsOK bool
}

func main() {
	asJSON := flag.Bool("json", false, "print a JSON object per case")
	rounds := flag.Int("rounds", 21, "rounds per side, at least 10")
	target := flag.Duration("round", 30*time.Millisecond, "length of a round")
	only := flag.String("case", "", "regular expression: run these cases only")
	lenient := flag.Bool("lenient", false, "let only the number of allocations decide the exit status: times are the machine's as well as ours")
	flag.Parse()
	match, err := regexp.Compile(*only)
	if err != nil || *rounds < 10 || flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "bench: -case takes a regular expression, -rounds at least 10; no other arguments:", err)
		os.Exit(2)
	}

	warnIfBusy()
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetEscapeHTML(false) // "<=" stays readable
	var table *tabwriter.Writer
	if !*asJSON {
		fmt.Printf("%s, %s/%s, GOMAXPROCS %d; medians of %d rounds, interleaved; ns and allocations per call\n\n",
			runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.GOMAXPROCS(0), *rounds)
		table = tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "case\tours\tpeer\tratio\tbar\t\tpeer is")
	}
	missed := false
	for _, c := range contests() {
		if !match.MatchString(c.name) {
			continue
		}
		l := c.measure(*rounds, *target)
		missed = missed || !l.allocsOK || !l.OK && !*lenient
		if *asJSON {
			must(encoder.Encode(l))
			continue
		}
		verdict := "ok"
		if !l.OK {
			verdict = "MISSED"
		}
		fmt.Fprintf(table, "%s\t%s, %d\t%s, %d\t%.2f\t%s\t%s\t%s %s\n", l.Case, nanos(l.OursNs, l.OursOneCPU), l.OursAllocs,
			nanos(l.PeerNs, l.PeerOneCPU), l.PeerAllocs, l.Ratio, l.Bar, verdict, l.Peer, l.PeerVersion)
	}
	if table != nil {
		_ = table.Flush() // standard output: there is nobody left to tell
	}
	if missed {
		os.Exit(1)
	}
}

// warnIfBusy says on standard error when others use the machine: the bars in nanoseconds mean little then. Ratios suffer
// less, allocations not at all.
func warnIfBusy() {
	data, err := os.ReadFile("/proc/loadavg") // where there is none, nothing is said
	if err != nil {
		return
	}
	var load float64
	if _, err := fmt.Sscan(string(data), &load); err == nil && load > float64(runtime.NumCPU())*0.75 {
		fmt.Fprintf(os.Stderr, "bench: the machine is busy (load %.1f on %d CPUs): times will be too high\n", load, runtime.NumCPU())
	}
}

func nanos(ns float64, one *float64) string {
	if one != nil {
		return fmt.Sprintf("%.1f (%.1f on 1)", ns, *one)
	}
	return fmt.Sprintf("%.1f", ns)
}

func (c contest) measure(rounds int, target time.Duration) line {
	procs := runtime.GOMAXPROCS(0)
	if c.scales {
		procs = 2
	}
	ours, peer := newGauge(c.ours, procs, target), newGauge(c.peer, procs, target)
	gauges := []*gauge{ours, peer}
	var ours1, peer1 *gauge
	if c.scales {
		ours1, peer1 = newGauge(c.ours, 1, target), newGauge(c.peer, 1, target)
		gauges = append(gauges, ours1, peer1)
	}
	interleave(rounds, gauges...)

	o, p := ours.median(), peer.median()
	l := line{
		Case: c.name, OursNs: round(o.ns), OursAllocs: o.allocs,
		Peer: c.what, PeerVersion: versions(c.modules), PeerNs: round(p.ns), PeerAllocs: p.allocs,
		Ratio: float64(int(o.ns/p.ns*1000+0.5)) / 1000,
	}
	var bars []string
	l.OK = true
	if c.maxRatio > 0 {
		bars = append(bars, fmt.Sprintf("ratio <= %g", c.maxRatio))
		l.OK = l.OK && l.Ratio <= c.maxRatio
	}
	if c.maxNs > 0 {
		bars = append(bars, fmt.Sprintf("<= %g ns", c.maxNs))
		l.OK = l.OK && o.ns <= c.maxNs
	}
	if c.scales {
		a, b := round(ours1.median().ns), round(peer1.median().ns)
		l.OursOneCPU, l.PeerOneCPU = &a, &b
		bars = append(bars, "GOMAXPROCS 2 <= 1")
		l.OK = l.OK && l.OursNs <= a
	}
	bars = append(bars, fmt.Sprintf("<= %d allocs", c.maxAllocs))
	l.allocsOK = o.allocs <= c.maxAllocs
	l.OK = l.OK && l.allocsOK
	l.Bar = strings.Join(bars, ", ")
	return l
}

func round(ns float64) float64 { return float64(int(ns*10+0.5)) / 10 }

// versions reads from the build info what was really linked.
func versions(modules []string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	var found []string
	for _, want := range modules {
		if want == "std" {
			found = append(found, info.GoVersion)
			continue
		}
		version := "unknown"
		for _, m := range info.Deps {
			if m.Path == want {
				version = m.Version
			}
		}
		if len(modules) > 1 {
			version = want[strings.Index(want, "/")+1:] + " " + version
		}
		found = append(found, version)
	}
	return strings.Join(found, ", ")
}
