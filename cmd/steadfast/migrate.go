package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/steadfast-go/steadfast/store/sqlstore"
)

var migrateVerb = verb{
	name: "migrate", brief: "create the table, or bring it to this release's version", access: creates,
	help: `
Creates the tables in the database, or brings older ones to the version of this release; what is up to date is left as it
is. Services may call Store.Migrate at the same time. It warns of settings by which the server may lose what it has
acknowledged. A SQLite file that does not exist is created, with a write-ahead log.

-print prints the statements instead, for those who run their migrations by other means, and asks the database nothing: of
-db only its kind matters, as in -db postgres://.`,
	setup: func(s *session, f *flags) action {
		v := &migrate{session: s}
		f.BoolVar(&v.print, "print", false, "print the statements, and do nothing")
		return action{check: func(operands []string) error {
			if v.print && s.json {
				return errors.New("-print prints SQL, and -json asks for JSON: leave one out")
			}
			return none(operands)
		}, run: v.run}
	},
}

type migrate struct {
	*session
	print bool
}

func (v *migrate) run(ctx context.Context) error {
	if v.print {
		for i, text := range v.store.Migrations() {
			fmt.Fprintf(v.out, "-- version %d\n%s\n", i+1, strings.TrimSpace(text))
		}
		return nil
	}
	before, err := v.store.SchemaVersion(ctx)
	if err != nil {
		return fmt.Errorf("%s cannot be asked: %w", v.place, err)
	}
	if err := v.store.Migrate(ctx); err != nil {
		return fmt.Errorf("%s: %w", v.place, err)
	}
	if _, err := v.store.Operations(ctx); err != nil { // looks at the server's settings, and warns
		return fmt.Errorf("%s: the tables are there, and cannot be used: %w", v.place, err)
	}
	if v.json {
		var o object
		o.set("table", v.tableName())
		o.set("before", before)
		o.set("version", sqlstore.Version)
		return v.session.print(o)
	}
	switch before {
	case sqlstore.Version:
		fmt.Fprintf(v.out, "%s in %s is up to date (schema version %d).\n", v.tableName(), v.place, before)
	case 0:
		fmt.Fprintf(v.out, "%s in %s was created (schema version %d).\n", v.tableName(), v.place, sqlstore.Version)
	default:
		fmt.Fprintf(v.out, "%s in %s was brought from schema version %d to %d.\n", v.tableName(), v.place, before, sqlstore.Version)
	}
	return nil
}
