package sqlstore

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"hash/fnv"
	"io/fs"
	"regexp"
	"strings"
)

// Version is the version of the schema that this release reads and writes.
const Version = 1

//go:embed schema
var schema embed.FS

// Migrations returns the statements that bring an empty database to Version, in the words of the store's dialect and with
// its names, one text per version: what Migrate runs. The files that they come from are in the schema directory.
func (s *Store) Migrations() []string {
	folder := "schema/" + strings.ToLower(s.dialect.String())
	if s.dialect == PostgreSQL {
		folder = "schema/postgres"
	}
	files, err := fs.ReadDir(schema, folder)
	if err != nil {
		panic(err) // they are embedded
	}
	texts := make([]string, len(files))
	for i, file := range files {
		text, err := schema.ReadFile(folder + "/" + file.Name())
		if err != nil {
			panic(err)
		}
		texts[i] = s.names.in(string(text))
	}
	return texts
}

var defaultName = regexp.MustCompile(`\b` + DefaultTable + `\w*`)

// in puts the configured names in the place of the default one. Indexes live where their table does, and are named without
// the schema.
func (n names) in(text string) string {
	return defaultName.ReplaceAllStringFunc(text, func(name string) string {
		named := n.table + strings.TrimPrefix(name, DefaultTable)
		if n.schema == "" || strings.HasSuffix(name, "_idx") {
			return named
		}
		return n.schema + "." + named
	})
}

// Migrate creates the tables, or brings older ones to Version. Any number of processes may call it at once, whenever they
// start: one does the work, the others wait for it. A table of a newer version is an error, and is left alone.
func (s *Store) Migrate(ctx context.Context) error {
	if err := alone(ctx, "Migrate"); err != nil {
		return err
	}
	c, err := s.db.Conn(ctx)
	if err != nil {
		return fmt.Errorf("sqlstore: Migrate: %w", err)
	}
	defer func() { _ = c.Close() }()
	switch s.dialect {
	case MySQL:
		err = s.migrateMySQL(ctx, c)
	case SQLite:
		err = s.migrateIn(ctx, c, "BEGIN IMMEDIATE", "")
	default:
		err = s.migrateIn(ctx, c, "BEGIN", fmt.Sprintf("SELECT pg_advisory_xact_lock(%d)", s.names.hash()))
	}
	if err != nil {
		return fmt.Errorf("sqlstore: Migrate: %w%s", err, advice(err))
	}
	return nil
}

// migrateIn migrates in one transaction, in which nobody else does.
func (s *Store) migrateIn(ctx context.Context, c *sql.Conn, begin, lock string) (err error) {
	if _, err := c.ExecContext(ctx, begin); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_, _ = c.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
		}
	}()
	if lock != "" {
		if _, err := c.ExecContext(ctx, lock); err != nil {
			return err
		}
	}
	if err := s.migrate(ctx, c); err != nil {
		return err
	}
	_, err = c.ExecContext(ctx, "COMMIT")
	return err
}

// migrateMySQL migrates under a lock by name, since there every CREATE commits. Its files can be run again where a process
// died between two statements.
func (s *Store) migrateMySQL(ctx context.Context, c *sql.Conn) (err error) {
	lock := fmt.Sprintf("steadfast.%x", s.names.hash())
	for got := false; !got; {
		// It waits a second at a time, so that ctx is heard.
		if err := c.QueryRowContext(ctx, "SELECT COALESCE(GET_LOCK('"+lock+"', 1), 0)").Scan(&got); err != nil {
			return err
		}
	}
	defer func() {
		_, _ = c.ExecContext(context.WithoutCancel(ctx), "DO RELEASE_LOCK('"+lock+"')")
	}()
	return s.migrate(ctx, c)
}

func (s *Store) migrate(ctx context.Context, c *sql.Conn) error {
	version, err := s.version(ctx, c)
	if err != nil {
		return err
	}
	if version > Version {
		return s.errNewer(version)
	}
	for _, text := range s.Migrations()[version:] {
		for statement := range strings.SplitSeq(text, ";\n") {
			if strings.TrimSpace(statement) == "" {
				continue
			}
			if _, err := c.ExecContext(ctx, statement); err != nil {
				return err
			}
		}
	}
	return nil
}

func (n names) hash() int64 {
	h := fnv.New64a()
	h.Write([]byte("steadfast " + n.qualified()))
	return int64(h.Sum64() >> 1)
}

// version returns the version of the tables, 0 where there are none.
func (s *Store) version(ctx context.Context, q querier) (version int, err error) {
	var exists string
	name := s.names.table + "_version"
	var args []any
	switch s.dialect {
	case PostgreSQL:
		exists = "SELECT CASE WHEN to_regclass('" + names{s.names.schema, name}.qualified() + "') IS NULL THEN 0 ELSE 1 END"
	case MySQL:
		exists, args = "SELECT COUNT(*) FROM information_schema.tables WHERE table_name = ? AND table_schema = COALESCE(?, DATABASE())", []any{name, nil}
		if s.names.schema != "" {
			args[1] = s.names.schema
		}
	default:
		exists, args = "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND lower(name) = lower(?)", []any{name}
	}
	if err := scanOne(ctx, q, &version, exists, args...); err != nil || version == 0 {
		return 0, err
	}
	err = scanOne(ctx, q, &version, "SELECT COALESCE(MAX(version), 0) FROM "+names{s.names.schema, name}.qualified())
	return version, err
}

// scanOne reads one value.
func scanOne(ctx context.Context, q querier, into any, text string, args ...any) error {
	rows, err := q.QueryContext(ctx, text, args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	if !rows.Next() {
		if err := rows.Err(); err != nil {
			return err
		}
		return sql.ErrNoRows
	}
	if err := rows.Scan(into); err != nil {
		return err
	}
	return rows.Close()
}

func (s *Store) errNewer(version int) error {
	return fmt.Errorf("the table %s has schema version %d, and this release of steadfast knows version %d: use a newer release",
		s.names.qualified(), version, Version)
}
