package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/steadfast-go/steadfast/examples/store/bank"
	"github.com/steadfast-go/steadfast/examples/store/database"
	"github.com/steadfast-go/steadfast/examples/store/lab"
	"github.com/steadfast-go/steadfast/examples/store/mail"
	"github.com/steadfast-go/steadfast/examples/store/shop"
	"github.com/steadfast-go/steadfast/examples/store/town"
	"github.com/steadfast-go/steadfast/examples/store/warehouse"
	"github.com/steadfast-go/steadfast/examples/store/web"
)

// options are the flags of the shop.
type options struct {
	addr, db, password       string
	bank, warehouse, smtp    string
	latency, faults, picking string
	giveUp, lease            time.Duration
	verbose                  bool
}

func parseServe(args []string, stderr io.Writer) (o options, err error) {
	flags := flag.NewFlagSet("store", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		_, _ = fmt.Fprintln(stderr, "usage: store [flags]   the shop, in a browser\n       store demo      its customers, beside those of a naive shop; demo -crash kills it\n"+
			"       store load      how many orders a second it takes\n\nThe shop's flags:")
		flags.PrintDefaults()
	}
	flags.StringVar(&o.addr, "addr", "127.0.0.1:8080", "listen on this `address`; on a free port where this one is taken")
	flags.StringVar(&o.db, "db", "", "the database: postgres://…, mysql://…, or the `path` of a SQLite file (default: one in your cache directory)")
	flags.StringVar(&o.password, "admin-password", "", "for /admin (default: a new one, which is printed)")
	flags.StringVar(&o.bank, "bank", "", "the `URL` of the payment provider, which speaks Stripe's API as fakepay does (default: one is started, or Stripe if STRIPE_KEY is set)")
	flags.StringVar(&o.warehouse, "warehouse", "", "the `URL` of the warehouse (default: one is started)")
	flags.StringVar(&o.smtp, "smtp", "", "the mail server, `host:port` (default: one is started, whose mailbox is a page)")
	flags.StringVar(&o.latency, "latency", "p50=600ms,p99=1500ms,max=2s", "how long the bank that is started takes")
	flags.StringVar(&o.faults, "faults", "", "what goes wrong at it, as in \"reply_lost=0.1,lands_late=0.05;delay=20s\"")
	flags.StringVar(&o.picking, "picking", "300ms", "how long the warehouse that is started takes")
	flags.DurationVar(&o.giveUp, "give-up", 0, "when an order is rolled back whose payment cannot be completed (default 15m)")
	flags.DurationVar(&o.lease, "lease", 0, "how long the calls of a shop that was killed lie until another one takes them over (default 15s)")
	flags.BoolVar(&o.verbose, "v", false, "log every attempt")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("store: %q is not a flag: give flags only, or one of the subcommands", flags.Arg(0))
	}
	return o, nil
}

// serveShop runs the shop until ctx ends.
func serveShop(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	o, err := parseServe(args, stderr)
	if err != nil {
		return err
	}
	live, err := stripeFromEnv(o)
	if err != nil {
		return err
	}
	level := slog.LevelWarn
	if o.verbose {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: level}))
	began := time.Now()

	listener, err := listen(o.addr)
	if err != nil {
		return err
	}
	defer func() { _ = listener.Close() }() // it is closed already, if the shop was ever open

	// Whom the shop calls, as far as they are not somewhere else.
	t, err := town.Open(town.Config{
		Bank: cmp.Or(live.url, o.bank), Warehouse: o.warehouse, SMTP: o.smtp, Latency: o.latency, Faults: o.faults, Picking: o.picking,
		Webhook: "http://" + listener.Addr().String() + bank.WebhookPath, Secret: live.secret,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.Close()) }()
	provider := bank.New(t.Bank)
	if live.key != "" {
		provider = bank.Stripe(live.key)
	}

	path := o.db
	if path == "" {
		if path, err = cacheFile(); err != nil {
			return err
		}
	}
	db, err := database.Open(ctx, path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()

	sender, err := mail.NewSMTP(t.SMTP)
	if err != nil {
		return err
	}
	timing := shop.RealTime()
	timing.GiveUp, timing.Lease = cmp.Or(o.giveUp, timing.GiveUp), cmp.Or(o.lease, timing.Lease)
	business, err := shop.Open(ctx, shop.Config{
		DB: db, Bank: provider, Warehouse: warehouse.NewClient(t.Warehouse), Mail: sender, Texts: mail.Texts{Mailbox: t.Mailbox},
		Timing: timing, Log: log,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, soon(business.Close)) }()

	password := o.password
	if password == "" {
		password = rand.Text()[:12]
	}
	stopping := make(chan struct{})
	laboratory := lab.New(lab.Config{Log: log})
	defer func() { err = errors.Join(err, soon(laboratory.Close)) }()
	site, err := web.New(web.Config{
		Shop: business, Mailbox: t.Mailbox, AdminPassword: password, BankSince: began, Stopping: stopping, Log: log,
		Lab: laboratory.Handler(),
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "The shop is open at http://%s\n", listener.Addr())
	fmt.Fprintf(stdout, "  database  %s\n  bank      %s\n  warehouse %s\n  mail      %s\n", db.Place, t.Bank, t.Warehouse, t.SMTP)
	if o.password == "" {
		fmt.Fprintf(stdout, "  operator  http://%s/admin, password %s\n", listener.Addr(), password)
	}
	mux := http.NewServeMux()
	mux.Handle("/", site)
	mux.Handle("POST "+bank.WebhookPath, bank.Webhook(live.secret, business.BankSays))
	return serveUntil(ctx, listener, mux, stopping, log)
}

// stripeAccount is Stripe itself, where the environment names it.
type stripeAccount struct {
	url, key string // empty: the bank is another one
	secret   string // of the webhooks
}

// stripeFromEnv reads STRIPE_KEY, a secret key of Stripe's test mode, and STRIPE_WEBHOOK_SECRET, with which Stripe signs its events
// (stripe listen --forward-to …/webhooks/stripe prints it).
func stripeFromEnv(o options) (stripeAccount, error) {
	account := stripeAccount{key: os.Getenv("STRIPE_KEY"), secret: os.Getenv("STRIPE_WEBHOOK_SECRET")}
	if account.secret == "" {
		account.secret = rand.Text() // nobody but a bank that is started here knows it
	}
	switch {
	case account.key == "":
		return account, nil
	case o.bank != "":
		return account, errors.New("store: both STRIPE_KEY and -bank are given: unset one")
	case !strings.HasPrefix(account.key, "sk_test_") && !strings.HasPrefix(account.key, "rk_test_"):
		return account, errors.New("store: STRIPE_KEY is no key of Stripe's test mode: use one that begins with sk_test_, this shop is a demonstration")
	}
	account.url = bank.StripeURL
	return account, nil
}

// closeFor is how long calls that are under way may take to end. What has not ended then is left to the next shop on the
// database.
const closeFor = 5 * time.Second

func soon(end func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), closeFor)
	defer cancel()
	if err := end(ctx); !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}

// serveUntil serves until ctx ends, and then lets the requests under way end: none takes longer than a customer waits.
func serveUntil(ctx context.Context, listener net.Listener, h http.Handler, stopping chan<- struct{}, log *slog.Logger) error {
	server := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	close(stopping) // pages that follow an order would never end
	end, cancel := context.WithTimeout(context.Background(), closeFor)
	defer cancel()
	return server.Shutdown(end)
}

// listen listens on an address, or where its port is taken, on a free one.
func listen(addr string) (net.Listener, error) {
	listener, err := net.Listen("tcp", addr)
	if !errors.Is(err, syscall.EADDRINUSE) {
		return listener, err
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	return net.Listen("tcp", net.JoinHostPort(host, "0"))
}

// cacheFile is where the shop keeps its database unless it is told otherwise.
func cacheFile() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = os.TempDir()
	}
	dir = filepath.Join(dir, "steadfast-shop")
	return filepath.Join(dir, "shop.db"), os.MkdirAll(dir, 0o700)
}
