package main_test

import (
	"encoding/base64"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	must(t, os.WriteFile(path, []byte(text), 0o600))
}

// keys are those that a list -json has printed.
func keys(r *result) []string {
	r.t.Helper()
	list := []string{}
	for _, o := range r.exits(0).objects() {
		key, ok := o["key"].(string)
		if !ok {
			data, err := base64.StdEncoding.DecodeString(o["key_base64"].(string))
			must(r.t, err)
			key = string(data)
		}
		list = append(list, key)
	}
	return list
}

func TestList(t *testing.T) {
	each(t, func(t *testing.T, on *site) {
		on.run(t, "list").exits(0).prints("Nothing is unresolved.\n")
		if out := on.run(t, "list", "-json").exits(0).out; out != "" {
			t.Errorf("list -json of nothing prints %q", out)
		}
		w := on.shop(t, nil)
		refunds := on.shop(t, func(c *call) { c.Name = "refund" })
		for i, c := range []struct{ scope, key, item string }{
			{"c1", "old", "timeout"}, {"c2", "newer", "accepted"}, {"", "done", "ok"}, {"c1", "no", "declined"},
		} {
			_, _ = w.For(c.scope).Do(t.Context(), c.key, order{c.item})
			on.earlier(t, time.Duration(10-i)*time.Hour, fmt.Sprintf("WHERE call_key = %s", on.blob(c.key)))
		}
		_, err := refunds.Start(t.Context(), "refund", order{"ok"})
		must(t, err)

		for _, c := range []struct {
			args string
			want []string
		}{
			{"", []string{"old", "newer", "refund"}},
			{"-by key", []string{"old", "newer", "refund"}},
			{"-operation charge", []string{"old", "newer"}},
			{"-operation nothing", []string{}},
			{"-state all", []string{"old", "newer", "done", "no", "refund"}},
			{"-state all -by key", []string{"done", "no", "old", "newer", "refund"}},
			{"-state succeeded,rejected", []string{"done", "no"}},
			{"-state unknown -operation refund", []string{}},
			{"-scope c1 -state all", []string{"old", "no"}},
			{"-scope= -state all", []string{"done", "refund"}},
			{"-older-than 9h30m -state all", []string{"old"}},
			{"-older-than 7h30m -state all -by key", []string{"done", "old", "newer"}},
			{"-n 1", []string{"old"}},
			{"-n 2 -state all -by key", []string{"done", "no"}},
		} {
			args := append([]string{"-json"}, strings.Fields(c.args)...)
			if got := keys(on.run(t, "list", args...)); !slices.Equal(got, c.want) {
				t.Errorf("list %s gives %q, want %q", c.args, got, c.want)
			}
		}
		on.run(t, "list", "-operation", "nothing").exits(0).prints("There is no such call.")
		table := on.run(t, "list", "-state", "all").exits(0).
			prints("AGE ", "STATE ", "10h", "unknown", "context deadline exceeded", "card_declined: the card was declined", "scheduled", "refund", "now")
		if n := strings.Count(table.out, "\n"); n != 6 {
			t.Errorf("list prints %d lines for 5 calls:\n%s", n, table.out)
		}
		first := on.run(t, "list", "-json", "-n", "1").exits(0).object()
		for field, want := range map[string]any{"operation": "charge", "scope": "c1", "key": "old", "state": "unknown", "attempts": 1.0, "ambiguous": true, "fence": 1.0} {
			if first[field] != want {
				t.Errorf("list -json gives %s as %v, want %v", field, first[field], want)
			}
		}
		if first["age"].(float64) < 36000 || first["due_in"] != nil || first["request"] != nil {
			t.Errorf("list -json gives %v", first)
		}
	})
}

// blob is a literal of bytes, in the words of the database.
func (on *site) blob(text string) string {
	if on.name == "postgres" {
		return fmt.Sprintf(`'\x%x'`, text)
	}
	return fmt.Sprintf("x'%x'", text)
}

func TestListGoesOn(t *testing.T) {
	each(t, func(t *testing.T, on *site) {
		w, refunds := on.shop(t, nil), on.shop(t, func(c *call) { c.Name = "refund" })
		var want []string
		for i := range 105 { // more than it reads at once
			key := fmt.Sprintf("key %03d\n\xff", i)
			_, err := w.For("scope").Start(t.Context(), key, order{"ok"})
			must(t, err)
			want = append(want, key)
		}
		for _, key := range []string{"a", "b"} {
			_, err := refunds.Start(t.Context(), key, order{"ok"})
			must(t, err)
			want = append(want, key)
		}
		if got := keys(on.run(t, "list", "-json", "-by", "key", "-n", "1000")); !slices.Equal(got, want) {
			t.Errorf("list -by key gives %q", got)
		}
		var got []string
		args := []string{"-json", "-by", "key", "-n", "52"}
		for pages := 0; ; pages++ {
			page := on.run(t, "list", args...)
			some := keys(page)
			if got = append(got, some...); len(some) < 52 {
				break
			}
			last := page.objects()[len(some)-1]["cursor"].(string)
			args = []string{"-json", "-after", last, "-n", "52"}
		}
		if !slices.Equal(got, want) {
			t.Errorf("page by page list gives %q", got)
		}
		_, cursor, found := strings.Cut(on.run(t, "list", "-by", "key", "-n", "104").exits(0).out, "go on with -after ")
		if !found {
			t.Fatal("list does not say that there are more")
		}
		on.run(t, "list", "-after", strings.TrimSpace(cursor)).exits(0).prints(`"key 104\n\xff"`, "refund")
		on.run(t, "list", "-n", "3").exits(0).prints("There are more, younger than these")
	})
}

// A key must not be able to forge what an operator reads, and can be given back as it was read.
func TestHostileNames(t *testing.T) {
	hostile := []string{
		"line\nbreak", "\x1b[2J\x1b[31mred", "nul\x00nul", "\xff\xfe", "tab\tand\rreturn", "right\u202eleft", "c1 \u009b31m", `"quoted"`,
		`back\slash`, "it's", " blank ", "-flag", "--", "-", "日本語", "zero\u200bwidth", "$(reboot)`x`", strings.Repeat("long", 60),
	}
	each(t, func(t *testing.T, on *site) {
		w := on.shop(t, func(c *call) { c.OnSettled = nil })
		for _, name := range hostile {
			leave(t, w, name, name, "timeout", unknown)
		}
		if got := keys(on.run(t, "list", "-json")); !slices.Equal(got, hostile) {
			t.Errorf("list -json gives %q, want %q", got, hostile)
		}
		tables := []string{on.run(t, "list").exits(0).out, on.run(t, "list", "-wide").exits(0).out}
		objects := on.run(t, "list", "-json").exits(0).objects()
		if on.name != "sqlite" {
			return // what follows is the same for all
		}
		for i, name := range hostile {
			tables = append(tables, on.run(t, "show", "-scope", noNUL(name), "-namespace", noNUL(name), "--", "charge", noNUL(name)).out)
			o := objects[i]
			if _, odd := o["key_base64"]; odd {
				on.run(t, "show", "-base64", "-scope", o["scope_base64"].(string), base64.StdEncoding.EncodeToString([]byte("charge")), o["key_base64"].(string)).exits(0)
			}
		}
		for _, table := range tables {
			for _, r := range table {
				if r < ' ' && r != '\n' || r >= 0x7f && r < 0xa0 || r == '\u202e' || r == '\u200b' || r == '\ufffd' {
					t.Fatalf("a table has %q in it:\n%q", r, table)
				}
			}
		}
		if n := strings.Count(tables[1], "\n"); n != len(hostile)+1 {
			t.Errorf("list -wide prints %d lines for %d calls:\n%s", n, len(hostile), tables[1])
		}

		// The commands that show proposes name this very call, in a shell.
		for _, name := range hostile {
			encoded := base64.StdEncoding.EncodeToString([]byte(name))
			page := on.run(t, "show", "-base64", "-scope", encoded, "Y2hhcmdl", encoded).exits(0)
			var line string
			for l := range strings.Lines(page.out) {
				if strings.Contains(l, "-did-not-happen -as-of") {
					line = strings.TrimSpace(strings.Replace(strings.TrimSpace(l), "-settling 1m", "-settling 1ms", 1))
				}
			}
			shell(t, on, line)
			is(t, w, name, name, scheduled)
		}
	})
}

func noNUL(name string) string { return strings.ReplaceAll(name, "\x00", "") } // an argument cannot have it

// shell gives the command as a shell reads it.
func shell(t *testing.T, on *site, line string) {
	t.Helper()
	rest, ok := strings.CutPrefix(line, "steadfast ")
	if !ok {
		t.Fatalf("%q is no command", line)
	}
	self, err := os.Executable()
	must(t, err)
	execute(t, "/bin/sh", []string{"STEADFAST_DB=" + on.dsn, "PROGRAM=" + self}, "", "-c", `"$PROGRAM" `+rest).exits(0)
}
