package demo_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/steadfast-go/steadfast/examples/store/demo"
)

const (
	// speed leaves 25 ms to a scheduler that is late before a run counts as disturbed.
	speed = 20
	// slowly is for what a busy machine was too slow for at speed, and where a view is tested, and not what it shows.
	slowly = speed / 10
)

func TestBothShops(t *testing.T) {
	for _, seed := range []uint64{1, 2, 3, 11} {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			report := play(t, demo.Scenarios(), seed)
			require.Equal(t, seed, report.Seed)
			for _, o := range report.Scenarios {
				replay := fmt.Sprintf("go run ./examples/store demo -scenario %s -seed %d", o.Name, seed)
				checkNaive(t, o, replay)
				checkProtected(t, o, replay)
				wrong := wrongTimes(o)
				if wrong == "" || o.Disturbed {
					continue
				}
				t.Logf("%s, at %d demo seconds a second: %s: again, slowly", o.Name, speed, wrong)
				scenario, err := demo.Select(o.Name)
				require.NoError(t, err)
				again, err := demo.Play(t.Context(), scenario, seed, slowly)
				require.NoError(t, err)
				if slow := again.Scenarios[0]; slow.Disturbed {
					t.Logf("%s: the machine is too busy, times are not judged", o.Name)
				} else {
					assert.Empty(t, wrongTimes(slow), replay)
				}
			}
		})
	}
}

// play plays scenarios fast, and again slowly if a demo second was too short for this machine.
func play(t *testing.T, scenarios []demo.Scenario, seed uint64) demo.Report {
	t.Helper()
	report, err := demo.Play(t.Context(), scenarios, seed, speed)
	if errors.Is(err, context.DeadlineExceeded) {
		t.Logf("at %d demo seconds a second: %v: again, slowly", speed, err)
		report, err = demo.Play(t.Context(), scenarios, seed, slowly)
	}
	require.NoError(t, err)
	return report
}

// atSpeed is a command line at so many demo seconds a second.
func atSpeed(n int, args ...string) []string { return append(args, "-speed", strconv.Itoa(n)) }

// checkNaive holds on any machine, however busy.
func checkNaive(t *testing.T, o demo.Outcome, replay string) {
	t.Helper()
	if o.Name == "timeouts" || o.Name == "doubleclick" {
		assert.GreaterOrEqual(t, o.Naive.Charges, 2, "the naive shop sends a new request without a key: %s", replay)
		assert.Positive(t, o.Naive.OverchargedCents, replay)
	}
	assert.LessOrEqual(t, o.Naive.Parcels, 1, replay)
}

// checkProtected holds on any machine, however busy.
func checkProtected(t *testing.T, o demo.Outcome, replay string) {
	t.Helper()
	p := o.Protected
	assert.Equal(t, 1, p.Charges, "exactly one charge: %s", replay)
	assert.Equal(t, 1, p.Parcels, "exactly one parcel: %s", replay)
	assert.Zero(t, p.OverchargedCents, replay)
	require.NotEmpty(t, p.Told, "the customer is told in any case: %s", replay)
	assert.Equal(t, "shipped", p.Told[len(p.Told)-1], replay)
	emails := 1
	if o.Name == "declined" {
		emails = 2 // the decline is told by e-mail, too
	}
	assert.Equal(t, emails, p.Emails, replay)
}

// wrongTimes says what a run shows that it should not, if the machine had time for it.
func wrongTimes(o demo.Outcome) string {
	const limit = 5000
	told := strings.Join(o.Protected.Told, " ")
	switch {
	case o.Protected.FirstAnswerMS < 0 || o.Protected.FirstAnswerMS > limit:
		return fmt.Sprintf("the shop answers after 3 s at most, and took %d ms", o.Protected.FirstAnswerMS)
	case (o.Name == "happy" || o.Name == "declined" || o.Name == "slow") && o.Naive.Charges != 1:
		return fmt.Sprintf("the naive shop charges once, and charged %d times", o.Naive.Charges)
	case o.Name == "slow" && (o.Naive.Emails > 0 || len(o.Naive.Told) > 0):
		return "the naive shop's customer is gone before the bank answers, and was told"
	case o.Name == "slow" && told != "pending shipped":
		return "the customer is told pending and shipped, and was told " + told
	case o.Name == "outage" && o.Naive.Charges > 0:
		return "the naive shop's customer gives up before the bank is back, and was charged"
	case o.Name == "outage" && o.Protected.Told[0] != "paused":
		return "the breaker opens within the 3 s, and the customer was told " + told
	}
	return ""
}

func TestSeedsGiveOtherTimes(t *testing.T) {
	t.Parallel()
	happy, err := demo.Select("happy")
	require.NoError(t, err)
	answers := map[int64]bool{}
	for seed := range uint64(4) {
		r := play(t, happy, seed)
		answers[r.Scenarios[0].Protected.FirstAnswerMS] = true
	}
	assert.Greater(t, len(answers), 1, "latencies must follow from the seed")
}

func TestJSON(t *testing.T) {
	t.Parallel()
	var out, notes bytes.Buffer
	require.NoError(t, demo.Main(t.Context(), atSpeed(slowly, "-json", "-scenario", "happy", "-seed", "9"), &out, &notes))
	assert.Equal(t, 1, strings.Count(out.String(), "\n"), "exactly one object")
	decoder := json.NewDecoder(&out)
	decoder.DisallowUnknownFields()
	type side struct {
		Attempts         *int      `json:"attempts"`
		Charges          *int      `json:"charges"`
		Refunds          *int      `json:"refunds"`
		Parcels          *int      `json:"parcels"`
		Emails           *int      `json:"emails"`
		Told             *[]string `json:"told"`
		OverchargedCents *int64    `json:"overcharged_cents"`
		FirstAnswerMS    *int64    `json:"first_answer_ms"`
	}
	var got struct {
		Seed      uint64 `json:"seed"`
		Scenarios []struct {
			Name      string `json:"name"`
			Naive     side   `json:"naive"`
			Protected side   `json:"protected"`
		} `json:"scenarios"`
		OK bool `json:"ok"`
	}
	require.NoError(t, decoder.Decode(&got))
	assert.Equal(t, uint64(9), got.Seed)
	assert.True(t, got.OK)
	require.Len(t, got.Scenarios, 1)
	for _, s := range []side{got.Scenarios[0].Naive, got.Scenarios[0].Protected} {
		for _, field := range []any{s.Attempts, s.Charges, s.Refunds, s.Parcels, s.Emails, s.Told, s.OverchargedCents, s.FirstAnswerMS} {
			require.NotNil(t, field, "a member is missing")
		}
		assert.Equal(t, 1, *s.Charges)
	}
}

func TestPlainLines(t *testing.T) {
	t.Parallel()
	var out, notes bytes.Buffer
	require.NoError(t, demo.Main(t.Context(), atSpeed(slowly, "-scenario", "doubleclick"), &out, &notes))
	text := out.String()
	for _, want := range []string{"doubleclick:", "clicks again", "charges €", "a parcel leaves", "in the end"} {
		assert.Contains(t, text, want)
	}
	assert.NotContains(t, text, "\x1b", "no colours where it is piped")
}

func TestSeedRange(t *testing.T) {
	t.Parallel()
	var out, notes bytes.Buffer
	require.NoError(t, demo.Main(t.Context(), atSpeed(slowly, "-scenario", "happy", "-seeds", "3-5"), &out, &notes))
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	require.Len(t, lines, 3)
	for i, line := range lines {
		assert.Contains(t, line, fmt.Sprintf("seed %d", i+3))
		assert.Contains(t, line, "ok")
	}
}

func TestBadFlags(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"-scenario", "flood"}, `no scenario "flood"`},
		{[]string{"-speed", "0"}, "-speed is 0"},
		{[]string{"-speed", "NaN"}, "-speed is NaN"},
		{[]string{"-seeds", "9-3"}, `-seeds is "9-3"`},
		{[]string{"happy"}, `"happy" is not a flag`},
	} {
		var out, notes bytes.Buffer
		require.ErrorContains(t, demo.Main(t.Context(), c.args, &out, &notes), c.want)
	}
}

func TestInterrupted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, notes bytes.Buffer
	require.ErrorIs(t, demo.Main(ctx, []string{"-scenario", "slow"}, &out, &notes), context.Canceled)
}
