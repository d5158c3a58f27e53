package main

import (
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
)

const tagline = "Steadfast looks at the calls that are recorded in a service's database, and settles those that only a person can settle."

// overview names the verbs.
func overview(w io.Writer) {
	fmt.Fprintf(w, "%s\n\nUsage: steadfast COMMAND [FLAGS] [NAMES]\n\n", tagline)
	for _, v := range verbs() {
		fmt.Fprintf(w, "  %-8s %s\n", v.name, v.brief)
	}
	fmt.Fprint(w, `
"steadfast help COMMAND" says all about one of them.

The database is named by -db or, better, by the environment's STEADFAST_DB:
  postgres://user:password@host:5432/database?sslmode=require
  mysql://user:password@host:3306/database    (MariaDB, too)
  /path/to/calls.db                           (SQLite)

Exit status: 0 done, 1 failed, 2 wrong command line, 3 stats -max-age was exceeded, 4 refused, 5 there is no such call.
`)
}

func (s *session) help(args []string) error {
	if len(args) == 0 {
		overview(s.out)
		return nil
	}
	v, err := find(args[0])
	if err != nil {
		return err
	}
	f := s.flags(v)
	v.setup(s, f)
	f.explain(s.out, v)
	return nil
}

// explain prints what there is to know about a verb.
func (f *flags) explain(w io.Writer, v verb) {
	line := strings.TrimSuffix("Usage: steadfast "+v.name+" [FLAGS] "+v.args, " ")
	fmt.Fprintf(w, "%s\n\n%s\n", line, strings.TrimSpace(v.help))
	for _, part := range []struct {
		title  string
		common bool
	}{{"Flags", false}, {"Flags of all commands", true}} {
		title := "\n" + part.title + ":\n"
		f.VisitAll(func(fl *flag.Flag) {
			if slices.Contains(f.common, fl.Name) != part.common {
				return
			}
			value, text := flag.UnquoteUsage(fl)
			if value != "" {
				value = " " + strings.ToUpper(value)
			}
			fmt.Fprintf(w, "%s  -%s%s\n      %s\n", title, fl.Name, value, text)
			title = ""
		})
	}
}
