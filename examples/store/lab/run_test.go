package lab_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/steadfast-go/steadfast/examples/store/lab"
)

// fast leaves 25 ms to a scheduler that is late before times are no longer exact.
const fast = "&speed=20"

// charges counts the lines of a ledger.
func charges(ledger string) int { return strings.Count(ledger, "#i-coin") }

func TestBothSidesAreJudgedByTheLedger(t *testing.T) {
	v, _ := visit(t, lab.Config{MaxPlaying: 9})
	for _, c := range []struct {
		name, query string
		naive       int // charges, at least
	}{
		{"slow", "scenario=slow", 1},
		{"timeouts", "scenario=timeouts", 2},
		{"doubleclick", "scenario=doubleclick", 2},
		{"killed", "scenario=happy&kill=0.4", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			v := visitor{t, v.url, v.web}
			end := v.watch(v.play(c.query + fast))
			assert.GreaterOrEqual(t, charges(end["naive-ledger"]), c.naive, end["naive-ledger"])
			assert.Contains(t, end["naive-verdict"], `class="verdict wrong"`)
			if c.naive > 1 {
				assert.Contains(t, end["naive-picture"], "burst", "a second charge hits the eye")
			}
			assert.Equal(t, 1, charges(end["protected-ledger"]), end["protected-ledger"])
			assert.Contains(t, end["protected-verdict"], `class="verdict right"`, end["protected-verdict"])
			assert.NotContains(t, end["protected-picture"], "burst")
			assert.Equal(t, 1, strings.Count(end["protected-deliveries"], "#i-parcel"))
			assert.Contains(t, end["protected-deliveries"], "Your order is on its way")
		})
	}
}

func TestTheLinkRepeatsTheRun(t *testing.T) {
	v, _ := visit(t, lab.Config{})
	const slowly = "&speed=4" // the naive shop's patience must not depend on the machine
	query := v.play("scenario=doubleclick&seed=7&latency=2.04&lost=10" + slowly)
	assert.Equal(t, "latency=2&lost=10&scenario=doubleclick&seed=7&speed=4", query, "all of it, rounded, nothing else")
	first := v.watch(query)
	assert.Contains(t, v.get("/lab?"+query).body, "finished", "who opens the link sees the run")

	again := v.watch(v.play(query))
	// Identifiers, amounts and what each request meets follow from the settings alone.
	assert.Equal(t, first["protected-ledger"], again["protected-ledger"])
	assert.Equal(t, first["naive-ledger"], again["naive-ledger"])

	other := v.watch(v.play("scenario=doubleclick&seed=8&latency=2&lost=10" + slowly))
	assert.NotEqual(t, first["protected-ledger"], other["protected-ledger"])
}

func TestTwoClicksPlayOneRun(t *testing.T) {
	v, _ := visit(t, lab.Config{MaxPlaying: 1})
	query := v.play("scenario=slow&speed=0.5")
	assert.Equal(t, query, v.play("scenario=slow&speed=0.5"), "it joins the first")
}

func TestKilledByHand(t *testing.T) {
	v, _ := visit(t, lab.Config{})
	query := v.play("scenario=slow&speed=10")
	s := v.stream(query)
	for { // until the bank has both requests
		name, pieces := s.next()
		require.Equal(t, "pieces", name)
		if strings.Contains(pieces["protected-picture"], "b-keyed") {
			break
		}
	}
	a := v.post("/lab/kill", query)
	require.Equal(t, http.StatusSeeOther, a.status)
	link := a.header.Get("Location")
	require.Contains(t, link, "kill=", "the link repeats that, too")
	require.Contains(t, link, "speed=10")
	assert.Equal(t, link, v.post("/lab/kill", query).header.Get("Location"), "a second click finds the same run")
	end := v.watch(strings.TrimPrefix(link, "/lab?"))
	for _, side := range []string{"naive", "protected"} {
		assert.Contains(t, end[side+"-picture"], "#i-skull", side)
	}
	assert.Contains(t, end["naive-verdict"], "wrong")
	assert.Contains(t, end["protected-verdict"], "right")
	assert.Equal(t, 1, charges(end["protected-ledger"]))
	assert.Contains(t, v.get("/lab?"+query).body, "not played yet", "the run without a kill is another one")
}
