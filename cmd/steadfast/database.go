package main

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/steadfast-go/steadfast/store/sqlstore"
)

// access is what a verb does to the database.
type access uint8

const (
	reads access = iota
	writes
	creates // also the file, where the database is one
)

const forms = "use postgres://user:password@host/database, mysql://user:password@host/database, or the path of a SQLite file"

// open opens the database, which is not asked anything yet.
func (s *session) open(how access) error {
	dsn, source := s.dsn, "-db"
	if dsn == "" {
		dsn, source = s.getenv("STEADFAST_DB"), "STEADFAST_DB"
	}
	if dsn == "" {
		return usage("no database is named: set STEADFAST_DB, or give -db; %s", forms)
	}
	var err error
	if s.db, s.place, err = connect(dsn, how); err != nil {
		return usage("%s: %v", source, err)
	}
	s.store, err = sqlstore.New(s.db, sqlstore.Config{Table: s.table, Schema: s.schema, Warn: func(message string) {
		if how == creates {
			fmt.Fprintln(s.err, "steadfast: warning: "+message)
		}
	}})
	if err != nil {
		_ = s.db.Close()
		return usage("-table %q, -schema %q: %v", s.table, s.schema, err)
	}
	return nil
}

var (
	scheme  = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9+.-]*)://`)
	driver  = regexp.MustCompile(`^([^/]*@)?(tcp|unix)6?\(.*\)/|^[^/]*@/`) // go-sql-driver's own form
	login   = regexp.MustCompile(`^[^/]*@`)
	keyword = regexp.MustCompile(`^\s*(host|hostaddr|port|user|password|dbname|sslmode|service)\s*=`)
)

// connect opens the database that a DSN names. place is what may be printed of it. Errors do not repeat the DSN, nor what
// drivers say of one that cannot be read: they repeat it.
func connect(dsn string, how access) (db *sql.DB, place string, err error) {
	kind := ""
	if m := scheme.FindStringSubmatch(dsn); m != nil {
		kind = strings.ToLower(m[1])
	}
	switch {
	case kind == "postgres" || kind == "postgresql" || keyword.MatchString(dsn):
		return connectPostgres(dsn)
	case kind == "mysql" || kind == "mariadb":
		if dsn, err = driverForm(dsn); err != nil {
			return nil, "", err
		}
		return connectMySQL(dsn)
	case driver.MatchString(dsn):
		return connectMySQL(dsn)
	case kind == "" && login.MatchString(dsn): // and no file is made whose name is a password
		return nil, "", fmt.Errorf("it begins like user:password@, and cannot be read as MySQL's: %s; a SQLite file of such a name is file:NAME", forms)
	case kind == "" || kind == "file":
		return connectSQLite(dsn, how)
	}
	return nil, "", fmt.Errorf("it begins with %s://, which is no database that steadfast knows: %s", kind, forms)
}

var errNoURL = errors.New("it cannot be read as a URL: write what is special in the user and the password as %XX (an @ as %40, a / as %2F)")

func connectPostgres(dsn string) (*sql.DB, string, error) {
	if _, err := url.Parse(dsn); scheme.MatchString(dsn) && err != nil {
		return nil, "", errNoURL
	}
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, "", fmt.Errorf("it cannot be read as PostgreSQL's: %w", withoutDSN(err))
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "steadfast"
	}
	place := fmt.Sprintf("PostgreSQL at %s, database %s", net.JoinHostPort(config.Host, strconv.Itoa(int(config.Port))), cmp.Or(config.Database, config.User))
	return stdlib.OpenDB(*config), place, nil
}

// withoutDSN leaves out of pgx's error what it repeats of the DSN, however well it hides the password.
func withoutDSN(err error) error {
	text := err.Error()
	if at := strings.LastIndex(text, "`: "); at >= 0 {
		text = text[at+len("`: "):]
	}
	return errors.New(text)
}

// driverForm turns mysql://user:password@host:port/database?parameters into what the driver reads.
func driverForm(dsn string) (string, error) {
	u, err := url.Parse(dsn)
	if err != nil {
		return "", errNoURL
	}
	password, _ := u.User.Password()
	address := net.JoinHostPort(cmp.Or(u.Hostname(), "127.0.0.1"), cmp.Or(u.Port(), "3306"))
	form := fmt.Sprintf("tcp(%s)/%s", address, url.PathEscape(strings.TrimPrefix(u.Path, "/")))
	if u.User != nil {
		form = u.User.Username() + ":" + password + "@" + form
	}
	if u.RawQuery != "" {
		form += "?" + strings.ReplaceAll(u.RawQuery, "/", "%2F") // the driver looks for the last /
	}
	return form, nil
}

func connectMySQL(dsn string) (*sql.DB, string, error) {
	config, err := mysql.ParseDSN(dsn)
	if err != nil {
		return nil, "", fmt.Errorf("it cannot be read as MySQL's: use mysql://user:password@host:3306/database?tls=true, or user:password@tcp(host:3306)/database")
	}
	config.Logger = &mysql.NopLogger{} // what matters comes back as an error
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, "", fmt.Errorf("it cannot be used: %w", err)
	}
	return sql.OpenDB(connector), fmt.Sprintf("MySQL at %s, database %s", config.Addr, config.DBName), nil
}

func connectSQLite(dsn string, how access) (*sql.DB, string, error) {
	path, parameters, err := sqliteFile(dsn)
	if err != nil {
		return nil, "", err
	}
	if path == "" || strings.Contains(path, ":memory:") || parameters.Get("mode") == "memory" {
		return nil, "", errors.New("it is a database in memory, which belongs to its own process: name the service's file")
	}
	if info, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) && how != creates {
		return nil, "", fmt.Errorf("there is no file %q: name the service's file (\"steadfast migrate\" makes a new one); for another database, %s", path, forms)
	} else if err == nil && info.IsDir() {
		return nil, "", fmt.Errorf("%q is a directory: name the file in it", path)
	}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: sqliteParameters(parameters, how)}).String())
	return db, "SQLite file " + path, err
}

// sqliteFile takes apart a path, or a file: URI.
func sqliteFile(dsn string) (path string, parameters url.Values, err error) {
	if !strings.HasPrefix(dsn, "file:") {
		return dsn, url.Values{}, nil
	}
	u, err := url.Parse(dsn)
	if err == nil {
		parameters, err = url.ParseQuery(u.RawQuery)
	}
	if err == nil {
		path, err = url.PathUnescape(cmp.Or(u.Opaque, u.EscapedPath()))
	}
	if err != nil {
		return "", nil, errors.New("it cannot be read as a file: URI: write file:/path/to/calls.db, with ? # % in the path as %3F %23 %25")
	}
	return path, parameters, nil
}

// sqliteParameters adds to what was given what the verb may do, and what sqlstore needs. Only migrate, which makes the file, chooses
// its journal.
func sqliteParameters(p url.Values, how access) string {
	const pragma = "_pragma"
	has := func(name string) bool {
		return slices.ContainsFunc(p[pragma], func(text string) bool { return strings.HasPrefix(strings.ToLower(text), name) })
	}
	switch how {
	case reads:
		p.Set("mode", "ro")
		p.Add(pragma, "query_only(1)")
	case writes:
		p.Set("mode", "rw")
	case creates:
		p.Set("mode", "rwc")
	}
	if how != creates {
		p[pragma] = slices.DeleteFunc(p[pragma], func(text string) bool { return strings.HasPrefix(strings.ToLower(text), "journal_mode") })
	} else if !has("journal_mode") {
		p.Add(pragma, "journal_mode(WAL)")
	}
	if !has("busy_timeout") {
		p.Add(pragma, "busy_timeout(5000)")
	}
	if !has("synchronous") {
		p.Add(pragma, "synchronous(FULL)")
	}
	p.Set("_txlock", "immediate")
	return p.Encode()
}

// migrated makes sure that the tables are there, in the version that this release knows.
func (s *session) migrated(ctx context.Context) error {
	version, err := s.store.SchemaVersion(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("%s cannot be asked: %w", s.place, err)
	case version == 0:
		return fmt.Errorf("there is no table %s in %s: check -db, -table and -schema; \"steadfast migrate\" makes a new one", s.tableName(), s.place)
	case version < sqlstore.Version:
		return fmt.Errorf("the table %s in %s has schema version %d, and this command needs version %d: give \"steadfast migrate\" "+
			"once (older releases of the service then refuse the table), or use an older command", s.tableName(), s.place, version, sqlstore.Version)
	case version > sqlstore.Version:
		return fmt.Errorf("the table %s in %s has schema version %d, and this command knows version %d: use a newer command", s.tableName(), s.place, version, sqlstore.Version)
	}
	return nil
}

func (s *session) tableName() string {
	name := cmp.Or(s.table, sqlstore.DefaultTable)
	if s.schema != "" {
		return s.schema + "." + name
	}
	return name
}
