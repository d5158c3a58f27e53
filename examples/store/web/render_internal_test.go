package web

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// The shop keeps its database: an order of another day says so.
func TestClock(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 0, 0, 7, 0, time.Local)
	assert.Equal(t, "00:00:07", clock(at, at.Add(23*time.Hour)))
	assert.Equal(t, "1 Mar 2026, 00:00", clock(at, at.Add(24*time.Hour)))
	assert.Equal(t, "1 Mar 2026, 00:00", clock(at, at.AddDate(1, 0, 0)))
}
