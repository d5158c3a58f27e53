package main_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
)

func TestShow(t *testing.T) {
	each(t, func(t *testing.T, on *site) {
		sent := map[string]string{} // the provider keys
		w := on.shop(t, func(c *call) {
			c.Namespace = "shop-prod"
			c.Send = func(ctx context.Context, a idempotency.Attempt, in order) (receipt, error) {
				sent[a.ID] = a.Key
				return provider(ctx, a, in)
			}
		})
		leave(t, w, "c7", "k", "timeout", unknown)
		leave(t, w, "c7", "done", "ok", succeeded)
		leave(t, w, "", "no", "declined", rejected)
		leave(t, w, "", "taken", "accepted", accepted)
		on.run(t, "show", "-scope", "c7", "-namespace", "shop-prod", "charge", "k").exits(0).
			prints("provider key  "+sent["k"]+"\n", "unknown\n", "it may have happened or not", "attempts      1\n", "ambiguous     yes",
				"message       context deadline exceeded\n", "request, 18 bytes\n    | {\n    |   \"item\": \"timeout\"\n    | }\n",
				`settle -happened -value '{"id": …}' -table `+on.table+` -scope c7 charge k`, "-settling 1m -table "+on.table+" -scope c7 charge k")
		on.run(t, "show", "-scope", "c7", "charge", "k").exits(0).prints("give -namespace to see it")
		on.run(t, "show", "-scope", "c7", "charge", "done").exits(0).prints("succeeded\n", "settled ", "value, 19 bytes", `"id": "ok of done"`)
		on.run(t, "show", "charge", "no").exits(0).prints("rejected\n", "code          card_declined\n", "message       the card was declined\n")
		on.run(t, "show", "charge", "taken").exits(0).prints("accepted\n", "provider's id  pi_77\n", "it waits for somebody to settle it")

		o := on.run(t, "show", "-json", "-scope", "c7", "-namespace", "shop-prod", "charge", "done").exits(0).object()
		if o["provider_key"] != sent["done"] || fmt.Sprint(o["value"]) != "map[json:map[id:ok of done] size:19]" ||
			fmt.Sprint(o["request"]) != "map[json:map[item:ok] size:13]" || len(o["fingerprint"].(string)) != 66 || o["as_of"] != nil {
			t.Errorf("show -json prints %v", o)
		}
		if _, err := w.Do(t.Context(), "not sent", order{"not sent"}); !errors.Is(err, idempotency.ErrNotSent) {
			t.Fatal(err)
		}
		for _, args := range [][]string{{"charge", "not sent"}, {"charge", "k"}, {"refund", "k"}, {"-scope", "c7", "charge", "K"}, {"-scope", "c7 ", "charge", "k"}} {
			if r := on.run(t, "show", args...).exits(5, "there is no call"); r.out != "" {
				t.Errorf("show of no call prints %q", r.out)
			}
		}
	})
}

func TestCancel(t *testing.T) {
	each(t, func(t *testing.T, on *site) {
		w := on.shop(t, nil)
		_, err := w.Start(t.Context(), "started", order{"ok"})
		must(t, err)
		leave(t, w, "", "k", "timeout", unknown)
		leave(t, w, "", "done", "ok", succeeded)
		leave(t, w, "", "no", "declined", rejected)
		on.run(t, "cancel", "charge", "started").exits(0).prints("scheduled -> cancelled", "Run tells its OnSettled")
		on.run(t, "cancel", "charge", "started").exits(0).prints("nothing has changed: it was cancelled")
		on.run(t, "cancel", "charge", "k").exits(4, "it may have happened", "a new key is not safe").prints("unknown -> abandoned")
		on.run(t, "cancel", "charge", "k").exits(4).prints("nothing has changed: it was given up")
		on.run(t, "cancel", "charge", "done").exits(4, "it succeeded")
		if o := on.run(t, "cancel", "-json", "charge", "no").exits(4, "it was rejected").object(); o["changed"] != false || o["call"].(map[string]any)["state"] != "rejected" {
			t.Errorf("cancel -json prints %v", o)
		}
		on.run(t, "cancel", "charge", "absent").exits(5, "there is no call")
		if _, err := w.Status(t.Context(), "absent"); err == nil {
			t.Error("cancel has made a record of a key that nobody used")
		}
		if o := on.run(t, "cancel", "-json", "-absent", "charge", "absent").exits(0).object(); o["changed"] != true || o["before"] != "absent" {
			t.Errorf("cancel -json prints %v", o)
		}
		if _, err := w.Do(t.Context(), "absent", order{"ok"}); err == nil {
			t.Error("a cancelled key was sent")
		}
		on.wantTold(t, w, "/absent cancelled ", "/done succeeded ok of done", "/k abandoned ", "/no rejected card_declined", "/started cancelled ")
	})
}

func TestPurge(t *testing.T) {
	each(t, func(t *testing.T, on *site) {
		w := on.shop(t, func(c *call) { c.Retention, c.StubFor = time.Millisecond, time.Hour })
		on.run(t, "purge").exits(0).prints("Nothing was to be purged.")
		leave(t, w, "", "k", "timeout", unknown)
		for i := range 5 {
			leave(t, w, "", fmt.Sprint(i), "ok", succeeded)
		}
		if o := on.run(t, "purge", "-json", "-limit", "2").exits(0, "purged 2").object(); o["purged"] != 2.0 || o["complete"] != false {
			t.Errorf("purge -limit 2 prints %v", o)
		}
		on.run(t, "purge").exits(0).prints("Purged 3; nothing is left to do.")
		on.run(t, "show", "charge", "0").exits(0).prints("succeeded  expired", "request: no longer kept", "value: no longer kept")
		on.run(t, "settle", "-happened", "-value", "{}", "charge", "0").exits(0).prints("nothing has changed")
		is(t, w, "", "k", unknown)
	})
}

func TestStats(t *testing.T) {
	each(t, func(t *testing.T, on *site) {
		on.run(t, "stats", "-max-age", "1ns").exits(0).prints("Nothing is unresolved.")
		if o := on.run(t, "stats", "-json").exits(0).object(); fmt.Sprint(o["states"]) != "[]" || o["unresolved"] != 0.0 || o["oldest_unresolved"] != nil {
			t.Errorf("stats -json of nothing prints %v", o)
		}
		w := on.shop(t, nil)
		for _, key := range []string{"k1", "k2", "late"} {
			leave(t, w, "", key, "timeout", unknown)
		}
		lapse(t, on, "vanished")
		for i := range 3 {
			leave(t, w, "", fmt.Sprint("done", i), "ok", succeeded)
		}
		refunds := on.shop(t, func(c *call) { c.Name = "refund\n" })
		_, err := refunds.Start(t.Context(), "started", order{"ok"})
		must(t, err)
		on.earlier(t, 2*time.Hour, "WHERE call_key = "+on.blob("k2"))
		on.earlier(t, 9*time.Hour, "WHERE call_key = "+on.blob("late"))
		on.run(t, "cancel", "charge", "late").exits(4)
		_, err = w.Recover(t.Context())
		must(t, err)
		lapse(t, on, "vanished again")
		on.run(t, "settle", "-happened", "-value", `{"id":"ch_1"}`, "charge", "late").exits(0)

		counts := func(args ...string) map[string]map[string]any {
			t.Helper()
			states := map[string]map[string]any{}
			for _, o := range on.run(t, "stats", append(args, "-json")...).exits(0).object()["states"].([]any) {
				row := o.(map[string]any)
				states[row["operation"].(string)+" "+row["state"].(string)] = row
			}
			return states
		}
		all := counts()
		for _, want := range []struct {
			row                        string
			calls, due, notify, lapsed float64
		}{
			{"charge unknown", 4, 1, 0, 1}, {"charge abandoned", 1, 1, 1, 0}, {"charge succeeded", 3, 0, 0, 0}, {"refund\n scheduled", 1, 1, 0, 0},
		} {
			row := all[want.row]
			if row["calls"] != want.calls || row["due"] != want.due || row["notify"] != want.notify || row["lapsed"] != want.lapsed {
				t.Errorf("stats has %v, want %+v", row, want)
			}
		}
		if len(all) != 4 {
			t.Errorf("stats has %v", all)
		}
		open := counts("-open")
		if len(open) != 3 || open["charge succeeded"] != nil || open["charge unknown"]["calls"] != 4.0 {
			t.Errorf("stats -open has %v", open)
		}
		o := on.run(t, "stats", "-json", "-max-age", "1h59m").exits(3, "longer than 1h59m", "not been resolved for 2h").object()
		if age := o["oldest_unresolved"].(float64); o["unresolved"] != 5.0 || age < 7200 || age > 9*3600 {
			t.Errorf("stats -json prints %v", o)
		}
		on.run(t, "stats", "-open", "-max-age", "8h").exits(0).prints("5 unresolved, the oldest for 2h", "abandoned, late", `"refund\n"`)
	})
}

func TestMigrate(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			on := bare(t, kind.name)
			if on.name == "sqlite" {
				on.dsn = filepath.Join(t.TempDir(), "new.db")
				on.run(t, "list").exits(2, "there is no file", "steadfast migrate")
				on.run(t, "purge").exits(2, "there is no file")
				if _, err := os.Stat(on.dsn); err == nil {
					t.Fatal("a command that was not migrate has made the file")
				}
			} else {
				on.run(t, "list").exits(1, "there is no table "+on.table, "steadfast migrate")
			}
			on.run(t, "migrate").exits(0).prints("was created (schema version 1)")
			if o := on.run(t, "migrate", "-json").exits(0).object(); o["before"] != 1.0 || o["version"] != 1.0 || o["table"] != on.table {
				t.Errorf("migrate -json prints %v", o)
			}
			on.run(t, "migrate").exits(0).prints("is up to date")
			on.run(t, "list").exits(0).prints("Nothing is unresolved.")
			if on.name == "sqlite" {
				return
			}
			on.run(t, "list", "-schema", "nowhere").exits(1, "there is no table nowhere."+on.table)
			schema := map[string]string{"postgres": "public", "mysql": "test"}[on.name]
			if on.name == "postgres" || strings.HasSuffix(on.dsn, "/test") {
				on.run(t, "list", "-schema", schema).exits(0)
			}
		})
	}
}

// What -print prints makes the tables that the command wants.
func TestMigratePrint(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			on := bare(t, kind.name)
			text := on.run(t, "migrate", "-print").exits(0).prints("-- version 1\n", "CREATE TABLE", on.table+"_version").out
			on.run(t, "list").exits(1, "there is no table")
			for statement := range strings.SplitSeq(text, ";\n") {
				if strings.TrimSpace(statement) != "" {
					on.exec(t, statement)
				}
			}
			on.run(t, "migrate").exits(0).prints("is up to date")
			on.run(t, "list").exits(0)

			on.exec(t, "INSERT INTO "+on.table+"_version (version) VALUES (99)")
			for _, verb := range []string{"list", "stats", "purge"} {
				on.run(t, verb).exits(1, "has schema version 99", "use a newer command")
			}
			on.run(t, "migrate").exits(1, "schema version 99", "newer release")
		})
	}
	for _, dsn := range []string{"postgres://", "mysql://", "file:never.db"} {
		given(t, nil, "", "migrate", "-print", "-db", dsn).exits(0).prints("CREATE TABLE")
	}
}

// List, show and stats write nothing: a session that cannot write serves them, and a file is left as it is.
func TestReadsWriteNothing(t *testing.T) {
	each(t, func(t *testing.T, on *site) {
		w := on.shop(t, nil)
		leave(t, w, "", "k", "timeout", unknown)
		lapse(t, on, "vanished")
		if on.name == "sqlite" {
			must(t, on.db.Close())
		} else {
			on.dsn = with(on.dsn, on.readOnly(t))
			on.run(t, "cancel", "charge", "k").exits(1) // it is so
		}
		before := files(t, on)
		on.run(t, "list").exits(0)
		on.run(t, "list", "-json", "-by", "key", "-state", "all").exits(0)
		on.run(t, "show", "charge", "vanished").exits(0)
		on.run(t, "stats").exits(0)
		on.run(t, "stats", "-open", "-max-age", "1ns").exits(3)
		if after := files(t, on); after != before {
			t.Errorf("the files were\n%s\nand are\n%s", before, after)
		}
	})
}

// readOnly is a parameter of the DSN by which a session cannot write.
func (on *site) readOnly(t *testing.T) string {
	t.Helper()
	if on.name == "postgres" {
		return "default_transaction_read_only=on"
	}
	var server string
	must(t, on.db.QueryRowContext(t.Context(), "SELECT VERSION()").Scan(&server))
	if strings.Contains(server, "MariaDB") {
		return "tx_read_only=1"
	}
	return "transaction_read_only=1"
}

// files are SQLite's file, its time and its contents, and what is in its log.
func files(t *testing.T, on *site) string {
	t.Helper()
	if on.name != "sqlite" {
		return ""
	}
	var b strings.Builder
	entries, err := os.ReadDir(filepath.Dir(on.dsn))
	must(t, err)
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), "-shm") {
			continue // how its readers find each other
		}
		info, err := e.Info()
		must(t, err)
		data, err := os.ReadFile(filepath.Join(filepath.Dir(on.dsn), e.Name()))
		must(t, err)
		if strings.HasSuffix(e.Name(), "-wal") && len(data) == 0 {
			continue
		}
		fmt.Fprintf(&b, "%s %v %d %s\n", e.Name(), info.ModTime(), len(data), idempotency.KeyFrom(string(data)))
	}
	return b.String()
}
