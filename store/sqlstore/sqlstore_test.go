package sqlstore_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/steadfast-go/steadfast/store/sqlstore"
)

// The stores themselves are tested in internal/integration, on databases; here is what needs none.

// nothing is a driver without a database.
type nothing struct{}

func (nothing) Open(string) (driver.Conn, error)               { return nil, errors.New("there is no database") }
func (n nothing) Connect(context.Context) (driver.Conn, error) { return n.Open("") }
func (n nothing) Driver() driver.Driver                        { return n }

func open(t *testing.T) *sql.DB {
	t.Helper()
	db := sql.OpenDB(nothing{})
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func TestNewSaysWhatIsWrong(t *testing.T) {
	for want, config := range map[string]sqlstore.Config{
		"Config.Dialect":                  {},
		"Config.Dialect is 77":            {Dialect: 77},
		"Config.Table is \"calls; drop\"": {Dialect: sqlstore.SQLite, Table: "calls; drop"},
		"Config.Table is \"1calls\"":      {Dialect: sqlstore.SQLite, Table: "1calls"},
		"Config.Schema is \"main\"":       {Dialect: sqlstore.SQLite, Schema: "main"},
		"Config.Schema is \"a.b\"":        {Dialect: sqlstore.PostgreSQL, Schema: "a.b"},
	} {
		_, err := sqlstore.New(open(t), config)
		require.ErrorContains(t, err, want)
	}
	_, err := sqlstore.New(nil, sqlstore.Config{})
	require.ErrorContains(t, err, "db is nil")
}

func TestNewAsksNothing(t *testing.T) {
	s, err := sqlstore.New(open(t), sqlstore.Config{Dialect: sqlstore.PostgreSQL})
	require.NoError(t, err)
	require.ErrorContains(t, s.Migrate(t.Context()), "there is no database")
}

// The files have the configured names, and the default one nowhere.
func TestMigrationsAreNamed(t *testing.T) {
	for _, d := range []sqlstore.Dialect{sqlstore.PostgreSQL, sqlstore.MySQL, sqlstore.MariaDB, sqlstore.SQLite} {
		config := sqlstore.Config{Dialect: d, Table: "payments"}
		qualified := "payments"
		if d != sqlstore.SQLite {
			config.Schema, qualified = "shop", "shop.payments"
		}
		s, err := sqlstore.New(open(t), config)
		require.NoError(t, err)
		all := s.Migrations()
		require.Len(t, all, sqlstore.Version)
		text := strings.Join(all, "\n")
		require.NotContains(t, text, sqlstore.DefaultTable)
		require.Contains(t, text, qualified+" (", d)
		require.Contains(t, text, qualified+"_version", d)
		require.Contains(t, text, " payments_due_idx ", d)
	}
}

func TestTxTravelsWithTheContext(t *testing.T) {
	require.Nil(t, sqlstore.Tx(t.Context()))
	tx := new(sql.Tx)
	require.Same(t, tx, sqlstore.Tx(sqlstore.WithTx(t.Context(), tx)))
}
