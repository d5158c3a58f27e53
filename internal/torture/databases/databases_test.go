package databases_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/steadfast-go/steadfast/internal/torture/databases"
)

// fake is a test that is told how it ends.
type fake struct {
	*testing.T
	skipped, failed string
}

func (f *fake) Helper()           {}
func (f *fake) Skip(args ...any)  { f.skipped = fmt.Sprint(args...) }
func (f *fake) Fatal(args ...any) { f.failed = fmt.Sprint(args...) }

// What is missing is skipped, and fails where STEADFAST_REQUIRE names it: databases, and the binaries of servers that a test begins.
// Both say what to do.
func TestMissing(t *testing.T) {
	t.Setenv("PATH", t.TempDir()) // nothing is installed
	t.Setenv("STEADFAST_TEST_POSTGRES", "postgres://postgres@127.0.0.1:1/test?sslmode=disable")
	t.Setenv("STEADFAST_TEST_MYSQL", "root@tcp(127.0.0.1:1)/test")
	open := func(ctx context.Context, name string) error {
		_, _, err := databases.Open(ctx, name, t.TempDir())
		return err
	}
	begin := func(ctx context.Context, name string) error {
		_, err := databases.NewServer(ctx, name)
		return err
	}
	for _, c := range []struct {
		name, as, other, remedy string
		want                    func(ctx context.Context, name string) error
	}{
		{databases.Postgres, "postgres", "mysql", "set STEADFAST_TEST_POSTGRES", open},
		{databases.MariaDB, "mysql", "postgres", "set STEADFAST_TEST_MYSQL", open},
		{databases.Postgres, "postgres", "mysql", "install postgresql", begin},
		{databases.MariaDB, "mysql", "postgres", "install mariadb-server", begin},
	} {
		for required, fails := range map[string]bool{"": false, c.other + ",browser": false, c.as: true, "browser," + c.other + "," + c.as: true} {
			t.Setenv("STEADFAST_REQUIRE", required)
			var f fake
			databases.Check(&f, c.want(t.Context(), c.name))
			said := f.skipped + f.failed
			if (f.failed != "") != fails || (f.skipped != "") == fails || !strings.Contains(said, c.name+" is missing: ") || !strings.Contains(said, c.remedy) {
				t.Errorf("%s, STEADFAST_REQUIRE=%s: skipped %q, failed %q", c.remedy, required, f.skipped, f.failed)
			}
			if fails != strings.Contains(said, "STEADFAST_REQUIRE") {
				t.Errorf("STEADFAST_REQUIRE=%s: %s", required, said)
			}
		}
	}
}

// What fails for another reason fails: nothing is skipped that could be tested.
func TestBroken(t *testing.T) {
	_, _, err := databases.Open(t.Context(), databases.SQLite, t.TempDir()+"/nowhere")
	var f fake
	if databases.Check(&f, err); f.failed == "" || f.skipped != "" {
		t.Errorf("a SQLite that cannot make its file: skipped %q, failed %q", f.skipped, f.failed)
	}
	f = fake{}
	if databases.Check(&f, nil); f.failed+f.skipped != "" {
		t.Errorf("without an error: skipped %q, failed %q", f.skipped, f.failed)
	}
}
