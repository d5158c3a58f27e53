package web

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"time"
)

const (
	visitorCookie = "visitor"
	visitorFor    = 90 * 24 * time.Hour
)

// customerOf says whose browser it is, or nothing. The cookie is a secret that only the browser knows; the shop, its
// database, its log and its providers know a customer by what cannot be turned back into it.
func customerOf(r *http.Request) string {
	cookie, err := r.Cookie(visitorCookie)
	if err != nil || !ours(cookie.Value) {
		return ""
	}
	return customer(cookie.Value)
}

func customer(secret string) string {
	sum := sha256.Sum256([]byte("customer " + secret))
	return hex.EncodeToString(sum[:16])
}

// ours says whether it looks like what welcome makes.
func ours(secret string) bool {
	return len(secret) == 26 && strings.Trim(secret, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") == ""
}

// welcome returns whose browser it is, and gives one that is new its cookie.
func welcome(w http.ResponseWriter, r *http.Request) string {
	if known := customerOf(r); known != "" {
		return known
	}
	secret := rand.Text()
	http.SetCookie(w, &http.Cookie{
		Name: visitorCookie, Value: secret, Path: "/", MaxAge: int(visitorFor.Seconds()),
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: r.TLS != nil,
	})
	return customer(secret)
}
