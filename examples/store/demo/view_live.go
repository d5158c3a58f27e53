package demo

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/charmbracelet/lipgloss"
)

const redraw = 100 * time.Millisecond

// watchLive paints the stages again and again, in place. The function that it returns paints them a last time.
func watchLive(f *os.File, stages []*Stage) (curtain func() error) {
	quit, closed := make(chan struct{}), make(chan struct{})
	p := painter{f: f, stages: stages, renderer: lipgloss.NewRenderer(f)}
	p.paint()
	go func() {
		defer close(closed)
		ticker := time.NewTicker(redraw)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				p.paint()
			case <-quit:
				p.paint()
				p.showCursor()
				return
			}
		}
	}()
	return func() error {
		close(quit)
		<-closed
		return nil // a terminal that has gone away is none of our business
	}
}

// painter knows how much it painted, to paint over it.
type painter struct {
	f        *os.File
	stages   []*Stage
	renderer *lipgloss.Renderer
	lines    int
}

// Control sequences that every terminal of the last forty years knows.
const (
	hideCursor = "\x1b[?25l"
	showCursor = "\x1b[?25h"
	clearBelow = "\x1b[J"
	clearRest  = "\x1b[K"
)

func (p *painter) paint() {
	width, height := terminalSize(p.f)
	var scenes []Scene
	for _, s := range p.stages {
		scenes = append(scenes, s.Look())
	}
	picture := frame(p.renderer, p.stages, scenes, width, height)
	lines := strings.Split(picture, "\n")
	up := "\r"
	if p.lines > 1 {
		up = fmt.Sprintf("\r\x1b[%dA", p.lines-1)
	}
	p.lines = len(lines)
	_, _ = p.f.WriteString(hideCursor + up + strings.Join(lines, clearRest+"\n") + clearRest + clearBelow)
}

func (p *painter) showCursor() { _, _ = p.f.WriteString("\n" + showCursor) }
