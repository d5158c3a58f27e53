package lab

import (
	"fmt"
	"time"

	"github.com/steadfast-go/steadfast/examples/store/demo"
)

// screen is what the customer looks at.
type screen struct {
	Icon  string
	Tone  tone
	Words string // the page's own
	Since string
}

// screenOf finds the last thing that the customer saw or did.
func screenOf(s demo.Snapshot) screen {
	now, told := screen{Icon: "cart", Tone: idle, Words: "Ready to pay."}, false
	for _, e := range s.Events {
		switch e.Kind {
		case demo.Clicked:
			now = blank(s.Now - e.At)
			told = false
		case demo.Told:
			now = page(e)
			told = true
		case demo.Left:
			now.Icon = "door"
			if !told {
				now = screen{Icon: "door", Tone: wrong, Words: "Gave up. Saw nothing."}
			}
			now.Since = fmt.Sprintf("left after %.0f s", e.At.Seconds())
		}
	}
	return now
}

// blank is a page that loads and loads.
func blank(since time.Duration) screen {
	s := screen{Icon: "hourglass", Tone: waiting, Words: "Waiting for the page …", Since: fmt.Sprintf("for %.0f s", since.Seconds())}
	if since > patience {
		s.Tone = wrong
	}
	return s
}

func page(e demo.Event) screen {
	p := screen{Icon: "hourglass", Tone: waiting, Words: e.Says}
	switch e.Word {
	case "paid", "shipped":
		p.Icon, p.Tone = "tick", right
	case "failed", "forgotten", "offline":
		p.Icon, p.Tone = "cross", wrong
	case "declined":
		p.Icon = "card"
	case "open":
		p.Icon, p.Tone = "cart", idle
	}
	if e.ByMail {
		p.Icon = "mail"
	}
	return p
}
