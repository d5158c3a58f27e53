package load_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/steadfast-go/steadfast/examples/store/load"
)

func TestLoad(t *testing.T) {
	t.Parallel()
	var out, notes bytes.Buffer
	require.NoError(t, load.Main(t.Context(), []string{"-json", "-customers", "5", "-for", "200ms", "-bank", "10ms"}, &out, &notes))
	var r load.Report
	require.NoError(t, json.Unmarshal(out.Bytes(), &r))
	assert.True(t, r.OK)
	require.NotEmpty(t, r.Databases)
	for _, d := range r.Databases {
		if d.Skipped != "" {
			continue
		}
		assert.Positive(t, d.Orders, d.Database)
		assert.Equal(t, d.Orders, d.Charges, d.Database)
		assert.Equal(t, d.Orders, d.Parcels, d.Database)
		assert.Equal(t, d.Orders, d.Receipts, d.Database)
		assert.Zero(t, d.Lost, d.Database)
	}
}

func TestBadFlags(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"-customers", "0"}, {"-for", "-1s"}, {"-bank", "slow"}, {"much"}} {
		var out, notes bytes.Buffer
		assert.Error(t, load.Main(t.Context(), args, &out, &notes), args)
	}
}
