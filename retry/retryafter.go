package retry

import (
	"math"
	"strings"
	"time"
)

// The three forms of an HTTP-date, RFC 9110 section 5.6.7. GMT is literal: a zone's name would be parsed, and ignored.
const (
	imfFixdate = "Mon, 02 Jan 2006 15:04:05 GMT"
	rfc850     = "Monday, 02-Jan-06 15:04:05 GMT"
	asctime    = "Mon Jan _2 15:04:05 2006"
)

// ParseRetryAfter reads the value of a Retry-After header (RFC 9110 section 10.2.3): seconds, or an HTTP-date, which is
// compared with now. ok is false for anything else, the empty string included. The result is never negative: a date
// that has passed means zero. A number or a date too large for a Duration means the longest one.
//
//	if d, ok := retry.ParseRetryAfter(res.Header.Get("Retry-After"), time.Now()); ok {
//		err = retry.After(d, err)
//	}
func ParseRetryAfter(header string, now time.Time) (d time.Duration, ok bool) {
	header = strings.Trim(header, " \t")
	if d, ok := deltaSeconds(header); ok {
		return d, true
	}
	for _, layout := range [...]string{imfFixdate, rfc850, asctime} {
		t, err := time.Parse(layout, header)
		if err != nil {
			continue
		}
		if layout == rfc850 {
			t = nearestCentury(t, now)
		}
		return max(t.Sub(now), 0), true
	}
	return 0, false
}

// deltaSeconds takes digits only: strconv would also take signs and underscores, and fail on numbers that overflow.
func deltaSeconds(s string) (time.Duration, bool) {
	const longest = math.MaxInt64 / int64(time.Second)
	var n int64
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return 0, false
		}
		if n <= longest {
			n = 10*n + int64(c-'0')
		}
	}
	if n > longest {
		return math.MaxInt64, s != ""
	}
	return time.Duration(n) * time.Second, s != ""
}

// nearestCentury corrects the guess that time.Parse makes for a year of two digits (1969 to 2068). RFC 9110: a date
// that appears to be more than 50 years in the future is in the past.
func nearestCentury(t, now time.Time) time.Time {
	now = now.UTC()
	t = t.AddDate(now.Year()/100*100-t.Year()/100*100, 0, 0)
	if t.After(now.AddDate(50, 0, 0)) {
		t = t.AddDate(-100, 0, 0)
	}
	return t
}
