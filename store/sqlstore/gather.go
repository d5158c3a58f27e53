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
	one                 string       // PostgreSQL: for claims and settlements
	claims, settlements rowsText     // MariaDB: for one kind
	times               atomic.Int64 // that it was used
}

// fill returns the statement for these requests, with its arguments.
func (b *batchText) fill(batch []*request) (statement, []any) {
	switch {
	case b.one != "":
		// A driver prepares a text once, and the server may keep the plan that was good for a small table. So the text changes
		// with every doubling.
		again := fmt.Sprint(" /* ", bits.Len64(uint64(b.times.Add(1))), " */")
		return statement{text: b.one + again}, arrays(batch)
	case batch[0].settles:
		return b.settlements.fill(batch, settleParams), nil
	default:
		return b.claims.fill(batch, freshColumns), nil
	}
}

var value = regexp.MustCompile(`:([a-z_]+)`)

// mixed is PostgreSQL's statement for any number of claims and settlements.
//
// Neither half may be planned to read the whole table, which looks cheap where that is small and the batch is not. So claims look
// for their keys one by one; and of the settlements the planner expects, by a condition that is always true, a single one.
func (f flavour) mixed(columns, now string) string {
	made, returned := f.making(now)
	text := "WITH given AS MATERIALIZED (SELECT * FROM CLAIMS)," +
		" seen AS MATERIALIZED (SELECT old.* FROM given CROSS JOIN LATERAL" +
		" (SELECT " + columns + " FROM " + f.table + " AS old WHERE " + oldKey + " LIMIT 1) AS old)," +
		" made AS (" + made + ", given WHERE NOT EXISTS (SELECT 1 FROM seen AS old WHERE " + oldKey + ") ORDER BY given.n" +
		" ON CONFLICT DO NOTHING RETURNING operation, scope, call_key, created)," +
		" ended AS (" + f.settle(true) + ")" +
		" SELECT seen.*, " + now + " FROM seen UNION ALL SELECT " + returned + " FROM made UNION ALL SELECT " + only("", kept) + ", now FROM ended"
	return strings.NewReplacer("CLAIMS", given(freshColumns, 1), "SETTLEMENTS", given(settleParams, 1+len(freshColumns))).
		Replace(value.ReplaceAllString(text, "given.$1"))
}

// given is a table of values, which come as an array for each parameter, the first of which has this number. They are written
// in PostgreSQL's own notation: that is what all drivers can pass.
func given(parameters []param, first int) string {
	var names, arrays []string
	for i, p := range parameters {
		names = append(names, p.name)
		arrays = append(arrays, placeholder(PostgreSQL, first+i, p.kind)+"[]")
	}
	return "unnest(" + strings.Join(arrays, ", ") + ") WITH ORDINALITY AS given(" + strings.Join(names, ", ") + ", n)"
}

// arrays are the arguments of mixed.
func arrays(batch []*request) []any {
	kinds := [2]struct {
		parameters []param
		lists      [][]byte
	}{{parameters: freshColumns}, {parameters: settleParams}}
	for k := range kinds {
		kinds[k].lists = make([][]byte, len(kinds[k].parameters))
	}
	for _, r := range batch {
		kind := &kinds[bit(r.settles)]
		for i, b := range kind.lists {
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
			kind.lists[i] = b
		}
	}
	var args []any
	for _, kind := range kinds {
		for _, b := range kind.lists {
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
