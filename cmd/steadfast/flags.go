package main

import (
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
)

// flags are those of one verb, and those that all verbs have.
type flags struct {
	*flag.FlagSet
	common []string // the names of those that all verbs have
	quoted bool
	base64 bool
	scope  *string // as it was given
}

func (s *session) flags(v verb) *flags {
	f := &flags{FlagSet: flag.NewFlagSet(v.name, flag.ContinueOnError)}
	f.SetOutput(io.Discard)
	f.Usage = func() {}
	// The environment's DSN is no default, which help would print.
	f.StringVar(&s.dsn, "db", "", "the database, a `DSN` (default: the environment's STEADFAST_DB)")
	f.StringVar(&s.table, "table", "", "the `name` of the table, as in sqlstore.Config (default: steadfast_calls)")
	f.StringVar(&s.schema, "schema", "", "PostgreSQL's schema or MySQL's database that the table is in, a `name` (default: the connection's own)")
	f.BoolVar(&s.json, "json", false, "print JSON, for programs")
	s.timeout = v.limit
	f.duration(&s.timeout, "timeout", "how long all of it may take, a `duration`; 0: as long as it takes (default: "+v.limit.String()+")", 0)
	f.VisitAll(func(fl *flag.Flag) { f.common = append(f.common, fl.Name) })
	return f
}

// names declares the flags that say which call, or whose calls, are meant.
func (f *flags) names(scope string) {
	f.Func("scope", scope, func(text string) error {
		f.scope = &text
		return nil
	})
	f.BoolVar(&f.quoted, "quoted", false, "names of operations, scopes and keys are given as the table prints odd ones: in double quotes, with \\x1b and \\n")
	f.BoolVar(&f.base64, "base64", false, "names of operations, scopes and keys are given in base64, as -json prints what is not UTF-8")
}

// name reads the name of an operation, a scope or a key.
func (f *flags) name(field, text string) (string, error) {
	switch {
	case f.quoted && f.base64:
		return "", errors.New("-quoted and -base64 exclude each other: leave one out")
	case f.quoted:
		name, err := strconv.Unquote(text)
		if err != nil {
			return "", fmt.Errorf("the %s %q is not in double quotes, which -quoted wants: give it as list prints it, within single quotes of the shell", field, text)
		}
		return name, nil
	case f.base64:
		name, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return "", fmt.Errorf("the %s %q is not base64, which -base64 wants: take it from list -json, from a field that ends in _base64", field, text)
		}
		return string(name), nil
	}
	return text, nil
}

// id reads the operation and the key that stand behind the flags, and the scope.
func (f *flags) id(operands []string) (id idempotency.ID, err error) {
	if len(operands) != 2 {
		return id, fmt.Errorf("%d names stand behind the flags: give the operation and the key; a scope is given with -scope", len(operands))
	}
	if id.Operation, err = f.name("operation", operands[0]); err != nil {
		return id, err
	}
	if id.Key, err = f.name("key", operands[1]); err != nil {
		return id, err
	}
	if f.scope != nil && *f.scope != "" {
		if id.Scope, err = f.name("scope", *f.scope); err != nil {
			return id, err
		}
	}
	return id, id.Validate()
}

// duration declares a flag for a duration that is not below least.
func (f *flags) duration(into *time.Duration, name, usage string, least time.Duration) {
	f.Func(name, usage, func(text string) error {
		d, err := time.ParseDuration(text)
		if err != nil || d < least {
			return fmt.Errorf("use a duration with its unit, such as 90s, 15m or 1h30m, not below %v", least)
		}
		*into = d
		return nil
	})
}

// number declares a flag for a number that is not below least and not above most; zero: as large as it may be.
func (f *flags) number(into *int, name, usage string, least, most int) {
	f.Func(name, usage, func(text string) error {
		n, err := strconv.Atoi(text)
		if err != nil || n < least || most > 0 && n > most {
			if most == 0 {
				return fmt.Errorf("use a number, %d or more", least)
			}
			return fmt.Errorf("use a number from %d to %d", least, most)
		}
		*into = n
		return nil
	})
}

// given reports whether a flag was given.
func (f *flags) given(name string) bool {
	found := false
	f.Visit(func(fl *flag.Flag) { found = found || fl.Name == name })
	return found
}

// parse reads the flags, also those that stand behind or between the operands, and returns the operands. Behind -- nothing
// is a flag.
func (f *flags) parse(args []string) (operands []string, err error) {
	for {
		if err := f.Parse(args); err != nil {
			if strings.HasPrefix(err.Error(), "flag needs an argument: ") {
				return nil, fmt.Errorf("%w: it wants a value behind it", err)
			}
			return nil, err
		}
		rest := f.Args()
		if read := len(args) - len(rest); read > 0 && args[read-1] == "--" {
			return append(operands, rest...), nil
		}
		if len(rest) == 0 {
			return operands, nil
		}
		operands, args = append(operands, rest[0]), rest[1:]
	}
}

// none refuses operands. They are not repeated, since one may be a DSN.
func none(operands []string) error {
	if len(operands) > 0 {
		return fmt.Errorf("%d words stand behind the flags: it takes flags only", len(operands))
	}
	return nil
}
