package crash_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The program itself is run: it kills its own children, which a test binary has not.
func TestCrash(t *testing.T) {
	t.Parallel()
	program := filepath.Join(t.TempDir(), "store")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, "..")
	build.Env = os.Environ()
	text, err := build.CombinedOutput()
	require.NoError(t, err, string(text))

	for _, args := range [][]string{{"-crash", "-kills", "-1"}, {"-crash", "-orders", "0"}, {"-crash", "now"}} {
		assert.Error(t, exec.CommandContext(t.Context(), program, append([]string{"demo"}, args...)...).Run(), args)
	}

	var out bytes.Buffer
	demo := exec.CommandContext(context.WithoutCancel(t.Context()), program, "demo", "-crash", "-json", "-orders", "12", "-kills", "4")
	demo.Stdout, demo.Stderr = &out, os.Stderr
	require.NoError(t, demo.Run(), out.String())
	type totals struct {
		Attempts, Charges, Parcels, Emails int
		Told, Wrong                        []string
		FirstAnswerMS                      *int64 `json:"first_answer_ms"`
		OverchargedCents                   *int64 `json:"overcharged_cents"`
	}
	var report struct {
		Scenarios []struct {
			Name             string
			Naive, Protected totals
		}
		OK                   bool
		Kills, Orders, Stuck int
	}
	require.NoError(t, json.Unmarshal(out.Bytes(), &report))
	assert.True(t, report.OK)
	assert.Equal(t, [3]int{4, 12, 0}, [3]int{report.Kills, report.Orders, report.Stuck})
	require.Len(t, report.Scenarios, 1)
	p, n := report.Scenarios[0].Protected, report.Scenarios[0].Naive
	assert.Equal(t, [3]int{12, 12, 12}, [3]int{p.Charges, p.Parcels, p.Emails})
	assert.Contains(t, p.Told, "shipped")
	for _, side := range []totals{p, n} {
		require.NotNil(t, side.FirstAnswerMS)
		assert.Positive(t, *side.FirstAnswerMS)
		require.NotNil(t, side.OverchargedCents)
	}
	assert.Empty(t, p.Wrong)
	assert.Zero(t, *p.OverchargedCents)

	// The first answer about its tenth order is lost, wherever the kills fall.
	assert.GreaterOrEqual(t, n.Attempts, 13, "the naive shop asks again")
	assert.Greater(t, n.Charges, 12, "and the bank charges again")
	assert.Positive(t, *n.OverchargedCents)
	assert.NotEmpty(t, n.Wrong)
	assert.Contains(t, n.Told, "paid")
	assert.LessOrEqual(t, n.Parcels, 12)
}
