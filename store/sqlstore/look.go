package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// look makes sure, once, that the table is there and of this version, and that the server is one that can be written to.
// What is wrong now may be right when it is asked again.
func (s *Store) look(ctx context.Context, tx *sql.Tx) (*texts, error) {
	if tx == nil { // in a transaction it does not wait for somebody who may be waiting for its connection
		s.opening.Lock()
		defer s.opening.Unlock()
	}
	if t := s.texts.Load(); t != nil {
		return t, nil
	}
	var q querier = s.db
	if tx != nil {
		q = tx
	}
	version, err := s.version(ctx, q)
	switch {
	case err != nil:
		return nil, err
	case version == 0:
		return nil, fmt.Errorf("there is no table %s: call Migrate, or run the files of sqlstore's schema directory", s.names.qualified())
	case version < Version:
		return nil, fmt.Errorf("the table %s has schema version %d, and this release of steadfast needs version %d: call Migrate once "+
			"(older releases then refuse the table)", s.names.qualified(), version, Version)
	case version > Version:
		return nil, s.errNewer(version)
	}
	f := flavour{dialect: s.dialect, maria: s.maria, table: s.names.qualified()}
	if s.ask {
		var server string
		if err := scanOne(ctx, q, &server, "SELECT VERSION()"); err != nil {
			return nil, err
		}
		f.maria = strings.Contains(strings.ToLower(server), "mariadb")
	}
	if s.dialect == MySQL {
		if err := scanOne(ctx, q, &f.packet, "SELECT @@max_allowed_packet"); err != nil {
			return nil, err
		}
	}
	if err := s.primary(ctx, q); err != nil {
		return nil, err
	}
	if err := s.warnOfLoss(ctx, q); err != nil {
		return nil, err
	}
	t := newTexts(f)
	s.texts.Store(t)
	return t, nil
}

// primary refuses a server that follows another one: what has been claimed there a moment ago it does not know (T36).
func (s *Store) primary(ctx context.Context, q querier) error {
	question := map[Dialect]string{
		PostgreSQL: "SELECT CASE WHEN pg_is_in_recovery() THEN 1 ELSE 0 END",
		MySQL:      "SELECT @@global.read_only",
	}[s.dialect]
	if question == "" {
		return nil
	}
	var readOnly int
	if err := scanOne(ctx, q, &readOnly, question); err != nil {
		return err
	}
	if readOnly != 0 {
		return errors.New("the server is a replica, or read-only: claims and replays need the primary")
	}
	return nil
}

// setting is one by which the server may lose what it has acknowledged.
type setting struct {
	question string
	durable  func(value string) bool
	warning  string // %s is the value
}

func anyBut(values ...string) func(string) bool {
	return func(value string) bool {
		for _, v := range values {
			if strings.EqualFold(value, v) {
				return false
			}
		}
		return true
	}
}

func exactly(want string) func(string) bool { return func(value string) bool { return value == want } }

var settings = map[Dialect][]setting{
	PostgreSQL: {
		{"SELECT current_setting('synchronous_commit')", anyBut("off"),
			"PostgreSQL's synchronous_commit is %s: a crash loses the last acknowledged calls, and they may be made twice; set it to on"},
		{"SELECT current_setting('fsync')", anyBut("off"), "PostgreSQL's fsync is %s: a crash may lose the whole table; set it to on"},
	},
	MySQL: {
		{"SELECT @@global.innodb_flush_log_at_trx_commit", exactly("1"),
			"innodb_flush_log_at_trx_commit is %s: a crash loses the last acknowledged calls, and they may be made twice; set it to 1"},
		{"SELECT CASE WHEN @@global.log_bin = 1 THEN @@global.sync_binlog ELSE 1 END", exactly("1"),
			"sync_binlog is %s: a crash may lose the last acknowledged calls, and they may be made twice; set it to 1"},
	},
	SQLite: {
		{"PRAGMA synchronous", func(v string) bool { n, err := strconv.Atoi(v); return err != nil || n >= 2 },
			"SQLite's synchronous is %s, below FULL (2): a crash of the machine loses the last acknowledged calls, and they may be made " +
				"twice; open the database with _pragma=synchronous(FULL)"},
		{"PRAGMA busy_timeout", anyBut("0"),
			"SQLite's busy_timeout is %s: a call fails where it should wait for another process; open the database with _pragma=busy_timeout(5000)"},
	},
}

func (s *Store) warnOfLoss(ctx context.Context, q querier) error {
	for _, setting := range settings[s.dialect] {
		var value string
		if err := scanOne(ctx, q, &value, setting.question); err != nil {
			return err
		}
		if !setting.durable(value) {
			s.warn("sqlstore: " + fmt.Sprintf(setting.warning, value))
		}
	}
	return nil
}
