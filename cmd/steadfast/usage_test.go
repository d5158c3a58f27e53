package main_test

import (
	"path/filepath"
	"strings"
	"testing"
)

// What is wrong with a command line is said with the flag, its value and the remedy, and nothing is done.
func TestUsage(t *testing.T) {
	t.Parallel()
	on := bare(t, "sqlite")
	must(t, on.store.Migrate(t.Context()))
	long := strings.Repeat("k", 256)
	no := []string{"-as-of", "1-unknown-2m0s-0123abcd", "-settling", "1m"}
	for _, c := range []struct {
		args string
		more []string
		want []string
	}{
		{"nonsense", nil, []string{`"nonsense" is no command`, "list, show, settle"}},
		{"-json", []string{"list"}, []string{"flags stand behind it"}},
		{"list extra", nil, []string{"list: 1 words stand behind the flags", "help list"}},
		{"list -nonsense", nil, []string{"flag provided but not defined: -nonsense", "help list"}},
		{"list -n", nil, []string{"flag needs an argument: -n", "value behind it"}},
		{"list -n 0", nil, []string{`invalid value "0" for flag -n`, "from 1 to 1000"}},
		{"list -n 1001", nil, []string{`invalid value "1001" for flag -n`, "from 1 to 1000"}},
		{"list -state lost", nil, []string{`"lost" is no state`, "scheduled, running"}},
		{"list -state absent", nil, []string{`"absent" is no state`}},
		{"list -state=", nil, []string{`"" is no state`}},
		{"list -older-than 3", nil, []string{`invalid value "3" for flag -older-than`, "with its unit"}},
		{"list -older-than -3s", nil, []string{`invalid value "-3s"`, "not below 0s"}},
		{"list -by size", nil, []string{`invalid value "size" for flag -by`, "age or key"}},
		{"list -after nonsense", nil, []string{"for flag -after", "from the end of the page before"}},
		{"list -after YQ.YQ.YQ -by age", nil, []string{"leave one out"}},
		{"list -operation=", nil, []string{"the operation is empty"}},
		{"list -operation " + long, nil, []string{"256 bytes long"}},
		{"list -scope " + long, nil, []string{"256 bytes long"}},
		{"list -quoted -scope c7", nil, []string{`the scope "c7" is not in double quotes`}},
		{"list -base64 -scope c/", nil, []string{`the scope "c/" is not base64`}},
		{"list -quoted -base64 -scope c/", nil, []string{"exclude each other"}},
		{"list -timeout soon", nil, []string{`invalid value "soon" for flag -timeout`}},
		{"list -table a;b", nil, []string{"-table", `"a;b"`, "letters, digits and underscores"}},
		{"list -schema main", nil, []string{"-schema", `"main"`, "SQLite has none"}},
		{"show", nil, []string{"0 names stand behind the flags", "the operation and the key"}},
		{"show charge", nil, []string{"1 names"}},
		{"show charge c7 k", nil, []string{"3 names", "-scope"}},
		{"show charge", []string{""}, []string{"the key is empty"}},
		{"show charge " + long, nil, []string{"256 bytes long"}},
		{"show -namespace " + long + " charge k", nil, []string{"-namespace", "at most 255"}},
		{"settle charge k", nil, []string{"0 verdicts are given", "-happened, -declined CODE, -did-not-happen"}},
		{"settle -happened -did-not-happen charge k", nil, []string{"2 verdicts"}},
		{"settle -happened=false charge k", nil, []string{"verdicts are given"}},
		{"settle -happened charge k", nil, []string{"0 values are given", "-no-value"}},
		{"settle -happened -no-value -value {} charge k", nil, []string{"2 values"}},
		{"settle -happened -no-value -raw charge k", nil, []string{"-no-value stands alone"}},
		{"settle -happened -value {id:3} charge k", nil, []string{"is not JSON", "invalid character 'i'", "-raw"}},
		{"settle -happened charge k -value", []string{""}, []string{"is not JSON"}},
		{"settle -happened charge k -value", []string{"\"\xff\""}, []string{"is not JSON (it is not UTF-8)"}},
		{"settle -happened -value null charge k", nil, []string{"the value is null", "-no-value"}},
		{"settle -happened -value-file /nowhere/value charge k", nil, []string{"-value-file", "/nowhere/value", "no such file"}},
		{"settle -happened -value {} -settling 1m charge k", nil, []string{"-settling does not belong to this verdict"}},
		{"settle -declined x charge k", nil, []string{"-as-of is not given", "show the call, ask the provider, then settle it"}},
		{"settle -declined x -as-of 1-unknown-2m0s-0123abcd charge k", nil, []string{"-settling is not given", "Call.Settling"}},
		{"settle -declined x -settling 1m charge k", nil, []string{"-as-of is not given"}},
		{"settle -declined x -settling 0 charge k", nil, []string{`invalid value "0" for flag -settling`}},
		{"settle -declined x charge k -as-of 1-unknown-2m0s-0123abcd -settling 9000h", nil, []string{"-settling is 9000h", "at most"}},
		{"settle -declined x -as-of now charge k", nil, []string{`invalid value "now" for flag -as-of`, "steadfast show"}},
		{"settle -declined x -as-of 1-running-2m0s-0123abcd charge k", nil, []string{"for flag -as-of"}},
		{"settle -declined x -as-of 1-unknown-120s-0123abcd charge k", nil, []string{"for flag -as-of"}},
		{"settle -declined x -as-of -1-unknown-2m0s-0123abcd charge k", nil, []string{"for flag -as-of"}},
		{"settle charge k -declined", append([]string{""}, no...), []string{"-declined is empty"}},
		{"settle charge k -declined", append([]string{"\xff"}, no...), []string{"not UTF-8"}},
		{"settle -did-not-happen -message gone charge k", no, []string{"-message does not belong to this verdict"}},
		{"settle -did-not-happen -value {} charge k", no, []string{"-value does not belong to this verdict"}},
		{"purge -limit 0", nil, []string{`invalid value "0" for flag -limit`, "1 or more"}},
		{"purge now", nil, []string{"it takes flags only"}},
		{"stats -max-age 0s", nil, []string{`invalid value "0s" for flag -max-age`}},
		{"migrate -print -json", nil, []string{"leave one out"}},
		{"help nonsense", nil, []string{`"nonsense" is no command`}},
	} {
		r := given(t, []string{"STEADFAST_DB=" + on.dsn}, "", append(strings.Fields(c.args), c.more...)...).exits(2, c.want...)
		if r.out != "" {
			t.Errorf("%s\nprints %q", r.line, r.out)
		}
		if strings.Count(r.err, "\n") != 1 {
			t.Errorf("%s\nsays more than a line: %s", r.line, r.err)
		}
	}
	given(t, nil, "").exits(2, "Usage: steadfast COMMAND", "say what to do")
}

func TestDatabaseIsNamed(t *testing.T) {
	directory := t.TempDir()
	for _, c := range []struct{ dsn, want string }{
		{"", "no database is named: set STEADFAST_DB, or give -db"},
		{"redis://127.0.0.1", "it begins with redis://"},
		{":memory:", "in memory"},
		{"file::memory:", "in memory"},
		{"file:calls.db?mode=memory", "in memory"},
		{"file:%zz", "file: URI"},
		{directory, "is a directory"},
		{filepath.Join(directory, "nothing.db"), "there is no file"},
		{"file:" + directory + "/nothing.db?mode=rwc", "there is no file"},
	} {
		given(t, []string{"STEADFAST_DB=" + c.dsn}, "", "list").exits(2, c.want)
	}
	given(t, []string{"STEADFAST_DB=/nowhere/a.db"}, "", "list", "-db", "/nowhere/b.db").exits(2, "-db: there is no file \"/nowhere/b.db\"")

	// The forms of one and the same database.
	each(t, func(t *testing.T, on *site) {
		others := map[string][]string{
			"sqlite": {"file:" + strings.NewReplacer("%", "%25", "?", "%3F", " ", "%20").Replace(on.dsn), "file://" +
				strings.NewReplacer("%", "%25", "?", "%3F", " ", "%20").Replace(on.dsn) + "?mode=rwc&_pragma=journal_mode(DELETE)&_pragma=busy_timeout(100)"},
			"mysql": {"mysql://" + strings.NewReplacer("tcp(", "", ")", "").Replace(on.dsn) + "?charset=utf8mb4&loc=Europe/Vienna"},
		}[on.name]
		if on.name == "mysql" && strings.Contains(on.dsn, "?") {
			t.Skip("STEADFAST_TEST_MYSQL has parameters of its own")
		}
		w := on.shop(t, nil)
		leave(t, w, "", "k", "timeout", unknown)
		for _, dsn := range others {
			given(t, nil, "", "list", "-db", dsn, "-table", on.table).exits(0).prints(" k ")
		}
	})
}

// A password is never printed, however wrong the DSN is, and wherever it stands.
func TestPasswordIsNeverPrinted(t *testing.T) {
	t.Parallel()
	for _, dsn := range []string{
		"postgres://shop:geheim@127.0.0.1:1/shop",
		"postgres://shop:geheim@127.0.0.1:1/shop?connect_timeout=x",
		"postgres://shop:geheim@127.0.0.1:port/shop",
		"postgres://shop:geheim%zz@127.0.0.1:1/shop",
		"postgres://shop:geheim/@127.0.0.1:1/shop?sslmode=x",
		"postgres://127.0.0.1:1/shop?password=geheim&sslmode=x",
		"host=127.0.0.1 port=1 user=shop password=geheim",
		"host=127.0.0.1 port=x user=shop password=geheim",
		"host=127.0.0.1 port=x user=shop password = geheim", // pgx hides it elsewhere, and not here
		"user='shop password=geheim",
		"mysql://shop:geheim@127.0.0.1:1/shop",
		"mysql://shop:geheim%zz@127.0.0.1:1/shop",
		"mysql://shop:geheim@127.0.0.1:port/shop",
		"mysql://shop:geheim@127.0.0.1:1/shop?tls=geheim",
		"shop:geheim@tcp(127.0.0.1:1)/shop",
		"shop:geheim@tcp(127.0.0.1:1)/shop?parseTime=x",
		"shop:geheim@tcp(127.0.0.1:1",
		"shop:geheim@127.0.0.1/shop",
		"redis://shop:geheim@127.0.0.1",
		"mssql://shop:geheim@127.0.0.1",
	} {
		for _, r := range []*result{
			given(t, nil, "", "list", "-db", dsn),
			given(t, []string{"STEADFAST_DB=" + dsn}, "", "list", "-json"),
			given(t, nil, "", "list", dsn),
			given(t, nil, "", dsn, "list"),
			given(t, nil, "", "migrate", "-db", dsn, "-timeout", "10s"),
		} {
			if strings.Contains(r.out+r.err, "geheim") {
				t.Errorf("%s\nprints the password:\n%s%s", r.line, r.out, r.err)
			}
		}
	}
	for _, dsn := range []string{"postgres://shop:geheim@127.0.0.1:1/shop", "mysql://shop:geheim@127.0.0.1:1/shop"} {
		for _, r := range []*result{
			given(t, []string{"STEADFAST_DB=" + dsn}, "", "help", "list").exits(0),
			given(t, nil, "", "list", "-table", "x", "-db="+dsn, "-n", "x").exits(2),
		} {
			if strings.Contains(r.out+r.err, "geheim") {
				t.Errorf("%s\nprints the password:\n%s%s", r.line, r.out, r.err)
			}
		}
		given(t, nil, "", "list", "-db", dsn).exits(1, "at 127.0.0.1:1, database shop cannot be asked", "connection refused")
	}
}

// Help is printed for those who ask, and names every flag.
func TestHelp(t *testing.T) {
	t.Parallel()
	overview := given(t, nil, "", "help").exits(0)
	for _, verb := range []string{"list", "show", "settle", "cancel", "purge", "stats", "migrate"} {
		overview.prints("\n  " + verb + " ")
		page := given(t, nil, "", "help", verb).exits(0).prints("Usage: steadfast "+verb, "\n  -db DSN\n", "\n  -table NAME\n", "\n  -json\n", "Flags of all commands")
		for _, args := range [][]string{{verb, "-h"}, {verb, "--help"}, {verb, "charge", "-help"}} {
			if again := given(t, nil, "", args...).exits(0); again.out != page.out {
				t.Errorf("%s prints\n%s\nwant\n%s", again.line, again.out, page.out)
			}
		}
		for line := range strings.Lines(page.out) {
			if len([]rune(line)) > 140 {
				t.Errorf("help %s has a line that is too wide: %s", verb, line)
			}
		}
	}
	for _, args := range [][]string{{"-h"}, {"--help"}, {"-help"}} {
		if again := given(t, nil, "", args...).exits(0); again.out != overview.out {
			t.Errorf("%s prints %s", again.line, again.out)
		}
	}
}
