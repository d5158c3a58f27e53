package machine_test

import (
	crypto "crypto/rand"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"pgregory.net/rapid"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/internal/torture/databases"
	"github.com/steadfast-go/steadfast/internal/torture/model"
	"github.com/steadfast-go/steadfast/store/memstore"
)

// TestMain makes fewer sequences than rapid does by itself, unless -rapid.checks says otherwise: databases are slow.
func TestMain(m *testing.M) {
	flag.Parse()
	said := false
	flag.Visit(func(f *flag.Flag) { said = said || f.Name == "rapid.checks" })
	if !said {
		if err := flag.Set("rapid.checks", "25"); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

// source lets rapid decide what is random, so that it can shrink it. It likes small numbers, which are spread here.
type source struct{ t *rapid.T }

func (s source) Uint64() uint64 { return rapid.Uint64().Draw(s.t, "random") * 0x9e3779b97f4a7c15 }

// Every store answers each request as the model does, whatever came before.
func TestStore(t *testing.T) {
	t.Run(databases.Memory, func(t *testing.T) {
		t.Parallel()
		answers(t, memstore.New(memstore.Config{MaxRecords: 1 << 20}))
	})
	for _, name := range []string{databases.SQLite, databases.Postgres, databases.MariaDB} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			answers(t, databases.StoreForTest(t, name))
		})
	}
}

func answers(t *testing.T, store idempotency.Store) {
	t.Helper()
	rapid.Check(t, func(t *rapid.T) {
		r := rand.New(source{t})
		ops := [2]string{"op " + crypto.Text(), "op " + crypto.Text()} // nobody has used them
		var states [2]model.State
		var clients []*model.Client
		for i := range 4 {
			clients = append(clients, &model.Client{ID: idempotency.ID{Operation: ops[i%2], Key: "key"}, Name: fmt.Sprint("client ", i), Rand: r})
		}
		var last *model.Input
		ask := func(t *rapid.T, i int, in *model.Input) {
			out := model.Ask(t.Context(), store, in)
			next, want := model.Step(states[i%2], in)
			t.Logf("%v -> %v", in, &out)
			if out != want {
				t.Fatalf("%v is answered\n%v, want\n%v; it was\n%+v", in, &out, &want, states[i%2])
			}
			states[i%2] = next
			clients[i].Saw(in, &out)
		}
		t.Repeat(map[string]func(*rapid.T){
			"ask": func(t *rapid.T) {
				i := rapid.IntRange(0, len(clients)-1).Draw(t, "client")
				last = clients[i].Next()
				ask(t, i, last)
				if rapid.IntRange(0, 9).Draw(t, "again") == 0 { // the reply was lost
					ask(t, i, last)
				}
			},
		})
	})
}
