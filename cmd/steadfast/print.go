package main

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/steadfast-go/steadfast/idempotency"
)

// What callers made up (names, values, a provider's messages) is printed so that it can neither move the cursor nor pass for
// another line or column: what is not printable is escaped.

// visibleText escapes what is not printable, in a text that may have blanks.
func visibleText(text string) string {
	var b strings.Builder
	for rest := text; rest != ""; {
		r, n := utf8.DecodeRuneInString(rest)
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, rest[0])
		case unicode.IsPrint(r):
			b.WriteRune(r)
		default:
			quoted := strconv.QuoteRune(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		}
		rest = rest[n:]
	}
	return b.String()
}

// visibleName is an operation, a scope or a key: as it is, if it cannot be taken for anything else, or in quotes as -quoted reads
// them.
func visibleName(name string) string {
	if name == "-" || !plain(name, func(r rune) bool { return unicode.IsPrint(r) && r != ' ' && r != '"' && r != '\\' }) {
		return strconv.Quote(name)
	}
	return name
}

func plain(text string, allowed func(rune) bool) bool {
	if text == "" || !utf8.ValidString(text) {
		return false
	}
	for _, r := range text {
		if !allowed(r) {
			return false
		}
	}
	return true
}

// column is a scope in a table: its name, or a dash for the empty one.
func column(scope string) string {
	if scope == "" {
		return "-"
	}
	return visibleName(scope)
}

// shellName is a name as a POSIX shell takes it, if that is possible without -quoted.
func shellName(name string) string {
	if plain(name, func(r rune) bool {
		return r < utf8.RuneSelf && (unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("_./:@%+=,-", r))
	}) && name[0] != '-' {
		return name
	}
	return "'" + strings.ReplaceAll(name, "'", `'\''`) + "'"
}

// shellNames are the words that name a call in a shell.
func shellNames(id idempotency.ID) string {
	names := []*string{&id.Operation, &id.Key, &id.Scope}
	flags := ""
	for _, n := range names {
		if *n != "" && (visibleText(*n) != *n || (*n)[0] == '-') {
			flags = "-quoted "
		}
	}
	if flags != "" {
		for _, n := range names {
			*n = strconv.QuoteToASCII(*n)
		}
	}
	if id.Scope != "" && id.Scope != `""` {
		flags += "-scope " + shellName(id.Scope) + " "
	}
	return flags + shellName(id.Operation) + " " + shellName(id.Key)
}

// titleOf names a call for people.
func titleOf(id idempotency.ID) string {
	title := visibleName(id.Operation) + " " + visibleName(id.Key)
	if id.Scope != "" {
		title += " of " + visibleName(id.Scope)
	}
	return title
}

// cut shortens a text for a table, with a mark.
func cut(text string, most int) string {
	if most <= 0 || utf8.RuneCountInString(text) <= most {
		return text
	}
	return string([]rune(text)[:most-1]) + "…"
}

// age is a duration for people: 3m12s, 2h5m, 3d4h.
func age(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d == idempotency.Never:
		return "-"
	case d < 0:
		return "-" + age(-d)
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < 2*day:
		text := d.Truncate(time.Second).String()
		if strings.HasSuffix(text, "m0s") {
			text = strings.TrimSuffix(text, "0s")
		}
		if strings.HasSuffix(text, "h0m") {
			text = strings.TrimSuffix(text, "0m")
		}
		return text
	}
	text := fmt.Sprintf("%dd", d/day)
	if hours := d % day / time.Hour; hours > 0 {
		text += fmt.Sprintf("%dh", hours)
	}
	return text
}

// ago and in are moments for people.
func ago(d time.Duration) string {
	if d == idempotency.Never {
		return "never"
	}
	return age(d) + " ago"
}

func in(d time.Duration) string {
	switch {
	case d == idempotency.Never:
		return "-"
	case d <= 0:
		return "now"
	}
	return "in " + age(d)
}

// payload prints a request or a value, each line with a margin that nothing in it can imitate.
func payload(w io.Writer, data []byte) {
	const margin = "    | "
	var text string
	switch {
	case isJSON(data):
		indented, err := json.MarshalIndent(json.RawMessage(data), "", "  ")
		if err != nil {
			indented = data
		}
		text = string(indented)
	case isText(data):
		text = string(data)
	default:
		const most = 256
		text = hex.Dump(data[:min(len(data), most)])
		if len(data) > most {
			text += fmt.Sprintf("… %d bytes more; -json prints all", len(data)-most)
		}
	}
	for line := range strings.Lines(text) {
		fmt.Fprintln(w, margin+visibleText(strings.ReplaceAll(strings.TrimRight(line, "\r\n"), "\t", "  ")))
	}
}

func isJSON(data []byte) bool { return utf8.Valid(data) && json.Valid(data) }

func isText(data []byte) bool {
	return plain(string(data), func(r rune) bool { return unicode.IsPrint(r) || r == '\n' || r == '\t' || r == '\r' })
}

// object is what -json prints. The order of its fields is kept.
type object struct {
	names  []string
	values []any
}

func (o *object) set(name string, value any) {
	o.names, o.values = append(o.names, name), append(o.values, value)
}

// text sets a field to a text, or, where that is not UTF-8, the field of that name and _base64.
func (o *object) text(name, text string) {
	if utf8.ValidString(text) {
		o.set(name, text)
	} else {
		o.set(name+"_base64", base64.StdEncoding.EncodeToString([]byte(text)))
	}
}

// seconds sets a field to a duration, unless it is never.
func (o *object) seconds(name string, d time.Duration) {
	if d != idempotency.Never {
		o.set(name, json.Number(strconv.FormatFloat(d.Seconds(), 'f', 3, 64)))
	}
}

// bytes sets a field to a request or a value: what it says, if it is JSON or text, or its bytes.
func (o *object) bytes(name string, data []byte) {
	var held object
	held.set("size", len(data))
	switch {
	case isJSON(data):
		held.set("json", json.RawMessage(data))
	case utf8.Valid(data):
		held.set("text", string(data))
	default:
		held.set("base64", base64.StdEncoding.EncodeToString(data))
	}
	o.set(name, held)
}

// MarshalJSON implements json.Marshaler.
func (o object) MarshalJSON() ([]byte, error) {
	data := []byte{'{'}
	for i, name := range o.names {
		value, err := json.Marshal(o.values[i])
		if err != nil {
			return nil, err
		}
		if i > 0 {
			data = append(data, ',')
		}
		data = strconv.AppendQuote(data, name)
		data = append(append(data, ':'), value...)
	}
	return append(data, '}'), nil
}

// print writes one object on a line.
func (s *session) print(o object) error {
	data, err := json.Marshal(o)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.out, "%s\n", data)
	return err
}
