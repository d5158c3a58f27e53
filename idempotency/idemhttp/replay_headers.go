package idemhttp

import (
	"net/http"
	"slices"
	"strings"
)

// ReplayedHeader marks a response that was recorded before: its value is then "true".
const ReplayedHeader = "Idempotent-Replayed"

// ReplayedHeaders returns the response headers that are recorded and replayed by default: those that describe the response's content and
// the resource it speaks of. See [Config].ReplayHeaders for more.
func ReplayedHeaders() []string {
	return []string{
		"Cache-Control", "Content-Digest", "Content-Disposition", "Content-Encoding", "Content-Language", "Content-Location", "Content-Type",
		"Etag", "Last-Modified", "Link", "Location", "Preference-Applied", "Repr-Digest", "Vary",
	}
}

// never are headers that must not be replayed (T47): they hold what belongs to one client (cookies, credentials), to one
// connection (RFC 9110, section 7.6.1), or to the moment of one response.
var never = []string{
	"Set-Cookie", "Set-Cookie2", "Cookie", "Authorization", "Www-Authenticate", "Authentication-Info", "Proxy-Authenticate",
	"Proxy-Authentication-Info", "Proxy-Authorization", "Clear-Site-Data",
	"Connection", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Http2-Settings", "Alt-Svc",
	"Date", "Age", "Content-Length", ReplayedHeader, KeyHeader,
}

func neverReplayed(name string) bool {
	canonical := http.CanonicalHeaderKey(strings.TrimSpace(name))
	return canonical == "" || slices.Contains(never, canonical)
}
