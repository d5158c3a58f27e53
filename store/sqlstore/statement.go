package sqlstore

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// kind is the type of a parameter. PostgreSQL must be told where it cannot infer it.
type kind uint8

const (
	integer kind = iota
	bytes
)

// param is a parameter of a statement, by the name that its source calls it.
type param struct {
	name string
	kind kind
}

func integers(names ...string) []param { return params(integer, names) }
func blobs(names ...string) []param    { return params(bytes, names) }

func params(k kind, names []string) []param {
	list := make([]param, len(names))
	for i, name := range names {
		list[i] = param{name, k}
	}
	return list
}

// statement is one statement in the words of one dialect. Arguments are given in the order of its parameters, once each,
// however often the text names them.
type statement struct {
	text  string
	order []int // where placeholders have no numbers: which argument stands at each
	once  bool  // it is not worth preparing
}

var named = regexp.MustCompile(`:[a-z_]+\d*`)

// compile puts the dialect's placeholders in the place of each :name.
func compile(d Dialect, source string, list ...[]param) statement {
	parameters := slices.Concat(list...)
	index := make(map[string]int, len(parameters))
	for i, p := range parameters {
		index[":"+p.name] = i
	}
	var s statement
	s.text = named.ReplaceAllStringFunc(source, func(name string) string {
		i, ok := index[name]
		if !ok {
			panic("sqlstore: a statement names " + name + ", which is not among its parameters: " + source)
		}
		if d == MySQL {
			s.order = append(s.order, i)
		}
		return placeholder(d, i+1, parameters[i].kind)
	})
	return s
}

// placeholder is how the dialect writes its n-th parameter.
func placeholder(d Dialect, n int, k kind) string {
	switch d {
	case PostgreSQL:
		if k == bytes {
			return "$" + strconv.Itoa(n) + "::bytea"
		}
		return "$" + strconv.Itoa(n) + "::bigint"
	case SQLite:
		return "?" + strconv.Itoa(n)
	default:
		return "?"
	}
}

// arrange puts arguments where the placeholders expect them.
func (s *statement) arrange(args []any) []any {
	if s.order == nil {
		return args
	}
	list := make([]any, len(s.order))
	for at, i := range s.order {
		list[at] = args[i]
	}
	return list
}

// anyOf is a condition that holds for the rows with one of n keys, whose first argument has the number first. It is written as
// alternatives: that is what all optimizers read as ranges of the index.
func anyOf(d Dialect, n, first int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat(" OR ", min(i, 1)) + "(")
		for j, c := range keyColumns {
			b.WriteString(strings.Repeat(" AND ", min(j, 1)) + c.name + " = " + placeholder(d, first+i*len(keyColumns)+j, c.kind))
		}
		b.WriteString(")")
	}
	return "(" + b.String() + ")"
}
