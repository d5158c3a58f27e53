package chance_test

import (
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/steadfast-go/steadfast/internal/chance"
)

func TestRanges(t *testing.T) {
	ends := map[time.Duration]bool{}
	for range 1000 {
		d := chance.Upto(2)
		require.Contains(t, []time.Duration{0, 1, 2}, d)
		ends[d] = true
		require.Contains(t, []time.Duration{2, 3, 4, 5}, chance.Half(5))
	}
	assert.Len(t, ends, 3, "both ends are drawn")
	assert.Zero(t, chance.Upto(-1))
	assert.Zero(t, chance.Half(0))
	assert.GreaterOrEqual(t, chance.Half(math.MaxInt64), time.Duration(math.MaxInt64/2))
}

func TestSeed(t *testing.T) { synctest.Test(t, testSeed) }

func testSeed(t *testing.T) {
	draw := func() (a time.Duration, b [16]byte) {
		defer chance.Seed(7)()
		chance.Token(&b)
		return chance.Upto(math.MaxInt64), b
	}
	d1, t1 := draw()
	d2, t2 := draw()
	assert.Equal(t, d1, d2)
	assert.Equal(t, t1, t2)
	var free [16]byte
	chance.Token(&free)
	assert.NotEqual(t, t1, free, "restored")
	assert.NotEqual(t, d1, chance.Upto(math.MaxInt64))
}
