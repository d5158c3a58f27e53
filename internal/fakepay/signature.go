package fakepay

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ErrSignature is what every error of Verify is.
var ErrSignature = errors.New("fakepay: the webhook's signature does not hold")

// Sign returns the value of SignatureHeader for a body: "t=<unix seconds>,v1=<hex HMAC-SHA256 of t.body>", Stripe's scheme.
func Sign(secret string, body []byte, at time.Time) string {
	t := strconv.FormatInt(at.Unix(), 10)
	return "t=" + t + ",v1=" + hex.EncodeToString(mac(secret, t, body))
}

// Verify checks a signature made by Sign that is not further from now than tolerance. Of several v1, one must hold, so that
// secrets can be exchanged. Every error is ErrSignature, and says why.
func Verify(secret, header string, body []byte, tolerance time.Duration, now time.Time) error {
	if secret == "" {
		return fmt.Errorf("%w: the secret is empty", ErrSignature)
	}
	var t string
	var sums [][]byte
	for part := range strings.SplitSeq(header, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch name {
		case "t":
			t = value
		case "v1":
			if sum, err := hex.DecodeString(value); err == nil {
				sums = append(sums, sum)
			}
		}
	}
	seconds, err := strconv.ParseInt(t, 10, 64)
	if err != nil {
		return fmt.Errorf("%w: t is %q, not a unix time", ErrSignature, t)
	}
	want := mac(secret, t, body)
	ok := false
	for _, sum := range sums {
		ok = hmac.Equal(sum, want) || ok
	}
	if !ok {
		return fmt.Errorf("%w: none of %d v1 is right", ErrSignature, len(sums))
	}
	if age := now.Sub(time.Unix(seconds, 0)).Abs(); age > tolerance {
		return fmt.Errorf("%w: it is %v away from now, more than %v", ErrSignature, age, tolerance)
	}
	return nil
}

func mac(secret, t string, body []byte) []byte {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte(t + "."))
	h.Write(body)
	return h.Sum(nil)
}
