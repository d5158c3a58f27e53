package retry_test

import (
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/steadfast-go/steadfast/retry"
)

func TestParseRetryAfter(t *testing.T) {
	now := time.Date(1994, time.November, 6, 8, 49, 7, 0, time.UTC)
	for header, want := range map[string]time.Duration{
		"0":                      0,
		"120":                    2 * time.Minute,
		" 120\t":                 2 * time.Minute,
		"000000000000000000005":  5 * time.Second,
		"9223372036":             9223372036 * time.Second,
		"9223372037":             math.MaxInt64,
		"18446744073709551617":   math.MaxInt64, // 2^64+1 would wrap to 1
		strings.Repeat("9", 500): math.MaxInt64,

		"Sun, 06 Nov 1994 08:49:37 GMT":  30 * time.Second, // the three forms of RFC 9110 section 5.6.7
		"Sunday, 06-Nov-94 08:49:37 GMT": 30 * time.Second,
		"Sun Nov  6 08:49:37 1994":       30 * time.Second,
		"Sun, 06 Nov 1994 08:49:06 GMT":  0,
		"Fri, 31 Dec 9999 23:59:59 GMT":  math.MaxInt64,
	} {
		d, ok := retry.ParseRetryAfter(header, now)
		assert.True(t, ok, "%q", header)
		assert.Equal(t, want, d, "%q", header)
	}
	for _, header := range []string{
		"", " ", "-1", "+1", "1.5", "1e3", "1_000", "0x10", "１", "5s", "5, 6", "soon",
		"Sun, 06 Nov 1994 08:49:37 PST", "Sun, 06 Nov 1994 08:49:37 +0200", "Sun, 99 Nov 1994 08:49:37 GMT",
	} {
		d, ok := retry.ParseRetryAfter(header, now)
		assert.False(t, ok, "%q", header)
		assert.Zero(t, d, "%q", header)
	}
}

func TestParseRetryAfterReadsTwoDigitYears(t *testing.T) {
	for _, tc := range []struct {
		now    int
		header string
		later  bool
	}{
		{2026, "Friday, 06-Nov-26 08:49:37 GMT", true},
		{2026, "Saturday, 06-Nov-75 08:49:37 GMT", true}, // 49 years ahead
		{2026, "Sunday, 06-Nov-94 08:49:37 GMT", false},  // 68 years ahead: it is 1994
		{2071, "Friday, 06-Nov-71 08:49:37 GMT", true},   // time.Parse reads 1971
	} {
		d, ok := retry.ParseRetryAfter(tc.header, time.Date(tc.now, time.March, 1, 0, 0, 0, 0, time.UTC))
		require.True(t, ok, tc.header)
		assert.Equal(t, tc.later, d > 0, "%s read in %d gives %v", tc.header, tc.now, d)
	}
}

func FuzzParseRetryAfter(f *testing.F) {
	for _, s := range []string{
		"", "0", "120", "9223372037", "-1", "Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT",
		"Sun Nov  6 08:49:37 1994", "Monday, 29-Feb-00 00:00:00 GMT",
	} {
		f.Add(s, int64(0))
	}
	f.Fuzz(func(t *testing.T, header string, unix int64) {
		now := time.Unix(unix, 0)
		d, ok := retry.ParseRetryAfter(header, now)
		require.GreaterOrEqual(t, d, time.Duration(0))
		if !ok {
			require.Zero(t, d)
		}
		// Whatever net/http writes is read back, to the second.
		if unix > 0 && unix < 1<<37 {
			d, ok := retry.ParseRetryAfter(now.Add(time.Hour).UTC().Format(http.TimeFormat), now)
			require.True(t, ok)
			require.Equal(t, time.Hour, d)
		}
	})
}
