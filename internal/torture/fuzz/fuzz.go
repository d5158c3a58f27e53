// Package fuzz finds the fuzz targets of all modules and runs them. Its own tests are targets that no other package has.
package fuzz

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/steadfast-go/steadfast/internal/torture/report"
)

// Target is one fuzz target.
type Target struct {
	Package, Name, Dir string
}

var declared = regexp.MustCompile(`(?m)^func (Fuzz\w+)\(f \*testing\.F\)`)

// Targets returns the targets of all modules of the workspace.
func Targets(ctx context.Context) (list []Target, err error) {
	out, err := output(ctx, "go", "list", "-json=Dir,ImportPath,TestGoFiles,XTestGoFiles", "work")
	if err != nil {
		return nil, err
	}
	for packages := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct {
			Dir, ImportPath           string
			TestGoFiles, XTestGoFiles []string
		}
		if err := packages.Decode(&p); errors.Is(err, io.EOF) {
			return list, nil
		} else if err != nil {
			return nil, err
		}
		for _, file := range append(p.TestGoFiles, p.XTestGoFiles...) {
			text, err := os.ReadFile(filepath.Join(p.Dir, file))
			if err != nil {
				return nil, err
			}
			for _, found := range declared.FindAllSubmatch(text, -1) {
				list = append(list, Target{p.ImportPath, string(found[1]), p.Dir})
			}
		}
	}
}

func output(ctx context.Context, program string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%s %s: %w\n%s", program, strings.Join(args, " "), err, &said)
	}
	return out, err
}

var executions = regexp.MustCompile(`execs: (\d+)`)

// Run fuzzes a target for so long. What it finds is written to the package's testdata, where ordinary tests find it again.
func Run(ctx context.Context, t Target, d time.Duration) *report.Line {
	line := report.Begin("fuzz", "")
	line.Test += " " + t.Name
	line.Runs = 1
	// What is new is not made smaller first: that takes most of the time, and finds nothing.
	cmd := exec.CommandContext(ctx, "go", "test", "-run=^$", "-fuzz=^"+t.Name+"$", "-fuzztime="+d.String(), "-fuzzminimizetime=10x", "-parallel=1", t.Package)
	cmd.Dir = t.Dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		line.Add(&line.Violations, "%s of %s: %v\n%s", t.Name, t.Package, err, out)
	}
	if all := executions.FindAllSubmatch(out, -1); len(all) > 0 {
		line.More["inputs"], _ = strconv.ParseInt(string(all[len(all)-1][1]), 10, 64) // it is a number
	}
	return line.End()
}
