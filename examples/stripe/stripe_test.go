package main

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The short form of what the command does. What stripe-go alone makes of it is shown, and depends on the dice.
func TestEveryOrderIsChargedOnce(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), []string{"-n", "100", "-at", "50", "-json"}, &out))
	var r Report
	require.NoError(t, json.Unmarshal(out.Bytes(), &r))
	t.Log(out.String())
	assert.Equal(t, 100, r.Protected.ChargedOnce)
	assert.Equal(t, 100, r.Protected.Told)
	assert.Greater(t, r.Protected.Requests, 100, "else nothing went wrong")
	assert.Positive(t, r.Bare.Duplicates+r.Bare.Lost+r.Bare.Mistold, "else this shows nothing")
	assert.Equal(t, 100, r.Server.Paid)
	assert.Equal(t, 100, r.Server.Executed)
	assert.Positive(t, r.Server.Replayed)
	assert.Equal(t, r.Server.Requests > 100, r.Server.Replayed > 0)
}

func TestBadFlags(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"-n", "0"}, {"-at", "0"}, {"-faults", "1"}, {"-faults", "NaN"}, {"pay"}, {"-x"}} {
		assert.Error(t, run(t.Context(), args, new(bytes.Buffer)), args)
	}
}
