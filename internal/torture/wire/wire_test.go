package wire_test

import (
	"strings"
	"testing"
	"time"

	"github.com/steadfast-go/steadfast/internal/torture/databases"
	"github.com/steadfast-go/steadfast/internal/torture/report"
	"github.com/steadfast-go/steadfast/internal/torture/wire"
)

func run(t *testing.T, c wire.Config) *report.Line {
	t.Helper()
	line, err := wire.Run(t.Context(), c)
	databases.Check(t, err)
	t.Log(line)
	return line
}

// P4, P5, P7: whatever the wire does, nothing is charged twice, lost or stuck, and nobody waits for ever. (The command goes on for
// longer, and on MariaDB too.)
func TestWire(t *testing.T) {
	t.Parallel()
	if line := run(t, wire.Config{Store: databases.Postgres, Each: 250 * time.Millisecond}); !line.OK() || line.Charges == 0 {
		t.Error("see above")
	}
}

// A store that has forgotten what it acknowledged is seen: then only provider keys help, as the design says.
func TestSeesAForgetfulFailover(t *testing.T) {
	t.Parallel()
	line := run(t, wire.Config{Store: databases.Postgres, Each: 50 * time.Millisecond, Forget: true})
	if line.Duplicates == 0 {
		t.Error("no second charge was seen: the test is blind")
	}
	for _, wrong := range line.Wrong {
		if strings.HasPrefix(wrong, "keys ") {
			t.Errorf("a provider that remembers keys was not protected by them: %s", wrong)
		}
	}
}
