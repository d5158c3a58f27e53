package load

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	"github.com/steadfast-go/steadfast/examples/store/database"
)

// place is a database that nobody else uses.
type place struct {
	name    string
	missing string // why it is not there
	db      *database.DB
	close   func() error
}

func sqlite(ctx context.Context) (p place, err error) {
	p.name = "sqlite"
	dir, err := os.MkdirTemp("", "steadfast-load-")
	if err != nil {
		return p, err
	}
	p.db, err = database.Open(ctx, filepath.Join(dir, "shop.db"))
	if err != nil {
		return p, errors.Join(err, os.RemoveAll(dir))
	}
	p.close = func() error { return errors.Join(p.db.Close(), os.RemoveAll(dir)) }
	return p, nil
}

// postgres makes a database of its own on the server that STEADFAST_TEST_POSTGRES names.
func postgres(ctx context.Context) (p place, err error) {
	p.name = "postgres"
	dsn := cmp.Or(os.Getenv("STEADFAST_TEST_POSTGRES"), "postgres://postgres@127.0.0.1:5432/test?sslmode=disable")
	server, err := database.Open(ctx, dsn)
	if err != nil {
		p.missing = err.Error()
		return p, nil //nolint:nilerr // it is skipped, and says why
	}
	name := fmt.Sprintf("steadfast_load_%d", os.Getpid())
	if _, err := server.Exec(ctx, "CREATE DATABASE "+name); err != nil {
		return p, errors.Join(err, server.Close())
	}
	drop := func() error {
		_, err := server.Exec(context.WithoutCancel(ctx), "DROP DATABASE "+name)
		return errors.Join(err, server.Close())
	}
	u, err := url.Parse(dsn)
	if err == nil {
		u.Path = "/" + name
		p.db, err = database.Open(ctx, u.String())
	}
	if err != nil {
		return p, errors.Join(err, drop())
	}
	p.close = func() error { return errors.Join(p.db.Close(), drop()) }
	return p, nil
}
