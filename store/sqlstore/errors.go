package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/store/internal/record"
)

// failed says which request failed. The contract's own answers stay as they are.
func failed(request string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, idempotency.ErrNoRecord), errors.Is(err, idempotency.ErrLeaseLost), errors.Is(err, idempotency.ErrConflict):
		return err
	}
	return fmt.Errorf("sqlstore: %s: %w%s", request, err, advice(err))
}

// failedIn is failed for what may be part of the caller's transaction, which its failure has ended. There nothing must be asked again:
// MySQL would do it outside of any transaction, and commit it alone.
func failedIn(ctx context.Context, request string, err error) error {
	err = failed(request, err)
	if err == nil || Tx(ctx) == nil {
		return err
	}
	return record.Final(err)
}

// advice says what to do about a failure that has an answer.
func advice(err error) string {
	n, state := number(err), sqlState(err)
	switch {
	case state == "25006", n == 1290, n == 1792, n == 1836, n == sqliteReadOnly:
		return " (the database is read-only: claims need the primary, and the right to write)"
	case state == "53100", n == 1021, n == 1114, n == sqliteFull:
		return " (the disk is full: nothing was written)"
	case n == 1105 && strings.Contains(err.Error(), "max_allowed_packet"), n == 1153, n == 9001:
		return " (the value is larger than max_allowed_packet)"
	case state == "42P01", n == 1146, strings.Contains(err.Error(), "no such table"): // SQLite has no number for it
		return " (the table is gone: call Migrate)"
	case state == "42601", n == 1064, strings.Contains(err.Error(), "syntax error"): // nor for this
		return " (if Config.Table or Config.Schema is a word of SQL choose another; else the database may be too old)"
	}
	return ""
}

// SQLite's result codes; what is above the lowest byte says more.
const (
	sqliteBusy     = 5
	sqliteLocked   = 6
	sqliteReadOnly = 8
	sqliteFull     = 13
)

// gaveWay reports whether the database undid a transaction, or a statement, in favour of another one: asked again it may
// do it.
func gaveWay(err error) bool {
	switch sqlState(err) {
	case "40001", "40P01", "55P03": // serialization failure, deadlock, lock not available
		return true
	}
	switch number(err) {
	case 1213, 1205, 1020, sqliteBusy, sqliteLocked: // T29: deadlock, lock wait timeout, changed since it was read
		return true
	}
	return false
}

// number returns the error's number: MySQL's as its driver gives it in a field, SQLite's (the lowest byte) as its drivers give it by a
// method. No driver is imported here, so they are found by their names.
func number(err error) int {
	for ; err != nil; err = errors.Unwrap(err) {
		v := reflect.ValueOf(err)
		if m := v.MethodByName("Code"); m.IsValid() && m.Type().NumIn() == 0 && m.Type().NumOut() == 1 {
			if n, ok := integral(m.Call(nil)[0]); ok {
				return n & 0xff
			}
		}
		v = reflect.Indirect(v)
		if v.Kind() != reflect.Struct {
			continue
		}
		if n, ok := integral(v.FieldByName("Number")); ok { // go-sql-driver/mysql
			return n
		}
		if n, ok := integral(v.FieldByName("Code")); ok { // mattn/go-sqlite3
			return n & 0xff
		}
	}
	return 0
}

func integral(v reflect.Value) (int, bool) {
	switch {
	case v.IsValid() && v.CanInt():
		return int(v.Int()), true
	case v.IsValid() && v.CanUint():
		return int(v.Uint()), true
	}
	return 0, false
}

// sqlState returns PostgreSQL's code of the error.
func sqlState(err error) string {
	var coded interface{ SQLState() string }
	if errors.As(err, &coded) {
		return coded.SQLState()
	}
	return ""
}
