// Steadfast is for whoever operates a service that makes its calls by package idempotency: it looks at the calls that are
// recorded in its database, and settles those that nobody but a person can settle.
//
//	$ export STEADFAST_DB=postgres://shop@db.internal/shop
//	$ steadfast list
//	AGE       STATE      TRIES  SENT      NEXT  OPERATION  SCOPE       KEY      NOTE
//	3h12m39s  unknown    1      3h12m36s  -     charge     customer-7  order-1  context deadline exceeded while awaiting headers
//	35s       scheduled  0      -         now   charge     customer-9  order-6
//	$ steadfast show -scope customer-7 -namespace shop-prod charge order-1
//	…
//	provider key  4177229b-fca1-5367-bc29-d10000998b65
//	…
//	$ steadfast settle -scope customer-7 -happened -value '{"id":"ch_812","amount":4200}' charge order-1
//	charge order-1 of customer-7: unknown -> succeeded
//	The service's Run tells its OnSettled.
//	$ steadfast stats -open -max-age 1h >/dev/null || page somebody
//
// The verbs are list, show, settle, cancel, purge, stats and migrate; "steadfast help settle" says all about one of them.
// List, show and stats write nothing. Purge is what the service's Run does by itself.
//
// # The database
//
// -db, or better the environment's STEADFAST_DB, which other users of the machine do not see, is one of
//
//	postgres://user:password@host:5432/database?sslmode=require
//	mysql://user:password@host:3306/database, or user:password@tcp(host:3306)/database (also for MariaDB)
//	/path/to/calls.db, or file:calls.db (SQLite)
//
// -table and -schema are those of sqlstore.Config. Nothing but migrate creates a file. A password is never printed.
//
// # Settling
//
// A call is settled by the library's own Wrapper.Settle, so what counts here is what counts from code. "It happened" is believed
// at once, and needs the value that the service's Send would have returned, in the bytes that its codec writes. "It was
// declined" and "it did not happen" count only if at the moment the provider was asked nothing ran, and the last possible sending was
// longer ago than a sending may take effect. So they name what was seen before the provider was asked: show prints it as
// -as-of. How long a sending may take effect (Call.Settling) only the service knows: -settling says it again.
//
// What the command settles or cancels is marked to notify. The service's own Run finds the mark, and tells OnSettled.
//
// # For programs
//
// With -json, list prints one object per line, the other verbs print one object. Moments are distances by the database's
// clock, in seconds: age, first_sent_ago, last_sent_ago and settled_ago count up; due_in, lease_for and give_up_in count down and
// are negative once they have passed; what does not apply is left out. What is not UTF-8 is in a field whose name ends in _base64 instead.
// Fields may be added, and are not changed.
//
// The exit status is
//
//	0  done
//	1  failed: the database, the network; whether something was changed may be unknown, and the same command may be given again
//	2  the command line is wrong; nothing was done
//	3  stats -max-age: a call has been unresolved for longer
//	4  refused: the verdict does not count now, or contradicts what is recorded; cancel: the call is not cancelled
//	5  there is no such call
//
// What went wrong is said in words on the standard error, with and without -json.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	s := &session{in: os.Stdin, out: os.Stdout, err: os.Stderr, getenv: os.Getenv}
	status := s.run(ctx, os.Args[1:])
	stop()
	os.Exit(status)
}
