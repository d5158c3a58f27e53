// Package processes runs parts of a test in processes of their own, which can be killed: this program again, or this test's binary.
package processes

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
)

// variable holds what another process is told.
const variable = "STEADFAST_TORTURE_PART"

// Part is what another process does, with what it was told.
type Part func(p *Player, told []byte) error

// Main plays a part and ends the process, if it was begun for one. It belongs at the beginning of main, and of TestMain.
func Main(parts map[string]Part) {
	name, told, err := unpack(os.Getenv(variable))
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	case name == "":
		return
	case parts[name] == nil:
		return // it is another package's
	}
	p := &Player{in: bufio.NewScanner(os.Stdin), out: json.NewEncoder(os.NewFile(3, "events"))}
	if err := parts[name](p, told); err != nil {
		fmt.Fprintf(os.Stderr, "part %s: %v\n", name, err)
		os.Exit(1)
	}
	os.Exit(0)
}

type packed struct {
	Part string
	Told json.RawMessage
}

func unpack(text string) (name string, told []byte, err error) {
	if text == "" {
		return "", nil, nil
	}
	var p packed
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return "", nil, fmt.Errorf("processes: %s is %q: only this program sets it: %w", variable, text, err)
	}
	return p.Part, p.Told, nil
}

// Event is what another process says.
type Event struct {
	What string
	Key  string `json:",omitempty"`
	Text string `json:",omitempty"`
	N    int64  `json:",omitempty"`
}

// Player is the process that plays a part: it says events, and hears words.
type Player struct {
	mu  sync.Mutex
	out *json.Encoder
	in  *bufio.Scanner
}

// Say says an event. Once it has returned, the event has left the process, whatever becomes of that.
func (p *Player) Say(e Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.out.Encode(e); err != nil {
		os.Exit(3) // who began this process has gone
	}
}

// Hear waits for a word. It ends the process when who began it has gone.
func (p *Player) Hear() string {
	if !p.in.Scan() {
		os.Exit(3)
	}
	return p.in.Text()
}

// Process is another process, seen from the test.
type Process struct {
	cmd   *exec.Cmd
	words io.WriteCloser
	ended chan struct{}
	err   error
}

// Spawn begins a process that plays a part. All that it says is given to heard, by one goroutine, until it has ended.
func Spawn(part string, tell any, heard func(Event)) (*Process, error) {
	told, err := json.Marshal(tell)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(packed{part, told})
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	events, out, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	p := &Process{cmd: exec.CommandContext(context.Background(), self), ended: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), variable+"="+string(text))
	p.cmd.Stderr = os.Stderr
	p.cmd.ExtraFiles = []*os.File{out}
	if p.words, err = p.cmd.StdinPipe(); err == nil {
		err = p.cmd.Start()
	}
	_ = out.Close() // it is the process's
	if err != nil {
		_ = events.Close()
		return nil, err
	}
	go func() {
		defer close(p.ended)
		defer func() { _ = events.Close() }()
		for lines := json.NewDecoder(events); ; {
			var e Event
			if lines.Decode(&e) != nil { // it has ended, perhaps in the middle of a word
				break
			}
			heard(e)
		}
		p.err = p.cmd.Wait()
	}()
	return p, nil
}

// Tell says a word to the process. One that has ended does not hear it.
func (p *Process) Tell(word string) { _, _ = io.WriteString(p.words, word+"\n") }

// Kill kills the process, as a machine that dies would, and waits until it has gone and all that it said has been heard.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // or it has ended
	<-p.ended
}

// Wait waits until the process has ended by itself.
func (p *Process) Wait() error {
	<-p.ended
	return p.err
}
