package idemhttp

import (
	"encoding/json"
	"strconv"
)

// This file finds a few strings in a JSON text, in one pass and without building it: answers are read on the way of every
// request, and encoding/json would take longer than all the rest.

// Limits of what is read. A text that is nested deeper holds no codes.
const (
	maxPlaces = 64
	maxDepth  = 100
)

// look returns the strings and numbers that stand at places in a JSON text, "" for those that do not, and nil for a text that is no JSON. Where a member
// is there twice, the last one counts, as it does for encoding/json.
func look(text []byte, places [][]string) []string {
	if len(text) == 0 {
		return nil
	}
	s := scanner{text: text, places: places, found: make([]string, len(places))}
	live := uint64(0)
	for i, place := range places {
		if len(place) > 0 {
			live |= 1 << i
		}
	}
	s.spaces()
	if !s.value(0, live) {
		return nil
	}
	s.spaces()
	if s.at != len(text) {
		return nil
	}
	return s.found
}

type scanner struct {
	text   []byte
	at     int
	places [][]string
	found  []string
}

// value reads a value. live has a bit for every place that leads here: the value is at the end of depth steps.
func (s *scanner) value(depth int, live uint64) bool {
	if depth > maxDepth || s.at >= len(s.text) {
		return false
	}
	s.forget(depth, live)
	switch c := s.text[s.at]; {
	case c == '{':
		return s.object(depth, live)
	case c == '[':
		return s.array(depth, live)
	case c == '"':
		raw, ok := s.str()
		if ok {
			s.keep(depth, live, raw)
		}
		return ok
	case c == '-' || c >= '0' && c <= '9':
		from := s.at
		if !s.number() {
			return false
		}
		s.keep(depth, live, s.text[from:s.at])
		return true
	}
	return s.word("true") || s.word("false") || s.word("null")
}

func (s *scanner) object(depth int, live uint64) bool {
	s.at++
	for first := true; ; first = false {
		if s.spaces(); s.is('}') {
			return first // else it came after a comma
		}
		raw, ok := s.str()
		if !ok {
			return false
		}
		name := raw[1 : len(raw)-1]
		next := uint64(0)
		if live != 0 {
			next = s.step(depth, live, text(raw, name))
		}
		if s.spaces(); !s.is(':') {
			return false
		}
		if s.spaces(); !s.value(depth+1, next) {
			return false
		}
		if s.spaces(); s.is('}') {
			return true
		}
		if !s.is(',') {
			return false
		}
	}
}

func (s *scanner) array(depth int, live uint64) bool {
	s.at++
	for i := 0; ; i++ {
		if s.spaces(); s.is(']') {
			return i == 0
		}
		next := uint64(0)
		if live != 0 {
			next = s.step(depth, live, strconv.AppendInt(nil, int64(i), 10))
		}
		if !s.value(depth+1, next) {
			return false
		}
		if s.spaces(); s.is(']') {
			return true
		}
		if !s.is(',') {
			return false
		}
	}
}

// step returns which of the live places go on by this name.
func (s *scanner) step(depth int, live uint64, name []byte) (next uint64) {
	for i, place := range s.places {
		if live&(1<<i) != 0 && depth < len(place) && place[depth] == string(name) {
			next |= 1 << i
		}
	}
	return next
}

// keep takes a value for the places that end here, forget drops what an earlier member of the same name held.
func (s *scanner) keep(depth int, live uint64, raw []byte) {
	for i, place := range s.places {
		if live&(1<<i) != 0 && len(place) == depth {
			if raw[0] == '"' {
				s.found[i] = string(text(raw, raw[1:len(raw)-1]))
			} else {
				s.found[i] = string(raw)
			}
		}
	}
}

func (s *scanner) forget(depth int, live uint64) {
	if live == 0 || depth == 0 {
		return
	}
	for i := range s.places {
		if live&(1<<i) != 0 {
			s.found[i] = ""
		}
	}
}

// text is what a string says: mostly what stands between the quotes.
func text(raw, inner []byte) []byte {
	for _, c := range inner {
		if c == '\\' || c >= 0x80 {
			var s string
			if json.Unmarshal(raw, &s) != nil {
				return nil
			}
			return []byte(s)
		}
	}
	return inner
}

// str reads a string, quotes included.
func (s *scanner) str() (raw []byte, ok bool) {
	from := s.at
	if !s.is('"') {
		return nil, false
	}
	for s.at < len(s.text) {
		c := s.text[s.at]
		s.at++
		switch {
		case c == '"':
			return s.text[from:s.at], true
		case c < ' ':
			return nil, false
		case c == '\\':
			if !s.escape() {
				return nil, false
			}
		}
	}
	return nil, false
}

func (s *scanner) escape() bool {
	if s.at >= len(s.text) {
		return false
	}
	c := s.text[s.at]
	s.at++
	switch c {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return true
	case 'u':
		for range 4 {
			if s.at >= len(s.text) || !isHex(s.text[s.at]) {
				return false
			}
			s.at++
		}
		return true
	}
	return false
}

func isHex(c byte) bool { return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F' }

// number reads a number (RFC 8259, section 6).
func (s *scanner) number() bool {
	s.is('-')
	if !s.is('0') && !s.digits() {
		return false
	}
	if s.is('.') && !s.digits() {
		return false
	}
	if s.is('e') || s.is('E') {
		if !s.is('+') {
			s.is('-')
		}
		return s.digits()
	}
	return true
}

func (s *scanner) digits() bool {
	from := s.at
	for s.at < len(s.text) && s.text[s.at] >= '0' && s.text[s.at] <= '9' {
		s.at++
	}
	return s.at > from
}

func (s *scanner) spaces() {
	for s.at < len(s.text) {
		switch s.text[s.at] {
		case ' ', '\t', '\r', '\n':
			s.at++
		default:
			return
		}
	}
}

// is reads one byte if it is there.
func (s *scanner) is(c byte) bool {
	if s.at < len(s.text) && s.text[s.at] == c {
		s.at++
		return true
	}
	return false
}

func (s *scanner) word(w string) bool {
	if len(s.text)-s.at < len(w) || string(s.text[s.at:s.at+len(w)]) != w {
		return false
	}
	s.at += len(w)
	return true
}
