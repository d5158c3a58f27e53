package crash

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/steadfast-go/steadfast/examples/store/database"
	"github.com/steadfast-go/steadfast/examples/store/mail"
	"github.com/steadfast-go/steadfast/examples/store/naive"
	"github.com/steadfast-go/steadfast/examples/store/warehouse"
	"github.com/steadfast-go/steadfast/internal/fakepay"
)

// Role is the subcommand by which this program becomes one of those whom the shop calls, in a process of its own.
const Role = "crash-role"

// free is the address of a port that is free.
const free = "127.0.0.1:0"

// naiveRole is the naive shop's.
const naiveRole = "naive"

// picking is how long the warehouse takes.
const picking = 100 * time.Millisecond

// Play plays a role, which may need an argument, until its input ends, which it does when whoever started it is gone. It prints where it listens.
func Play(ctx context.Context, args []string, stdin io.Reader, stdout io.Writer) error {
	if len(args) < 2 {
		return errors.New("crash: name a role and its argument")
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, stdin) // however it ends
		cancel()
	}()
	switch args[0] {
	case "bank":
		seed, err := strconv.ParseUint(args[1], 10, 64)
		if err != nil {
			return fmt.Errorf("crash: the bank's seed: %w", err)
		}
		provider, err := fakepay.New(fakepay.Config{
			Seed: seed, ReplayErrors: true,
			Latency: fakepay.Latency{P50: 150 * time.Millisecond, P99: 800 * time.Millisecond, Max: time.Second},
			Faults:  []fakepay.Fault{{Kind: fakepay.ReplyLost, Rate: 0.08}, {Kind: fakepay.ErrorAfter, Rate: 0.04}, {Kind: fakepay.RequestLost, Rate: 0.04}},
		})
		if err != nil {
			return err
		}
		return serve(ctx, free, provider, stdout)
	case "warehouse":
		return serve(ctx, free, warehouse.New(picking, nil).Handler(), stdout)
	case "post":
		box := mail.NewMailbox()
		sink, err := mail.ListenSMTP(free, box)
		if err != nil {
			return err
		}
		fmt.Fprintln(stdout, sink.Address)
		list := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(box.Messages()) })
		return errors.Join(serve(ctx, free, list, stdout), sink.Close())
	case naiveRole:
		return playNaive(ctx, args[1:], stdout)
	}
	return fmt.Errorf("crash: there is no role %q", args[0])
}

// playNaive is the naive shop, as it would be in business: its orders are rows of a database, its patience is the usual one.
func playNaive(ctx context.Context, args []string, stdout io.Writer) (err error) {
	flags := flag.NewFlagSet(naiveRole, flag.ContinueOnError)
	var addr, file, bankURL, warehouseURL, smtp string
	for name, into := range map[string]*string{"addr": &addr, "db": &file, "bank": &bankURL, "warehouse": &warehouseURL, "smtp": &smtp} {
		flags.StringVar(into, name, "", "as the shop's")
	}
	if err := flags.Parse(args); err != nil {
		return err
	}
	db, err := database.Open(ctx, file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	sender, err := mail.NewSMTP(smtp)
	if err != nil {
		return err
	}
	s := naive.New(naive.Config{
		BankURL: bankURL, Warehouse: warehouse.NewClient(warehouseURL), Mail: sender, Timeout: 30 * time.Second, Pause: time.Second,
	})
	defer s.Close()
	if err := s.KeepIn(ctx, db); err != nil {
		return err
	}
	return serve(ctx, addr, s.Handler(), stdout)
}

// serve serves at an address, and prints where that is.
func serve(ctx context.Context, addr string, h http.Handler, stdout io.Writer) error {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	fmt.Fprintln(stdout, "http://"+listener.Addr().String())
	server := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// self is this program.
func self() (string, error) { return os.Executable() }
