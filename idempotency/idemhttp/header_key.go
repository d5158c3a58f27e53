package idemhttp

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/steadfast-go/steadfast/idempotency"
)

// KeyHeader is the request header that carries the key (draft, section 2).
const KeyHeader = "Idempotency-Key"

var (
	errTwoKeys  = errors.New("the request has more than one " + KeyHeader + " header field, send one")
	errNoString = errors.New("the value is not a structured-field string: put the key in double quotes")
	errBadBare  = errors.New("a key without quotes has none of space, quote, comma, semicolon, backslash and what is not printable ASCII")
	errEnding   = errors.New("the value does not end with the closing quote of its string")
	errEscape   = errors.New("a backslash in the string stands before something else than a quote or a backslash")
	errControl  = errors.New("the key has characters that are not printable ASCII")
	errEmptyKey = errors.New("the key is empty")
	errLongKey  = fmt.Errorf("the key is longer than %d bytes", idempotency.MaxKey)
)

// readKey returns the key of a request. found is false where it has none.
func readKey(h http.Header, bare bool) (key string, found bool, err error) {
	lines := h[KeyHeader]
	switch len(lines) {
	case 0:
		return "", false, nil
	case 1:
		key, err = parseKey(lines[0], bare)
		return key, true, err
	default: // draft, section 2.1: at most one; RFC 9651, section 4.2 would join them to what is no string
		return "", true, errTwoKeys
	}
}

// parseKey reads a structured-field string without parameters (draft, section 2.1; RFC 9651, sections 3.3.3 and 4.2.5), or a
// bare key. It never guesses: who is refused has lost nothing, and two readings of one key could execute it twice.
func parseKey(value string, bare bool) (string, error) {
	value = strings.Trim(value, " ")
	var key string
	var err error
	switch {
	case strings.HasPrefix(value, `"`):
		key, err = parseString(value)
	case !bare && value != "":
		err = errNoString
	default:
		key, err = value, checkBare(value)
	}
	switch {
	case err != nil:
		return "", err
	case key == "":
		return "", errEmptyKey
	case len(key) > idempotency.MaxKey:
		return "", errLongKey
	}
	return key, nil
}

// parseString reads a string that begins with its quote. It allocates only where something is escaped.
func parseString(value string) (string, error) {
	inner := value[1:]
	end := strings.IndexAny(inner, `"\`)
	var unescaped strings.Builder
	for ; ; end = strings.IndexAny(inner, `"\`) {
		if end < 0 {
			return "", errEnding
		}
		if !printable(inner[:end]) {
			return "", errControl
		}
		if inner[end] == '"' {
			break
		}
		if end+1 == len(inner) || inner[end+1] != '"' && inner[end+1] != '\\' {
			return "", errEscape
		}
		unescaped.WriteString(inner[:end])
		unescaped.WriteByte(inner[end+1])
		inner = inner[end+2:]
	}
	if end+1 != len(inner) { // parameters, too: the draft's Idempotency-Key is a string alone
		return "", errEnding
	}
	if unescaped.Len() == 0 {
		return inner[:end], nil
	}
	unescaped.WriteString(inner[:end])
	return unescaped.String(), nil
}

func checkBare(value string) error {
	if !printable(value) || strings.ContainsAny(value, " \",;\\") {
		return errBadBare
	}
	return nil
}

func printable(s string) bool {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] > 0x7e {
			return false
		}
	}
	return true
}
