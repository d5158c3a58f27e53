package fakepay

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// clause is one condition of a search: https://docs.stripe.com/search#search-query-language.
type clause struct {
	not   bool
	field string // metadata, status, currency, amount, created
	name  string // of the metadata
	op    byte   // ':', '>' or '<'
	equal bool   // with > and <
	value string
	n     int64
}

// parseSearch reads clauses that are joined by AND, such as metadata['order_id']:'7' AND status:'succeeded'.
func parseSearch(query string) (clauses []clause, err error) {
	for rest := query; ; {
		var c clause
		if c, rest, err = parseClause(strings.TrimSpace(rest)); err != nil {
			return nil, err
		}
		clauses = append(clauses, c)
		if rest = strings.TrimSpace(rest); rest == "" {
			return clauses, nil
		}
		word, after, _ := strings.Cut(rest, " ")
		switch strings.ToUpper(word) {
		case "AND":
			rest = after
		case "OR":
			return nil, errors.New("OR is more than this provider understands: search twice")
		default:
			return nil, fmt.Errorf("join clauses by AND, not by %q", word)
		}
	}
}

func parseClause(s string) (c clause, rest string, err error) {
	s, c.not = strings.CutPrefix(s, "-")
	end := strings.IndexAny(s, "[:<>~")
	if end < 0 {
		return c, "", fmt.Errorf("a clause is field:value, not %q", s)
	}
	c.field, s = strings.TrimSpace(s[:end]), s[end:]
	if c.field == "metadata" {
		if !strings.HasPrefix(s, "[") {
			return c, "", errors.New("name the metadata, as in metadata['order_id']")
		}
		if c.name, s, err = parseQuoted(s[1:]); err != nil {
			return c, "", err
		}
		var closed bool
		if s, closed = strings.CutPrefix(s, "]"); !closed || s == "" {
			return c, "", errors.New("a metadata's name stands in ['…'], and a value comes after it")
		}
	}
	c.op, s = s[0], s[1:]
	switch c.field {
	case "metadata", "status", "currency":
		if c.op != ':' {
			return c, "", fmt.Errorf("%s can be compared with : only", c.field)
		}
		c.value, rest, err = parseQuoted(s)
		return c, rest, err
	case "amount", "created":
		if c.op == '[' || c.op == '~' {
			return c, "", fmt.Errorf("%s can be compared with :, <, <=, > and >=", c.field)
		}
		if c.op != ':' {
			s, c.equal = strings.CutPrefix(s, "=")
		}
		value, after, _ := strings.Cut(s, " ")
		c.n, err = strconv.ParseInt(value, 10, 64)
		if err != nil {
			return c, "", fmt.Errorf("%s is a number, not %q", c.field, value)
		}
		return c, after, nil
	}
	return c, "", fmt.Errorf("%q cannot be searched for: use metadata, status, currency, amount or created", c.field)
}

// parseQuoted reads a string in single or double quotes, with \ before a quote in it.
func parseQuoted(s string) (value, rest string, err error) {
	if s == "" || s[0] != '\'' && s[0] != '"' {
		return "", "", errors.New("a string stands in quotes")
	}
	quote := s[0]
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == quote:
			return b.String(), s[i+1:], nil
		case s[i] == '\\' && i+1 < len(s):
			i++
		}
		b.WriteByte(s[i])
	}
	return "", "", errors.New("a string has no end: the quote is missing")
}

// fits is called with the book's lock held.
func (c clause) fits(in *intent) bool {
	var fits bool
	switch c.field {
	case "metadata":
		fits = in.metadata[c.name] == c.value
	case "status":
		fits = in.status() == c.value
	case "currency":
		fits = strings.EqualFold(in.currency, c.value)
	case "amount":
		fits = c.compare(in.amount)
	case "created":
		fits = c.compare(in.created.Unix())
	}
	return fits != c.not
}

func (c clause) compare(n int64) bool {
	switch c.op {
	case '>':
		return n > c.n || c.equal && n == c.n
	case '<':
		return n < c.n || c.equal && n == c.n
	}
	return n == c.n
}
