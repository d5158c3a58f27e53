package sqlstore

import (
	"encoding/hex"
	"fmt"
	"math/bits"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
)

// batchText is the statement for a batch. Its source names the values of a request :name, as a statement for one does.
type batchText struct {
	gathers             [4]string    // PostgreSQL, by what there is to do
	claims, settlements rowsText     // MariaDB: for one kind
	times               atomic.Int64 // that it was used
}

// What there is to do in a batch.
const (
	someClaim = 1 << iota
	someSettle
)

// fill returns the statement for these requests, with its arguments.
func (b *batchText) fill(batch []*request) (statement, []any) {
	todo := 0
	for _, r := range batch {
		todo |= someClaim << bit(r.settles)
	}
	switch text := b.gathers[todo]; {
	case text != "":
		// A driver prepares a text once, and the server may keep the plan that was good for a small table. So the text changes
		// with every doubling.
		again := fmt.Sprint(" /* ", bits.Len64(uint64(b.times.Add(1))), " */")
		return statement{text: text + again}, arrays(batch, todo)
	case todo == someSettle:
		return b.settlements.fill(batch, settleParams), nil
	default:
		return b.claims.fill(batch, freshColumns), nil
	}
}

var value = regexp.MustCompile(`:([a-z_]+)`)

// gathering is PostgreSQL's statement for any number of claims and settlements, or of one of the two. Of the claims that have made a
// record it says, in a row without a key, how many they are (as a fence) and when that was. It looks for the records of others only
// if there are any.
//
// Neither half may be planned to read the whole table, which looks cheap where that is small and the batch is not. So claims look
// for their keys one by one; and of the settlements the planner expects, by a condition that is always true, a single one.
func (f flavour) gathering(columns, now string, todo int) string {
	var with, said []string
	if todo&someClaim != 0 {
		with = append(with,
			"given AS MATERIALIZED (SELECT given.* FROM CLAIMS)",
			"made AS ("+f.making(now)+", given WHERE (SELECT old.fence FROM "+f.table+" AS old WHERE "+oldKey+") IS NULL"+
				" ORDER BY given.n ON CONFLICT DO NOTHING RETURNING created)",
			"counted AS (SELECT count(*) AS fence, max(created) AS now FROM made)")
		said = append(said,
			"SELECT old.*, "+now+" FROM given CROSS JOIN LATERAL (SELECT "+columns+" FROM "+f.table+" AS old WHERE "+oldKey+" LIMIT 1) AS old"+
				" WHERE (SELECT fence FROM counted) < (SELECT count(*) FROM given)",
			"SELECT "+only("", integers("fence"))+", now FROM counted WHERE fence > 0")
	}
	if todo&someSettle != 0 {
		with = append(with, "ended AS ("+f.settle(true)+")")
		said = append(said, "SELECT "+only("", kept)+", now FROM ended")
	}
	text := value.ReplaceAllString("WITH "+strings.Join(with, ", ")+" "+strings.Join(said, " UNION ALL "), "given.$1")
	first := 1
	if todo&someClaim != 0 {
		first += len(freshColumns)
	}
	return strings.NewReplacer("CLAIMS", given(freshColumns, 1), "SETTLEMENTS", given(settleParams, first)).Replace(text)
}

// given is a table of values, which come as an array for each parameter, the first of which has this number. They are written
// in PostgreSQL's own notation: that is what all drivers can pass.
//
// OFFSET 0 hides the arrays from the planner. It would see how many there are, find that a plan for so few costs less than one for
// any number, and plan each statement anew.
func given(parameters []param, first int) string {
	var names, arrays, passed []string
	for i, p := range parameters {
		names = append(names, p.name)
		arrays = append(arrays, placeholder(PostgreSQL, first+i, p.kind)+"[] AS "+p.name)
		passed = append(passed, "passed."+p.name)
	}
	return "(SELECT " + strings.Join(arrays, ", ") + " OFFSET 0) AS passed, unnest(" + strings.Join(passed, ", ") +
		") WITH ORDINALITY AS given(" + strings.Join(names, ", ") + ", n)"
}

// arrays are the arguments of gathering.
func arrays(batch []*request, todo int) []any {
	lists := [2][][]byte{make([][]byte, len(freshColumns)), make([][]byte, len(settleParams))}
	for _, r := range batch {
		for i, b := range lists[bit(r.settles)] {
			switch v := r.args[i].(type) {
			case nil:
				b = append(b, ",NULL"...)
			case int64:
				b = strconv.AppendInt(append(b, ','), v, 10)
			case []byte:
				b = append(hex.AppendEncode(append(b, `,"\\x`...), v), '"')
			default:
				panic(fmt.Sprintf("sqlstore: a value is a %T", v))
			}
			lists[bit(r.settles)][i] = b
		}
	}
	var args []any
	for kind, list := range lists {
		if todo&(someClaim<<kind) == 0 {
			continue
		}
		for _, b := range list {
			args = append(args, "{"+strings.TrimPrefix(string(b), ",")+"}")
		}
	}
	return args
}

// rowsText is MariaDB's statement for any number of requests of one kind, which are written into it: so it needs no parameters, and
// no preparing.
type rowsText struct{ head, tail string }

func inRows(source string) rowsText {
	head, tail, _ := strings.Cut(value.ReplaceAllString(source, "given.$1"), "GIVEN")
	return rowsText{head, tail}
}

func (t *rowsText) fill(batch []*request, parameters []param) statement {
	b := []byte(t.head)
	for n, r := range batch {
		if n > 0 {
			b = append(b, " UNION ALL "...)
		}
		b = append(b, "SELECT "...)
		for i, p := range parameters {
			if i > 0 {
				b = append(b, ", "...)
			}
			b = literal(b, r.args[i])
			if n == 0 {
				b = append(append(b, " AS "...), p.name...)
			}
		}
	}
	return statement{text: string(append(b, t.tail...)), once: true}
}

// literal appends a value in a notation in which nothing needs to be escaped.
func literal(b []byte, value any) []byte {
	switch v := value.(type) {
	case nil:
		return append(b, "NULL"...)
	case int64:
		return strconv.AppendInt(b, v, 10)
	case []byte:
		return append(hex.AppendEncode(append(b, "x'"...), v), '\'')
	default:
		panic(fmt.Sprintf("sqlstore: a value is a %T", v))
	}
}
